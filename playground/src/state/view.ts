/** What the middle of the page shows: nothing, a task or a grid. A reload comes back to it. */

import { effect, signal } from "@preact/signals";
import { ApiError, readTask } from "../api/client";
import { persistently } from "./connection";
import { follow, lookedAt } from "./follow";
import { knownTask, taskOf, type Task } from "./tasks";
import { tabStorage } from "./storage";

export type View = { kind: "nothing" } | { kind: "task"; task: Task } | { kind: "grid" };

export const view = signal<View>({ kind: "nothing" });

const NAME = "view";
/** In place of a task's id. */
const GRID = "grid";

effect(() => {
  const shown = view.value;
  lookedAt.value = shown.kind === "task" ? shown.task.id : null;
});

export function showTask(task: Task): void {
  view.value = { kind: "task", task };
  tabStorage.write(NAME, task.id);
}

export function showGrid(): void {
  view.value = { kind: "grid" };
  tabStorage.write(NAME, GRID);
}

export function showNothing(): void {
  view.value = { kind: "nothing" };
  tabStorage.write(NAME, null);
}

/** Shows what was shown before a reload, unless something is shown already; `hasGrid`: there is a grid to show. */
export async function restoreView(hasGrid: boolean): Promise<void> {
  const id = tabStorage.read(NAME);
  if (!id) return;
  if (id === GRID) {
    if (hasGrid) showGrid();
    return;
  }
  try {
    const task = knownTask(id) ?? taskOf(await persistently(() => readTask(id)));
    follow(task);
    if (view.value.kind === "nothing") showTask(task);
  } catch (error) {
    if (error instanceof ApiError) tabStorage.write(NAME, null);
  }
}
