/** What the server answers, by the names of its own description (`schema.d.ts`), narrowed where that is vague. */

import type { components } from "./schema";

type Schemas = components["schemas"];

/** The word for a task's state. */
export type Status = "created" | "processing" | "completed" | "failed" | "cancelled";

/** The body of a submit, and what a task says it was sent. */
export type Settings = Record<string, unknown>;

/** A task and, when it is completed, its results. */
export type Prediction = Omit<Schemas["Prediction"], "status" | "input"> & { status: Status; input: Settings };

/** One page of tasks, newest first. */
export type PredictionPage = Omit<Schemas["Envelope_PredictionPage"]["data"], "items"> & { items: Prediction[] };

/** A file that was uploaded. */
export type Uploaded = Schemas["Envelope_Uploaded"]["data"];

/** The names of LoRAs, by set of models. */
export type ServerLoras = Schemas["ServerLoras"];

/** The schema of one parameter, as far as the page reads it. */
export interface PropertySchema {
  type?: string | string[];
  enum?: unknown[];
  default?: unknown;
  description?: string;
  minimum?: number;
  maximum?: number;
  maxLength?: number;
  maxItems?: number;
  items?: PropertySchema;
  properties?: Record<string, PropertySchema>;
  "x-minimum-side"?: number;
  "x-maximum-side"?: number;
}

/** The schema of a model's request. */
export interface RequestSchema {
  properties: Record<string, PropertySchema>;
  required?: string[];
  "x-order-properties"?: string[];
}

/** One model of the catalogue. */
export type CatalogueItem = Omit<Schemas["Envelope_Vec_CatalogueItem"]["data"][number], "api_schema"> & {
  api_schema: { api_schemas: { request_schema: RequestSchema }[] };
};

/** One event of a task's stream. */
export type TaskEvent =
  | { type: "queue"; place: number }
  | { type: "stage"; stage: string }
  | { type: "step"; done: number; total: number }
  | { type: "preview"; url: string };

/** Whether nothing more will come of a task in this state. */
export function isOver(status: Status): boolean {
  return status !== "created" && status !== "processing";
}
