/** Prompt, seed, switches, words and LoRAs. */

import { useState } from "preact/hooks";
import { parameterExplanation, parameterLabel, texts } from "../../i18n";
import { numberOf, valueOf, type LoraChoice } from "../../model/body";
import type {
  ChoiceControl,
  LorasControl,
  PromptControl,
  SeedControl,
  SwitchControl,
  TextControl,
} from "../../model/controls";
import { loraNames } from "../../state/catalogue";
import { fieldErrors } from "../../state/problems";
import { drawSeed, seedLocked, setValue, values } from "../../state/settings";
import { IconButton, Segments } from "../widgets";
import { ErrorText, Field, Marked } from "./field";

function textOf(control: PromptControl | TextControl): string {
  const value = values.value[control.name];
  return typeof value === "string" ? value : "";
}

export function PromptField({ control }: { control: PromptControl }) {
  const { settings } = texts.value;
  return (
    <Field control={control}>
      {(ids) => (
        <textarea
          {...ids}
          class="input prompt"
          rows={3}
          maxLength={control.longest}
          placeholder={control.required ? settings.promptRequired : settings.promptOptional}
          required={control.required}
          value={textOf(control)}
          onInput={(event) => setValue(control.name, event.currentTarget.value)}
        />
      )}
    </Field>
  );
}

export function TextField({ control }: { control: TextControl }) {
  return (
    <Field control={control}>
      {(ids) => (
        <input
          {...ids}
          type="text"
          class="input"
          maxLength={control.longest}
          value={textOf(control)}
          onInput={(event) => setValue(control.name, event.currentTarget.value)}
        />
      )}
    </Field>
  );
}

export function SeedField({ control }: { control: SeedControl }) {
  const { settings } = texts.value;
  const isLocked = seedLocked.value;
  return (
    <Field control={control} hint={isLocked ? settings.seedLocked : settings.seedOpen}>
      {(ids) => (
        <div class="seed-row">
          <input
            {...ids}
            type="number"
            class="input"
            min={control.minimum}
            max={control.maximum}
            step={1}
            value={numberOf(control, values.value) ?? ""}
            onChange={(event) => {
              const seed = event.currentTarget.valueAsNumber;
              if (Number.isNaN(seed)) return drawSeed();
              setValue(control.name, Math.trunc(seed));
              // Whoever types a seed wants that one.
              seedLocked.value = true;
            }}
          />
          <IconButton icon="dice" label={settings.newSeed} onClick={drawSeed} />
          <IconButton
            icon={isLocked ? "lock" : "unlock"}
            label={settings.lockSeed}
            pressed={isLocked}
            onClick={() => (seedLocked.value = !isLocked)}
          />
        </div>
      )}
    </Field>
  );
}

export function SwitchField({ control }: { control: SwitchControl }) {
  const isOn = valueOf(control, values.value) === true;
  const { text, lang } = parameterExplanation(control.name, control.description);
  const hintId = `${control.name}-hint`;
  const errorId = `${control.name}-error`;
  const error = fieldErrors.value[control.name];
  return (
    <div class="field" data-field={control.name}>
      <label class="switch-row">
        <span class="label">{parameterLabel(control.name)}</span>
        <input
          type="checkbox"
          role="switch"
          class="switch"
          checked={isOn}
          aria-describedby={error ? `${errorId} ${hintId}` : hintId}
          onChange={(event) => setValue(control.name, event.currentTarget.checked)}
        />
      </label>
      <ErrorText id={errorId} name={control.name} />
      <p class="hint" id={hintId} lang={lang}>
        <Marked text={text} />
      </p>
    </div>
  );
}

/** More words than this are a list to choose from: side by side they would be too narrow to read. */
const SIDE_BY_SIDE = 4;

export function ChoiceField({ control }: { control: ChoiceControl }) {
  if (control.options.length > SIDE_BY_SIDE) return <LongChoice control={control} />;
  const chosen = String(valueOf(control, values.value) ?? "");
  return (
    <Field control={control} isGroup>
      {() => (
        <Segments
          name={control.name}
          label={parameterLabel(control.name)}
          words={control.options}
          chosen={chosen}
          text={(word) => word.toUpperCase()}
          onChoose={(word) => setValue(control.name, word)}
        />
      )}
    </Field>
  );
}

function LongChoice({ control }: { control: ChoiceControl }) {
  const { levels } = texts.value.control;
  return (
    <Field control={control}>
      {(ids) => (
        <select
          {...ids}
          class="input"
          value={String(valueOf(control, values.value) ?? "")}
          onChange={(event) => {
            const word = event.currentTarget.value;
            setValue(control.name, word === control.fallback ? undefined : word);
          }}
        >
          {control.options.map((word) => (
            <option key={word} value={word}>
              {levels[word] ?? word}
            </option>
          ))}
        </select>
      )}
    </Field>
  );
}

export function LorasField({ control }: { control: LorasControl }) {
  const value = values.value[control.name];
  const chosen = Array.isArray(value) ? value : [];
  const free = loraNames.value.filter((name) => !chosen.some((lora) => lora.path === name));
  if (loraNames.value.length === 0 && chosen.length === 0) return null;
  const set = (loras: LoraChoice[]) => setValue(control.name, loras.length > 0 ? loras : undefined);
  return (
    <Field control={control} isGroup>
      {() => (
        <>
          {chosen.map((lora) => (
            <ChosenLora
              key={lora.path}
              lora={lora}
              control={control}
              onScale={(scale) => set(chosen.map((other) => (other === lora ? { ...lora, scale } : other)))}
              onRemove={() => set(chosen.filter((other) => other !== lora))}
            />
          ))}
          {free.length > 0 && chosen.length < control.most && (
            <AddLora names={free} onAdd={(path) => set([...chosen, { path, scale: control.fallback }])} />
          )}
        </>
      )}
    </Field>
  );
}

interface ChosenLoraProps {
  lora: LoraChoice;
  control: LorasControl;
  onScale: (scale: number) => void;
  onRemove: () => void;
}

function ChosenLora({ lora, control, onScale, onRemove }: ChosenLoraProps) {
  const { settings } = texts.value;
  const bounds = { min: control.minimum, max: control.maximum };
  return (
    <div class="lora">
      <span class="lora-name">{lora.path}</span>
      <input
        type="range"
        class="slider"
        {...bounds}
        step={0.05}
        value={lora.scale}
        aria-label={settings.loraScale(lora.path)}
        onInput={(event) => onScale(event.currentTarget.valueAsNumber)}
      />
      <span class="value">{lora.scale}</span>
      <IconButton icon="close" label={settings.removeLora(lora.path)} onClick={onRemove} />
    </div>
  );
}

function AddLora({ names, onAdd }: { names: readonly string[]; onAdd: (name: string) => void }) {
  const { settings } = texts.value;
  const [name, setName] = useState("");
  const chosen = names.includes(name) ? name : "";
  return (
    <div class="add-row">
      <select
        class="input"
        aria-label={settings.chooseLora}
        value={chosen}
        onChange={(event) => setName(event.currentTarget.value)}
      >
        <option value="">{settings.chooseLora}</option>
        {names.map((each) => (
          <option key={each} value={each}>
            {each}
          </option>
        ))}
      </select>
      <button type="button" class="button" disabled={chosen === ""} onClick={() => onAdd(chosen)}>
        {settings.addLora}
      </button>
    </div>
  );
}
