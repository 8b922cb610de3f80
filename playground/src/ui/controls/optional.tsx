/** Numbers that may be missing: one behind a switch, and a second seed, which is drawn where nobody gives one. */

import { parameterLabel, texts } from "../../i18n";
import { drawnSeed, numberOf } from "../../model/body";
import type { NearSeedControl, OptionalNumberControl } from "../../model/controls";
import { setValue, values } from "../../state/settings";
import { IconButton } from "../widgets";
import { Field } from "./field";

/** What a number begins with when it is switched on. */
const FIRST = 32;

export function OptionalNumberField({ control }: { control: OptionalNumberControl }) {
  const value = numberOf(control, values.value);
  const bounds = { min: control.minimum, max: control.maximum };
  const first = Math.min(control.maximum, Math.max(control.minimum, FIRST));
  return (
    <Field
      control={control}
      extra={
        <input
          type="checkbox"
          role="switch"
          class="switch"
          aria-label={parameterLabel(control.name)}
          checked={value !== undefined}
          onChange={(event) => setValue(control.name, event.currentTarget.checked ? first : undefined)}
        />
      }
    >
      {(ids) =>
        value !== undefined && (
          <input
            {...ids}
            type="number"
            class="input number-input"
            {...bounds}
            step={control.whole ? 1 : "any"}
            value={value}
            onChange={(event) => {
              const number = event.currentTarget.valueAsNumber;
              setValue(control.name, Number.isNaN(number) ? undefined : number);
            }}
          />
        )
      }
    </Field>
  );
}

export function NearSeedField({ control }: { control: NearSeedControl }) {
  const { control: words } = texts.value;
  const seed = numberOf(control, values.value);
  return (
    <Field control={control} hint={seed === undefined ? words.nearDrawn : words.nearHint}>
      {(ids) => (
        <div class="seed-row">
          <input
            {...ids}
            type="number"
            class="input"
            min={control.minimum}
            max={control.maximum}
            step={1}
            value={seed ?? ""}
            onChange={(event) => {
              const typed = event.currentTarget.valueAsNumber;
              setValue(control.name, Number.isNaN(typed) || typed < 0 ? undefined : Math.trunc(typed));
            }}
          />
          <IconButton icon="dice" label={words.newNear} onClick={() => setValue(control.name, drawnSeed(control))} />
          {seed !== undefined && (
            <IconButton icon="close" label={words.forgetNear} onClick={() => setValue(control.name, undefined)} />
          )}
        </div>
      )}
    </Field>
  );
}
