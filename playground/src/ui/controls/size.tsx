/** The size of results: a shape, an amount of detail, or numbers. */

import { useState } from "preact/hooks";
import { texts } from "../../i18n";
import { isSize, valueOf } from "../../model/body";
import type { SizeControl } from "../../model/controls";
import {
  GRAIN,
  presetOf,
  presetSize,
  ratioOf,
  rounded,
  SCALES,
  SHAPES,
  sizeText,
  type Scale,
  type Shape,
  type Size,
} from "../../model/sizes";
import { setValue, values } from "../../state/settings";
import { Segments } from "../widgets";
import { Field, type FieldIds } from "./field";

const CUSTOM = "custom";

export function SizeField({ control }: { control: SizeControl }) {
  const { settings } = texts.value;
  const value = valueOf(control, values.value);
  const size = isSize(value) ? value : control.fallback;
  const [scale, setScale] = useState<Scale>("normal");
  const preset = presetOf(size, control.fallback, control, scale);
  const [isCustom, setCustom] = useState(preset === null);
  const choose = (shape: Shape, detail: Scale) => {
    setCustom(false);
    setScale(detail);
    setValue(control.name, presetSize(shape, detail, control.fallback, control));
  };
  const shown = isCustom || preset === null;
  const usedScale = preset?.scale ?? scale;
  return (
    <Field
      control={control}
      isGroup
      extra={<span class="value">{sizeText(size, " × ")}</span>}
      hint={roundedText(size)}
    >
      {(ids) => (
        <>
          <Segments
            name="shape"
            class="shapes"
            label={settings.shape}
            words={[...SHAPES, CUSTOM]}
            chosen={shown ? CUSTOM : preset.shape}
            text={(word) => (word === CUSTOM ? settings.custom : <ShapeWord shape={word} />)}
            onChoose={(word) => (word === CUSTOM ? setCustom(true) : choose(word, usedScale))}
          />
          {shown ? (
            <CustomSize control={control} size={size} ids={ids} />
          ) : (
            <Segments
              name="scale"
              label={settings.detail}
              words={SCALES}
              chosen={usedScale}
              text={(word) => settings.scales[word]}
              onChoose={(word) => choose(preset.shape, word)}
            />
          )}
        </>
      )}
    </Field>
  );
}

function ShapeWord({ shape }: { shape: Shape }) {
  const [width, height] = ratioOf(shape);
  const unit = 18 / Math.max(width, height);
  return (
    <>
      <svg class="shape" viewBox="0 0 20 20" aria-hidden="true">
        <rect
          x={10 - (width * unit) / 2}
          y={10 - (height * unit) / 2}
          width={width * unit}
          height={height * unit}
          rx="1.5"
        />
      </svg>
      {shape}
    </>
  );
}

function CustomSize({ control, size, ids }: { control: SizeControl; size: Size; ids: FieldIds }) {
  const { settings } = texts.value;
  const side = (name: "width" | "height", label: string) => (
    <label class="side">
      <span>{label}</span>
      <input
        type="number"
        class="input"
        aria-describedby={ids["aria-describedby"]}
        aria-invalid={ids["aria-invalid"]}
        min={control.minimum}
        max={control.maximum}
        step={GRAIN}
        value={size[name]}
        onChange={(event) => {
          const pixels = Math.trunc(event.currentTarget.valueAsNumber);
          if (pixels > 0) setValue(control.name, { ...size, [name]: pixels });
        }}
      />
    </label>
  );
  return (
    <div class="sides">
      {side("width", settings.width)}
      <span aria-hidden="true">×</span>
      {side("height", settings.height)}
      <span class="hint">{settings.range(control.minimum, control.maximum)}</span>
    </div>
  );
}

/** What becomes of a size that is not in whole grains; undefined leaves the explanation. */
function roundedText(size: Size): string | undefined {
  const made = rounded(size);
  if (made.width === size.width && made.height === size.height) return undefined;
  return texts.value.settings.sizeRounded(sizeText(made, " × "));
}
