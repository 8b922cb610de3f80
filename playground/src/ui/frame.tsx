/** The place of a picture on the stage: of the picture's shape, whether it is there yet or not. */

import type { ComponentChildren, CSSProperties } from "preact";
import { useState } from "preact/hooks";
import type { Prediction } from "../api/types";
import { asSettings } from "../model/foreign";
import { parseSize } from "../model/sizes";

interface FrameProps {
  prediction: Prediction;
  /** Is given what to tell the picture's shape to, once it is known. */
  children: (onRatio: (ratio: number) => void) => ComponentChildren;
}

export function Frame({ prediction, children }: FrameProps) {
  const size = parseSize(String(asSettings(prediction.input)["size"] ?? ""));
  const [seen, setSeen] = useState<number | null>(null);
  const ratio = size ? size.width / size.height : (seen ?? 1);
  const style = { "--ratio": String(ratio) } as CSSProperties;
  return (
    <div class={size ? "canvas canvas-sized" : "canvas"} style={style}>
      {children((known) => {
        if (Number.isFinite(known) && known > 0) setSeen(known);
      })}
    </div>
  );
}
