/** Reads the status again and again while somebody looks. */

import { signal } from "@preact/signals";
import { ApiError, ConnectionError, request } from "../api/client";
import { key, setKey, takeKey } from "../state/key";
import { problemOf, type Problem } from "../state/problems";
import type { OperatorStatus } from "./types";

/** Why the figures that are shown are not of now. */
export type Trouble = "unreachable" | "refused";

export type Watched =
  | { kind: "noKey" }
  | { kind: "wrongKey" }
  | { kind: "loading" }
  /** `command` gives the key its role. */
  | { kind: "notOperator"; detail: string }
  | { kind: "failed"; problem: Problem }
  /** `readAt` is by this browser's clock. */
  | { kind: "ready"; status: OperatorStatus; readAt: number; trouble: Trouble | null };

export const watched = signal<Watched>({ kind: "loading" });

/** Milliseconds between two readings. */
const PAUSE = 5000;
/** After which an answer is not waited for any longer. */
const PATIENCE = 15_000;

let timer: ReturnType<typeof setTimeout> | undefined;
/** Tells a reading from those before it, which have nothing to say any more. */
let reading = 0;

export function startWatching(): void {
  takeKey();
  void readAgain();
  addEventListener("hashchange", () => {
    if (takeKey()) changed();
  });
  document.addEventListener("visibilitychange", () => {
    clearTimeout(timer);
    if (document.visibilityState === "visible") void readAgain();
  });
}

/** Uses another key. */
export function useKey(value: string, remember: boolean): void {
  setKey(value, remember);
  changed();
}

export function forgetKey(): void {
  useKey("", false);
}

function changed(): void {
  watched.value = { kind: "loading" };
  void readAgain();
}

export async function readAgain(): Promise<void> {
  clearTimeout(timer);
  const mine = ++reading;
  if (key.value === "") {
    watched.value = { kind: "noKey" };
    return;
  }
  const next = await read();
  if (mine !== reading) return;
  watched.value = next;
  const isWorthAsking = next.kind === "ready" || next.kind === "failed";
  if (isWorthAsking && document.visibilityState === "visible") timer = setTimeout(() => void readAgain(), PAUSE);
}

async function read(): Promise<Watched> {
  try {
    const response = await request("api/status", { signal: AbortSignal.timeout(PATIENCE) });
    const status = (await response.json()) as OperatorStatus;
    return { kind: "ready", status, readAt: Date.now(), trouble: null };
  } catch (error) {
    return afterError(watched.peek(), error);
  }
}

/** What is shown after `error`: figures that were there stay, and say that they are old. */
export function afterError(before: Watched, error: unknown): Watched {
  if (error instanceof ApiError && error.status === 401) return { kind: "wrongKey" };
  if (error instanceof ApiError && error.status === 403) return { kind: "notOperator", detail: error.message };
  if (before.kind === "ready") return { ...before, trouble: error instanceof ApiError ? "refused" : "unreachable" };
  // An answer that did not come in time, or broke off, is none.
  const told = error instanceof ApiError ? error : new ConnectionError(String(error));
  return { kind: "failed", problem: problemOf(told) };
}
