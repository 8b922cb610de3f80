/** Whether the server answers. While it does not, this alone tries again, and everybody else waits for it. */

import { signal } from "@preact/signals";
import { ConnectionError, isReachable, surroundings } from "../api/client";
import { texts } from "../i18n";
import { notify } from "./notices";

export type Connection = { kind: "good" } | { kind: "lost"; nextTry: number };

export const connection = signal<Connection>({ kind: "good" });

/** Seconds between attempts: quick at first, for a server that restarts. */
const PAUSES = [1, 1, 2, 3, 5, 8, 10];

let waiting: (() => void)[] = [];
let tryNow: () => void = () => {};
let isTrying = false;

surroundings.heard = (reached) => {
  if (!reached) void tryUntilReached();
};

async function tryUntilReached(): Promise<void> {
  if (isTrying) return;
  isTrying = true;
  for (let attempt = 0; ; attempt++) {
    const seconds = PAUSES[Math.min(attempt, PAUSES.length - 1)] ?? 10;
    connection.value = { kind: "lost", nextTry: Date.now() + seconds * 1000 };
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, seconds * 1000);
      tryNow = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    connection.value = { kind: "lost", nextTry: 0 };
    if (await isReachable()) break;
  }
  isTrying = false;
  connection.value = { kind: "good" };
  notify(texts.value.connection.back);
  const waiters = waiting;
  waiting = [];
  for (const resolve of waiters) resolve();
}

/** Tries at once instead of waiting for the pause to end. */
export function tryAtOnce(): void {
  tryNow();
}

/** Completes when the server answers. */
export function whenReachable(): Promise<void> {
  if (!isTrying) return Promise.resolve();
  return new Promise((resolve) => waiting.push(resolve));
}

/** Fails when `signal` says so; otherwise never comes to an end. */
function whenAborted(signal: AbortSignal | undefined): Promise<never> {
  return new Promise((_, reject) => signal?.addEventListener("abort", () => reject(signal.reason), { once: true }));
}

/** Does `attempt`, again after each time that the server was away. Whatever else goes wrong is the caller's. */
export async function persistently<Result>(attempt: () => Promise<Result>, signal?: AbortSignal): Promise<Result> {
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof ConnectionError)) throw error;
      await Promise.race([whenReachable(), whenAborted(signal)]);
      signal?.throwIfAborted();
    }
  }
}
