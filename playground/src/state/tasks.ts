/** The tasks that the page knows, with what is heard of those that run. */

import { signal, type Signal } from "@preact/signals";
import { localAddress, pageBase, serverBaseOf } from "../api/address";
import { isOver, type Prediction, type TaskEvent } from "../api/types";
import { StepClock } from "../model/eta";
import { asSettings } from "../model/foreign";

/** What a task that is not over does at the moment. */
export interface Progress {
  /** Tasks before it in the queue; null when that is not known. */
  place: number | null;
  stage: string | null;
  done: number;
  total: number;
}

const NOTHING: Progress = { place: null, stage: null, done: 0, total: 0 };

export class Task {
  readonly prediction: Signal<Prediction>;
  readonly progress = signal<Progress>(NOTHING);
  readonly preview = signal<string | null>(null);
  readonly isCancelling = signal(false);
  readonly clock = new StepClock();
  /** When the server was last asked after it. */
  askedAt = 0;

  constructor(prediction: Prediction) {
    this.prediction = signal(prediction);
  }

  get id(): string {
    return this.prediction.peek().id;
  }

  get isOver(): boolean {
    return isOver(this.prediction.value.status);
  }

  /** Takes what the server says now. A late answer does not bring a task that is over back to life. */
  update(prediction: Prediction): void {
    if (isOver(this.prediction.peek().status) && !isOver(prediction.status)) return;
    this.prediction.value = prediction;
    if (!isOver(prediction.status)) return;
    this.preview.value = null;
    this.progress.value = NOTHING;
    this.isCancelling.value = false;
  }

  /** Takes an event of the task's stream. */
  hear(event: TaskEvent): void {
    const progress = this.progress.peek();
    const prediction = this.prediction.peek();
    if (isOver(prediction.status)) return;
    if (event.type === "queue") {
      this.progress.value = { ...NOTHING, place: event.place };
      // It ran before when its process died; then it waits again.
      if (prediction.status !== "created") this.prediction.value = { ...prediction, status: "created" };
      return;
    }
    if (event.type === "preview") this.preview.value = event.url;
    if (event.type === "stage") this.progress.value = { ...progress, place: null, stage: event.stage };
    if (event.type === "step") {
      this.clock.note(event.done, performance.now());
      this.progress.value = { ...progress, place: null, done: event.done, total: event.total };
    }
    if (prediction.status === "created") this.prediction.value = { ...prediction, status: "processing" };
  }

  /** Seconds that are left by the steps so far; null while nothing is known. */
  secondsLeft(): number | null {
    return this.clock.left(this.progress.value.total, performance.now());
  }
}

const known = new Map<string, Task>();

/** The task that `prediction` is about, with what it says. */
export function taskOf(prediction: Prediction): Task {
  const task = known.get(prediction.id);
  if (!task) {
    const made = new Task(prediction);
    known.set(prediction.id, made);
    return made;
  }
  task.update(prediction);
  return task;
}

export function knownTask(id: string): Task | undefined {
  return known.get(id);
}

export function forgetTask(id: string): void {
  known.delete(id);
}

export function forgetTasks(): void {
  known.clear();
}

/** The addresses of a task's results as this page reaches them. Results that came as base64 become data URIs. */
export function outputsOf(prediction: Prediction): string[] {
  return prediction.outputs.map((output) => {
    if (/^https?:/.test(output)) return here(prediction, output);
    return `data:image/${output.startsWith("/9j/") ? "jpeg" : "png"};base64,${output}`;
  });
}

/** The addresses of the pictures that a task was sent; those that were inlined are not there any more. */
export function inputsOf(prediction: Prediction): string[] {
  const { image, images } = asSettings(prediction.input);
  const all = [image, ...(Array.isArray(images) ? images : [])];
  const isAddress = (value: unknown): value is string => typeof value === "string" && /^https?:/.test(value);
  return all.filter(isAddress).map((address) => here(prediction, address));
}

function here(prediction: Prediction, address: string): string {
  return localAddress(address, serverBaseOf(prediction.urls.get), pageBase());
}

/** Whether result `index` of a task was flagged; null when nobody looked. */
export function isFlagged(prediction: Prediction, index: number): boolean | null {
  return prediction.has_nsfw_contents[index] ?? null;
}
