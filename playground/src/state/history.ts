/** The key's tasks, newest first, read a page at a time as they come into view. */

import { signal } from "@preact/signals";
import { ConnectionError, listTasks } from "../api/client";
import type { Prediction, Status } from "../api/types";
import { isOffered } from "./catalogue";
import { whenReachable } from "./connection";
import { drop, follow } from "./follow";
import { problemOf, type Problem } from "./problems";
import { taskOf, type Task } from "./tasks";

/** Tasks on a page: the most that the server sends. */
export const PAGE = 100;
const AGAIN_AFTER = 5000;
/** Pages that are read at once. */
const READERS = 2;

export interface Filter {
  status: Status | "";
  model: string;
}

export const filter = signal<Filter>({ status: "", model: "" });

/** What is known of the list. Rows that were not read yet are undefined; a new object tells that rows have changed. */
export interface Listing {
  rows: (Task | undefined)[];
  /** Null until the first page is there. */
  total: number | null;
  problem: Problem | null;
}

const NOTHING: Listing = { rows: [], total: null, problem: null };

export const listing = signal<Listing>(NOTHING);

let wanted: number[] = [];
const reading = new Set<number>();
/** Tells answers to an earlier filter or key apart. */
let generation = 0;

/** Begins anew: another key or filter, or somebody wants to see what is new. */
export function reload(): void {
  generation++;
  reading.clear();
  wanted = [];
  listing.value = { ...listing.value, problem: null, total: null };
  want([1]);
}

export function setFilter(change: Partial<Filter>): void {
  filter.value = { ...filter.value, ...change };
  listing.value = NOTHING;
  reload();
}

/** Empties the list without reading it again. */
export function forgetHistory(): void {
  generation++;
  reading.clear();
  wanted = [];
  listing.value = NOTHING;
}

/** Reads `pages`, from 1, unless they are there. What was wanted before and is not any more is not read. */
export function want(pages: readonly number[]): void {
  wanted = [...pages];
  readOn();
}

function isRead(page: number): boolean {
  const { rows, total } = listing.value;
  if (total === null) return false;
  const end = Math.min(page * PAGE, total);
  for (let row = (page - 1) * PAGE; row < end; row++) if (!rows[row]) return false;
  return true;
}

function readOn(): void {
  for (const page of wanted) {
    if (reading.size >= READERS) return;
    if (!reading.has(page) && !isRead(page)) void read(page);
  }
}

async function read(page: number): Promise<void> {
  const mine = generation;
  reading.add(page);
  try {
    const answer = await listTasks(page, PAGE, filter.value);
    if (mine === generation) place(page, answer.items, answer.total);
  } catch (error) {
    if (mine !== generation) return;
    if (!(error instanceof ConnectionError)) {
      wanted = [];
      listing.value = { ...listing.value, problem: problemOf(error) };
    }
    await whenReachable();
  } finally {
    if (mine === generation) {
      reading.delete(page);
      readOn();
    }
  }
}

/** Puts a page's tasks in their rows. */
function place(page: number, items: readonly Prediction[], total: number): void {
  const before = listing.value;
  // Others may have added or deleted tasks, which moves all rows: those of other pages are read again when they are seen.
  const moved = before.total !== total;
  const rows: (Task | undefined)[] = moved ? [] : [...before.rows];
  rows.length = total;
  const tasks = items.map(taskOf);
  tasks.forEach((task, index) => (rows[(page - 1) * PAGE + index] = task));
  listing.value = { rows, total, problem: null };
  for (const task of tasks) if (isOffered(task.prediction.peek().model)) follow(task);
  readAgainLater();
}

let later: ReturnType<typeof setTimeout> | null = null;

/** Tasks of other dialects cannot be followed one by one; while one of the newest is not over, the first page is read again. */
function readAgainLater(): void {
  const newest = listing.value.rows.slice(0, PAGE);
  const isWaiting = newest.some((task) => task && !task.isOver && !isOffered(task.prediction.peek().model));
  if (!isWaiting || later !== null) return;
  const mine = generation;
  later = setTimeout(() => {
    later = null;
    if (mine === generation && !reading.has(1)) void read(1);
  }, AGAIN_AFTER);
}

/** Shows a task that this page has just sent, without asking. */
export function addToHistory(task: Task): void {
  const { rows, total } = listing.value;
  const { status, model } = filter.value;
  const { prediction } = task;
  const matches =
    (status === "" || status === prediction.peek().status) && (model === "" || model === prediction.peek().model);
  if (total === null || !matches || rows.includes(task)) return;
  listing.value = { ...listing.value, rows: [task, ...rows], total: total + 1 };
}

/** Takes a task that was deleted out of the list. */
export function removeFromHistory(task: Task): void {
  drop(task);
  const { rows, total } = listing.value;
  const index = rows.indexOf(task);
  if (index < 0 || total === null) return;
  listing.value = { ...listing.value, rows: rows.filter((_, row) => row !== index), total: total - 1 };
}
