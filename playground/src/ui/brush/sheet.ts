/** The mask while it is being painted: its steps back, and how it is shown on a canvas. */

import { signal } from "@preact/signals";
import { stroke, type Area, type Point } from "../../model/brush";
import { paintedShare, tinted, type Mask } from "../../model/mask";

/** Steps back. Each keeps a copy, of a megabyte at most. */
const MOST_STEPS = 30;

export class MaskSheet {
  /** How much is painted, from 0 to 1; told when a step is over. */
  readonly share = signal(0);
  /** How many steps can be taken back. */
  readonly steps = signal(0);
  #mask: Mask;
  #past: Mask["data"][] = [];
  #context: CanvasRenderingContext2D | null = null;

  constructor(mask: Mask) {
    // What it comes from stays as it is when the dialog is left.
    this.#mask = { ...mask, data: mask.data.slice() };
    this.share.value = paintedShare(mask);
  }

  get mask(): Mask {
    return this.#mask;
  }

  /** Shows the mask on `canvas` from now on. */
  showOn(canvas: HTMLCanvasElement | null): void {
    this.#context = canvas?.getContext("2d") ?? null;
    this.#show({ left: 0, top: 0, width: this.#mask.width, height: this.#mask.height });
  }

  /** Begins a step that can be taken back. */
  begin(): void {
    this.#past = [...this.#past, this.#mask.data.slice()].slice(-MOST_STEPS);
    this.steps.value = this.#past.length;
  }

  paint(from: Point, to: Point, width: number, isErasing: boolean): void {
    this.#show(stroke(this.#mask, from, to, width, isErasing));
  }

  /** Ends a step: what is told of the whole mask is right again. */
  end(): void {
    this.share.value = paintedShare(this.#mask);
  }

  /** Puts another mask of the same size in its place, as one step. */
  replace(mask: Mask): void {
    this.begin();
    this.#take(mask.data);
  }

  undo(): void {
    const before = this.#past.at(-1);
    if (!before) return;
    this.#past = this.#past.slice(0, -1);
    this.steps.value = this.#past.length;
    this.#take(before);
  }

  #take(data: Mask["data"]): void {
    this.#mask = { ...this.#mask, data };
    this.#show({ left: 0, top: 0, width: this.#mask.width, height: this.#mask.height });
    this.end();
  }

  #show({ left, top, width, height }: Area): void {
    if (!this.#context || width === 0 || height === 0) return;
    const pixels = tinted(this.#mask, left, top, { width, height });
    this.#context.putImageData(new ImageData(pixels, width, height), left, top);
  }
}
