/** Requests to the server, with the key and one form of error. */

import { addressOf } from "./address";
import type { Settings, Uploaded, Prediction, PredictionPage, CatalogueItem, ServerLoras } from "./types";

/** The server refused: `status` and what it says, which may begin with a field's name. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

/** The server was not reached, or something before it answered in its place. */
export class ConnectionError extends Error {}

/** What the requests need of the page, so that this file knows nothing of it. */
export const surroundings = {
  key: (): string => "",
  /** An answer came, or none did. */
  heard: (_reached: boolean): void => {},
};

interface Options {
  method?: string;
  body?: BodyInit;
  headers?: Record<string, string>;
  signal?: AbortSignal;
}

/** The answer to a request with the key, whatever its content. */
export async function request(path: string, options: Options = {}): Promise<Response> {
  const headers = { Authorization: `Bearer ${surroundings.key()}`, ...options.headers };
  const response = await reach(addressOf(path), { ...options, headers });
  if (!response.ok) throw await errorOf(response);
  return response;
}

/** Fetches, and says whether anybody answered. */
async function reach(address: string, options: RequestInit): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(address, options);
  } catch (error) {
    if (options.signal?.aborted) throw error;
    surroundings.heard(false);
    throw new ConnectionError(String(error));
  }
  surroundings.heard(response.status !== 502 && response.status !== 504);
  return response;
}

/** The error that `response` is. A proxy whose server is away answers in its place, without our form of an error. */
async function errorOf(response: Response): Promise<Error> {
  const body: unknown = await response.json().catch(() => null);
  const message = typeof body === "object" && body !== null && "message" in body ? String(body.message) : "";
  if (message === "" && [502, 503, 504].includes(response.status)) {
    surroundings.heard(false);
    return new ConnectionError(`HTTP ${response.status}`);
  }
  return new ApiError(response.status, message);
}

async function data<Data>(path: string, options?: Options): Promise<Data> {
  const response = await request(`api/v3/${path}`, options);
  try {
    return ((await response.json()) as { data: Data }).data;
  } catch (error) {
    if (options?.signal?.aborted) throw error;
    // The connection broke within the answer.
    surroundings.heard(false);
    throw new ConnectionError(String(error));
  }
}

function post(body: unknown, more: Options = {}): Options {
  const headers = { "Content-Type": "application/json", ...more.headers };
  return { ...more, method: "POST", body: JSON.stringify(body), headers };
}

/** Whether the server answers at all. Needs no key. */
export async function isReachable(): Promise<boolean> {
  try {
    const response = await fetch(addressOf("healthz"), { cache: "no-store", signal: AbortSignal.timeout(8000) });
    return response.ok;
  } catch {
    return false;
  }
}

export function listModels(): Promise<CatalogueItem[]> {
  return data("models");
}

export async function listLoras(): Promise<ServerLoras> {
  return (await request("loras")).json() as Promise<ServerLoras>;
}

/** Sends a task. With the same `idempotencyKey` it can be sent again without becoming two. */
export function submit(model: string, settings: Settings, idempotencyKey: string, signal?: AbortSignal) {
  const more = { headers: { "Idempotency-Key": idempotencyKey }, ...(signal ? { signal } : {}) };
  return data<Prediction>(model, post(settings, more));
}

export function readTask(id: string): Promise<Prediction> {
  return data(`predictions/${encodeURIComponent(id)}`);
}

export function cancelTask(id: string): Promise<Prediction> {
  return data(`predictions/${encodeURIComponent(id)}/cancel`, { method: "POST" });
}

export function deleteTasks(ids: readonly string[]): Promise<{ deleted_count: number }> {
  return data("predictions/delete", post({ ids }));
}

/** One page of tasks, newest first; an empty filter leaves that field out. */
export function listTasks(page: number, pageSize: number, filter: { status?: string; model?: string }) {
  const wanted = Object.entries(filter).filter(([, value]) => value);
  return data<PredictionPage>("predictions", post({ page, page_size: pageSize, ...Object.fromEntries(wanted) }));
}

export function openEvents(id: string, signal: AbortSignal): Promise<Response> {
  const headers = { Accept: "text/event-stream" };
  return request(`api/v3/predictions/${encodeURIComponent(id)}/events`, { headers, signal });
}

export function upload(file: Blob, name: string, signal?: AbortSignal): Promise<Uploaded> {
  const form = new FormData();
  form.append("file", file, name);
  return data("media/upload/binary", { method: "POST", body: form, ...(signal ? { signal } : {}) });
}

/** A text that nobody has used before. `crypto.randomUUID` is there over HTTPS only. */
export function freshId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
