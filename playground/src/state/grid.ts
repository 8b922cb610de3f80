/** The grid that is made or shown: one task for each combination of values. A reload of the tab finds it again. */

import { signal, type Signal } from "@preact/signals";
import { readTask } from "../api/client";
import { parameterLabel } from "../i18n";
import { bodyOf, withNearSeed } from "../model/body";
import { cellsOf, label, type Axis } from "../model/grid";
import { controls } from "./catalogue";
import { persistently } from "./connection";
import { follow } from "./follow";
import { addToHistory } from "./history";
import { cancel } from "./actions";
import { send, sending, sentPictures, sentStart, stopSending, whileSending } from "./run";
import { drawSeed, seedLocked, values } from "./settings";
import { readJson, tabStorage } from "./storage";
import { taskOf, type Task } from "./tasks";
import { showGrid } from "./view";

/** The labels above columns or beside rows, and what they are values of. */
export interface Heading {
  name: string;
  labels: string[];
}

export interface GridCell {
  row: number;
  column: number;
  /** Null: not sent, yet or at all. */
  task: Signal<Task | null>;
}

export interface Grid {
  columns: Heading;
  rows: Heading | null;
  cells: GridCell[];
}

export const grid = signal<Grid | null>(null);
/** The tasks of a grid of before a reload are not all read yet. */
export const isReadingGrid = signal(false);

const NAME = "grid";

function headingOf(axis: Axis): Heading {
  return { name: axis.name, labels: axis.values.map(label) };
}

/** How a heading's parameter is called. */
export function headingTitle(heading: Heading): string {
  return parameterLabel(heading.name);
}

/** Sends all combinations, row by row, and shows them. The first one that is refused ends it. */
export async function startGrid(columns: Axis, rows: Axis | null): Promise<boolean> {
  return whileSending(
    async (model, aborted) => {
      if (!seedLocked.value) drawSeed();
      const sent = await sentPictures(aborted);
      const start = await sentStart(aborted);
      // One picture a cell.
      const { num_images: _, ...base } = withNearSeed(controls.value, values.value);
      const planned = cellsOf(base, columns, rows);
      const cells = planned.map(({ row, column }) => emptyCell(row, column));
      grid.value = { columns: headingOf(columns), rows: rows && headingOf(rows), cells };
      showGrid();
      sending.value = "sending";
      for (const [index, cell] of planned.entries()) {
        const task = await send(model, bodyOf(controls.value, cell.values, sent, start), aborted);
        addToHistory(task);
        const target = cells[index];
        if (target) target.task.value = task;
        keep();
      }
    },
    [columns.name, ...(rows ? [rows.name] : [])],
  );
}

function emptyCell(row: number, column: number): GridCell {
  return { row, column, task: signal<Task | null>(null) };
}

/** Sends no more, and cancels what is not over. */
export function cancelGrid(): void {
  if (sending.value !== null) stopSending();
  for (const { task } of grid.value?.cells ?? []) if (task.value && !task.value.isOver) void cancel(task.value);
}

/** A cell whose task was deleted is empty. */
export function removeFromGrid(task: Task): void {
  for (const cell of grid.value?.cells ?? []) if (cell.task.value === task) cell.task.value = null;
  keep();
}

interface KeptGrid {
  columns: Heading;
  rows: Heading | null;
  ids: (string | null)[];
}

function keep(): void {
  const shown = grid.value;
  if (!shown) return;
  const ids = shown.cells.map((cell) => cell.task.value?.id ?? null);
  tabStorage.write(NAME, JSON.stringify({ columns: shown.columns, rows: shown.rows, ids } satisfies KeptGrid));
}

/** Finds the grid of before a reload; its tasks follow. True if there is one. */
export function restoreGrid(): boolean {
  const kept = readJson(tabStorage, NAME) as KeptGrid | null;
  const width = kept?.columns?.labels?.length ?? 0;
  if (!kept || width === 0 || !Array.isArray(kept.ids)) return false;
  const cells = kept.ids.map((_, index) => emptyCell(Math.floor(index / width), index % width));
  grid.value = { columns: kept.columns, rows: kept.rows, cells };
  void readCells(cells, kept.ids);
  return true;
}

async function readCells(cells: readonly GridCell[], ids: readonly (string | null)[]): Promise<void> {
  isReadingGrid.value = true;
  for (const [index, id] of ids.entries()) {
    const cell = cells[index];
    if (id === null || !cell) continue;
    try {
      const task = taskOf(await persistently(() => readTask(id)));
      cell.task.value = task;
      follow(task);
    } catch {
      // Deleted meanwhile; the cell stays empty.
    }
  }
  isReadingGrid.value = false;
}

export function forgetGrid(): void {
  grid.value = null;
  tabStorage.write(NAME, null);
}
