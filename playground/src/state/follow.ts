/**
 * Keeps tasks that are not over up to date. A browser opens few connections to one host, so only some tasks have a stream
 * of events: the one that is looked at, and the oldest, which are the next to run. The others are asked after in turn.
 */

import { effect, signal } from "@preact/signals";
import { ApiError, ConnectionError, openEvents, readTask } from "../api/client";
import { eventsOf } from "../api/sse";
import type { TaskEvent } from "../api/types";
import { connection, whenReachable } from "./connection";
import { forgetTask, type Task } from "./tasks";

const STREAMS = 3;
const POLL_EVERY = 2000;
/** Tasks that are asked after at once. */
const POLLED = 4;
const PAUSE_BEFORE_REOPENING = 1000;

/** Id of the task that is looked at. */
export const lookedAt = signal<string | null>(null);
/** Counts the tasks that came to their end while the page was open. */
export const ended = signal(0);

/** What is followed, oldest first. */
let followed: Task[] = [];
const streams = new Map<string, AbortController>();
let timer: ReturnType<typeof setInterval> | null = null;

/** Follows `task` until it is over. */
export function follow(task: Task): void {
  if (task.isOver || followed.includes(task)) return;
  followed.push(task);
  followed.sort((one, other) => one.prediction.peek().created_at.localeCompare(other.prediction.peek().created_at));
  arrange();
}

/** Follows nothing any more, as when the key changes. */
export function unfollowAll(): void {
  followed = [];
  arrange();
}

effect(() => {
  void lookedAt.value;
  arrange();
});

/** Opens and closes streams, so that those tasks have one that should. */
function arrange(): void {
  const first = followed.filter((task) => task.id === lookedAt.peek());
  const wanted = [...new Set([...first, ...followed])].slice(0, STREAMS);
  for (const [id, controller] of streams) {
    if (!wanted.some((task) => task.id === id)) {
      controller.abort();
      streams.delete(id);
    }
  }
  for (const task of wanted) if (!streams.has(task.id)) void listen(task);
  if (followed.length > 0) timer ??= setInterval(poll, POLL_EVERY);
  else if (timer !== null) {
    clearInterval(timer);
    timer = null;
  }
}

/** Hears what a task does until its stream ends, and reads what has become of it. */
async function listen(task: Task): Promise<void> {
  const controller = new AbortController();
  streams.set(task.id, controller);
  try {
    const response = await openEvents(task.id, controller.signal);
    for await (const data of eventsOf(response)) task.hear(JSON.parse(data) as TaskEvent);
  } catch {
    // The reading that follows says what is the matter.
  }
  if (controller.signal.aborted) return;
  await refresh(task);
  await whenReachable();
  if (!task.isOver) await new Promise((resolve) => setTimeout(resolve, PAUSE_BEFORE_REOPENING));
  if (streams.get(task.id) === controller) streams.delete(task.id);
  arrange();
}

/** Asks after the tasks without a stream that were not asked after for longest. */
function poll(): void {
  if (connection.peek().kind === "lost") return;
  const silent = followed.filter((task) => !streams.has(task.id));
  silent.sort((one, other) => one.askedAt - other.askedAt);
  for (const task of silent.slice(0, POLLED)) void refresh(task);
}

/** Reads `task` as the server has it now. */
export async function refresh(task: Task): Promise<void> {
  task.askedAt = performance.now();
  try {
    task.update(await readTask(task.id));
  } catch (error) {
    if (error instanceof ConnectionError) return;
    // Deleted meanwhile, by this page or another one.
    if (error instanceof ApiError && [404, 410].includes(error.status)) drop(task);
    return;
  }
  if (!task.isOver || !followed.includes(task)) return;
  followed = followed.filter((other) => other !== task);
  ended.value++;
  arrange();
}

/** Stops following a task that is gone. */
export function drop(task: Task): void {
  followed = followed.filter((other) => other !== task);
  forgetTask(task.id);
  arrange();
}
