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
import { followedScale, followNoPicture, followPicture, pictureRatio } from "../../state/picture-size";
import { setValue, values } from "../../state/settings";
import { Segments } from "../widgets";
import { Field, type FieldIds } from "./field";

const CUSTOM = "custom";
/** The shape of the first picture. */
const PICTURE = "picture";

export function SizeField({ control }: { control: SizeControl }) {
  const { settings } = texts.value;
  const value = valueOf(control, values.value);
  const size = isSize(value) ? value : control.fallback;
  const [scale, setScale] = useState<Scale>("normal");
  const preset = presetOf(size, control.fallback, control, scale);
  const [isCustom, setCustom] = useState(preset === null);
  const ratio = pictureRatio.value;
  const followed = followedScale.value;
  const shown = followed !== null ? PICTURE : isCustom || preset === null ? CUSTOM : preset.shape;
  const usedScale = followed ?? preset?.scale ?? scale;
  const choose = (shape: Shape | typeof PICTURE | typeof CUSTOM, detail: Scale) => {
    setCustom(shape === CUSTOM);
    setScale(detail);
    if (shape === PICTURE) return followPicture(control, detail);
    followNoPicture();
    if (shape !== CUSTOM) setValue(control.name, presetSize(shape, detail, control.fallback, control));
  };
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
            words={[...(ratio === null ? [] : ([PICTURE] as const)), ...SHAPES, CUSTOM]}
            chosen={shown}
            text={(word) => {
              if (word === CUSTOM) return settings.custom;
              if (word === PICTURE) return <ShapeWord ratio={ratio ?? 1} text={settings.asPicture} />;
              const [across, down] = ratioOf(word);
              return <ShapeWord ratio={across / down} text={word} />;
            }}
            onChoose={(word) => choose(word, usedScale)}
          />
          {shown === CUSTOM ? (
            <CustomSize control={control} size={size} ids={ids} />
          ) : (
            <Segments
              name="scale"
              label={settings.detail}
              words={SCALES}
              chosen={usedScale}
              text={(word) => settings.scales[word]}
              onChoose={(word) => choose(shown, word)}
            />
          )}
        </>
      )}
    </Field>
  );
}

function ShapeWord({ ratio, text }: { ratio: number; text: string }) {
  const unit = 18 / Math.max(ratio, 1);
  // A panorama is still to be seen.
  const [width, height] = [Math.max(2, ratio * unit), Math.max(2, unit)];
  return (
    <>
      <svg class="shape" viewBox="0 0 20 20" aria-hidden="true">
        <rect x={10 - width / 2} y={10 - height / 2} width={width} height={height} rx="1.5" />
      </svg>
      {text}
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
