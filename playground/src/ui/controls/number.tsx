/** A number: a slider for the feel of it, and a field to type in. Few whole numbers are side by side. */

import type { ComponentChildren } from "preact";
import { parameterLabel, texts } from "../../i18n";
import { numberOf } from "../../model/body";
import type { NumberControl } from "../../model/controls";
import { hasLevel, isBalanced, levelNumber } from "../../model/relevance";
import { kept, stepsRun } from "../../model/strength";
import { controls } from "../../state/catalogue";
import { setValue, values } from "../../state/settings";
import { usedPictures } from "../../state/pictures";
import { usedStart } from "../../state/start-picture";
import { Segments } from "../widgets";
import { Field, type FieldIds } from "./field";

/** More whole numbers than this get a slider. */
const SIDE_BY_SIDE = 6;

export function NumberField({ control }: { control: NumberControl }) {
  const isDecided = isBalanced(control) && hasLevel(values.value);
  const isFew = control.whole && control.maximum - control.minimum < SIDE_BY_SIDE;
  return (
    <Field
      control={control}
      isGroup={isFew}
      extra={!isDecided && <Reset control={control} />}
      hint={isDecided ? texts.value.control.levelDecides : hintOf(control)}
    >
      {(ids) =>
        isFew ? <FewNumbers control={control} /> : <Slider control={control} ids={ids} isDisabled={isDecided} />
      }
    </Field>
  );
}

function hintOf(control: NumberControl): ComponentChildren {
  return control.name === "strength" ? <StrengthHint control={control} /> : undefined;
}

function FewNumbers({ control }: { control: NumberControl }) {
  const words = Array.from({ length: control.maximum - control.minimum + 1 }, (_, index) =>
    String(control.minimum + index),
  );
  return (
    <Segments
      name={control.name}
      label={parameterLabel(control.name)}
      words={words}
      chosen={String(numberOf(control, values.value))}
      text={(word) => word}
      onChoose={(word) => setValue(control.name, Number(word))}
    />
  );
}

function Slider({ control, ids, isDisabled }: { control: NumberControl; ids: FieldIds; isDisabled: boolean }) {
  const value = levelNumber(control, values.value) ?? numberOf(control, values.value) ?? control.fallback;
  const set = (text: string) => {
    const number = Number(text);
    setValue(control.name, text === "" || Number.isNaN(number) ? undefined : number);
  };
  const bounds = { min: control.minimum, max: control.maximum, step: control.step, disabled: isDisabled };
  return (
    <div class="slider-row">
      <input
        type="range"
        class="slider"
        aria-label={parameterLabel(control.name)}
        {...bounds}
        value={value}
        onInput={(event) => set(event.currentTarget.value)}
      />
      {/* Not every step may be typed: the server takes any number of the range. */}
      <input
        {...ids}
        type="number"
        class="input number-input"
        {...bounds}
        step={control.whole ? 1 : "any"}
        value={value}
        onChange={(event) => set(event.currentTarget.value)}
      />
    </div>
  );
}

/** Shown where the value is not the default. */
function Reset({ control }: { control: NumberControl }) {
  const value = numberOf(control, values.value);
  if (value === control.fallback) return null;
  const { settings } = texts.value;
  return (
    <button type="button" class="text-button" onClick={() => setValue(control.name, undefined)}>
      {settings.setDefault(String(control.fallback))}
    </button>
  );
}

/** What the strength does at the moment. */
function StrengthHint({ control }: { control: NumberControl }) {
  const { strength: words } = texts.value;
  if (usedStart.value === null && usedPictures.value.length === 0) return <>{words.withoutPicture}</>;
  const strength = numberOf(control, values.value) ?? control.fallback;
  const steps = stepsOf();
  return <>{words.hint(strength, stepsRun(steps, strength), steps, words.kept[kept(strength)])}</>;
}

/** The steps that the form has. */
function stepsOf(): number {
  const control = controls.value.find((other) => other.name === "num_inference_steps");
  return control?.kind === "number" ? (numberOf(control, values.value) ?? control.fallback) : 1;
}
