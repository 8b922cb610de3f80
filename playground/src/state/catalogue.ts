/** The server's models and LoRAs, and which model is chosen. */

import { computed, signal } from "@preact/signals";
import { ApiError, listLoras, listModels } from "../api/client";
import type { CatalogueItem } from "../api/types";
import { controlsOf, requestSchema, type Control } from "../model/controls";
import { persistently } from "./connection";
import { key } from "./key";
import { problemOf, type Problem } from "./problems";
import { tabStorage } from "./storage";

export type CatalogueState =
  | { kind: "noKey" }
  | { kind: "wrongKey" }
  | { kind: "loading" }
  | { kind: "failed"; problem: Problem }
  | { kind: "ready" };

export const catalogueState = signal<CatalogueState>({ kind: "loading" });
export const models = signal<readonly CatalogueItem[]>([]);
/** Names that requests can give, of all sets of models. */
export const loraNames = signal<readonly string[]>([]);

const wantedModel = signal(tabStorage.read("model") ?? "");

/** What most come for. The catalogue begins with what the service's own does. */
const USUAL = "wavespeed-ai/flux-redux-dev";

/** The chosen model; the usual one unless another was chosen. */
export const model = computed<CatalogueItem | null>(() => {
  const called = (id: string) => models.value.find((item) => item.model_id === id);
  return called(wantedModel.value) ?? called(USUAL) ?? models.value[0] ?? null;
});

export const controls = computed<readonly Control[]>(() => (model.value ? controlsOf(requestSchema(model.value)) : []));

/** Whether tasks of this model are of the page's dialect; the history has those of others, too. */
export function isOffered(id: string): boolean {
  return models.value.some((item) => item.model_id === id);
}

export function chooseModel(id: string): void {
  wantedModel.value = id;
  tabStorage.write("model", id);
}

/** Reads the catalogue with the key that there is; true when that worked. */
export async function loadCatalogue(): Promise<boolean> {
  if (key.value === "") {
    catalogueState.value = { kind: "noKey" };
    return false;
  }
  catalogueState.value = { kind: "loading" };
  const mine = key.value;
  try {
    const [items, loras] = await persistently(() => Promise.all([listModels(), listLoras()]));
    if (mine !== key.value) return false;
    models.value = items;
    loraNames.value = [...new Set(loras.loras.flatMap((set) => set.names))];
    catalogueState.value = { kind: "ready" };
    return true;
  } catch (error) {
    if (mine !== key.value) return false;
    const isRefused = error instanceof ApiError && (error.status === 401 || error.status === 403);
    catalogueState.value = isRefused ? { kind: "wrongKey" } : { kind: "failed", problem: problemOf(error) };
    return false;
  }
}
