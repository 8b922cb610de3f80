/** How long a task still takes, by how long its steps took. */

interface Seen {
  done: number;
  at: number;
}

/** Steps that are looked at: enough to be steady, few enough to notice another kind of step. */
const LATEST = 8;

/** A step that takes so many times longer than the others is none. */
const STALLED = 4;

/** Watches steps and says how much time is left. */
export class StepClock {
  #seen: Seen[] = [];

  /** Notes that `done` steps were done at `at` milliseconds. */
  note(done: number, at: number): void {
    const last = this.#seen.at(-1);
    // The task began anew, as after a restart of the server.
    if (last && done < last.done) this.#seen = [];
    // Steps that were replayed at once say nothing about time; the last of them counts.
    else if (last && at - last.at < 5) this.#seen.pop();
    this.#seen.push({ done, at });
    if (this.#seen.length > LATEST) this.#seen.shift();
  }

  /** Seconds until `total` steps are done, at `now`; null while nothing is known. */
  left(total: number, now: number): number | null {
    const [first, last] = [this.#seen[0], this.#seen.at(-1)];
    if (!first || !last || last.done <= first.done) return null;
    const perStep = (last.at - first.at) / (last.done - first.done);
    const waited = now - last.at;
    // It does not go on, as when the server restarts; nobody knows when it will.
    if (waited > STALLED * perStep + 2000) return null;
    const remaining = (total - last.done) * perStep - waited;
    return Math.max(0, remaining / 1000);
  }
}
