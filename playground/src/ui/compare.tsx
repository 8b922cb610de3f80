/** Input and result in one frame, with a line between them that can be moved. */

import { useRef, useState } from "preact/hooks";
import { texts } from "../i18n";
import { Picture } from "./widgets";

interface CompareProps {
  input: string;
  result: string;
  /** Name of the result. */
  name: string;
}

const STEP = 2;
const LEAP = 10;

export function Compare({ input, result, name }: CompareProps) {
  const { actions, task: words } = texts.value;
  const frame = useRef<HTMLDivElement>(null);
  // How much of the frame, from the left, shows the input.
  const [split, setSplit] = useState(50);
  const move = (clientX: number) => {
    const box = frame.current?.getBoundingClientRect();
    if (box && box.width > 0) setSplit(bounded(((clientX - box.left) / box.width) * 100));
  };
  return (
    <div
      ref={frame}
      class="compare"
      onPointerDown={(event) => {
        if (event.button !== 0) return;
        event.currentTarget.setPointerCapture(event.pointerId);
        move(event.clientX);
      }}
      onPointerMove={(event) => {
        if (event.currentTarget.hasPointerCapture(event.pointerId)) move(event.clientX);
      }}
    >
      <Picture src={result} alt={name} />
      <div class="compare-input" style={{ clipPath: `inset(0 ${100 - split}% 0 0)` }}>
        <Picture src={input} alt={words.input} />
      </div>
      <span class="compare-label compare-label-input" aria-hidden="true">
        {words.input}
      </span>
      <span class="compare-label compare-label-result" aria-hidden="true">
        {name}
      </span>
      <div
        class="compare-line"
        style={{ left: `${split}%` }}
        role="slider"
        tabIndex={0}
        aria-label={actions.compareSlider}
        aria-valuemin={0}
        aria-valuemax={100}
        aria-valuenow={Math.round(split)}
        aria-valuetext={actions.comparePosition(Math.round(100 - split))}
        onKeyDown={(event) => {
          const moved = keyed(event.key, split);
          if (moved === null) return;
          event.preventDefault();
          setSplit(moved);
        }}
      >
        <span class="compare-handle" aria-hidden="true" />
      </div>
    </div>
  );
}

/** Where `key` moves a line at `split`; null: it does not. */
function keyed(key: string, split: number): number | null {
  switch (key) {
    case "ArrowLeft":
    case "ArrowDown":
      return bounded(split - STEP);
    case "ArrowRight":
    case "ArrowUp":
      return bounded(split + STEP);
    case "PageDown":
      return bounded(split - LEAP);
    case "PageUp":
      return bounded(split + LEAP);
    case "Home":
      return 0;
    case "End":
      return 100;
    default:
      return null;
  }
}

function bounded(percent: number): number {
  return Math.min(100, Math.max(0, percent));
}
