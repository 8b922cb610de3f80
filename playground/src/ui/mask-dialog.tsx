/** Opens the brush, which is loaded when somebody first wants it. It lies outside of the form, which its keys would send. */

import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { texts } from "../i18n";
import type { InputPicture } from "../state/input-picture";
import { notify } from "../state/notices";
import type { BrushDialog } from "./brush/dialog";

/** The picture whose mask is being painted. */
export const paintedPicture = signal<InputPicture | null>(null);

const brush = signal<typeof BrushDialog | null>(null);

export function MaskDialog() {
  const picture = paintedPicture.value;
  const Brush = brush.value;
  useEffect(() => {
    if (picture && !brush.peek()) void load();
  }, [picture]);
  return picture && Brush ? <Brush picture={picture} onClose={() => (paintedPicture.value = null)} /> : null;
}

async function load(): Promise<void> {
  try {
    brush.value = (await import("./brush/dialog")).BrushDialog;
  } catch {
    paintedPicture.value = null;
    notify(texts.value.errors.partMissing, true);
  }
}
