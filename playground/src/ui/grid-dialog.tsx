/** Chooses what a grid runs through. */

import { signal } from "@preact/signals";
import { useId, useState } from "preact/hooks";
import { parameterLabel, texts } from "../i18n";
import { canVary, MOST_CELLS, parseAxis, type AxisProblem, type AxisResult } from "../model/grid";
import type { Control } from "../model/controls";
import { isRelevant } from "../model/relevance";
import { controls } from "../state/catalogue";
import { company } from "../state/company";
import { startGrid } from "../state/grid";
import { usedPictures } from "../state/pictures";
import { values } from "../state/settings";
import { Icon } from "./icons";
import { Dialog } from "./widgets";

interface Choice {
  name: string;
  text: string;
}

/** Values to begin with, so that a grid is two clicks. */
const SUGGESTED: Record<string, string> = {
  seed: "1..4",
  strength: "0.3, 0.6, 0.9",
  redux_strength: "0.2, 0.5, 1",
  redux_downsample: "1, 2, 3",
  guidance_scale: "2, 3.5, 5",
  num_inference_steps: "8, 16, 28",
  balance: "picture, even, prompt",
  variation_strength: "0, 0.05, 0.1, 0.2",
  mask_blur: "0, 4, 16",
  mask_crop: "16, 64, 128",
};

/** Whether the dialog is open. It lies outside of the form, which its keys would send otherwise. */
export const isPlanning = signal(false);

export function GridDialog() {
  return isPlanning.value ? <Planner onClose={() => (isPlanning.value = false)} /> : null;
}

function Planner({ onClose }: { onClose: () => void }) {
  const { grid: words } = texts.value;
  const [columns, setColumns] = useState<Choice>(() => suggested(firstOf(offeredBeside(null))));
  const [rows, setRows] = useState<Choice>({ name: "", text: "" });
  const down = read(offeredBeside(null), rows);
  const offeredAcross = offeredBeside(down);
  const across = read(offeredAcross, columns);
  const offeredDown = offeredBeside(across);
  const isSame = rows.name !== "" && rows.name === columns.name;
  const count = countOf(across) * (down ? countOf(down) : 1);
  const canStart = count > 0 && count <= MOST_CELLS && !isSame;
  const start = () => {
    if (!canStart || !across || !("axis" in across)) return;
    // The dialog goes first: an error has to find the focus in the form.
    onClose();
    void startGrid(across.axis, down && "axis" in down ? down.axis : null);
  };
  const isWrong = isSame || count > MOST_CELLS;
  return (
    <Dialog title={words.dialogTitle} onClose={onClose}>
      <form
        noValidate
        autoComplete="off"
        onSubmit={(event) => {
          event.preventDefault();
          start();
        }}
      >
        <p>{words.explanation}</p>
        <AxisFields
          title={words.columns}
          offered={offeredAcross}
          choice={columns}
          result={across}
          onChange={setColumns}
        />
        <AxisFields
          title={words.rows}
          offered={offeredDown}
          choice={rows}
          result={down}
          onChange={setRows}
          isOptional
        />
        <p class={isWrong ? "grid-count error-text" : "grid-count"} role="status">
          {isSame ? words.sameAxis : count > MOST_CELLS ? words.tooMany(count, MOST_CELLS) : words.count(count)}
        </p>
        <div class="dialog-buttons">
          <button type="button" class="button" onClick={onClose}>
            {texts.value.common.cancel}
          </button>
          <button type="submit" class="button button-main" disabled={!canStart}>
            <Icon name="grid" />
            {words.start}
          </button>
        </div>
      </form>
    </Dialog>
  );
}

/** What a grid can run through so that its pictures differ, when it also runs through `other`. */
function offeredBeside(other: AxisResult | null): readonly Control[] {
  const last = other && "axis" in other ? { [other.axis.name]: other.axis.values.at(-1) ?? "" } : {};
  const hasPicture = usedPictures.value.length > 0 || company.value.hasStart;
  return controls.value.filter(
    (control) =>
      canVary(control) &&
      control.name !== "num_images" &&
      (control.name !== "strength" || hasPicture) &&
      isRelevant(control, controls.value, { ...values.value, ...last }, company.value),
  );
}

function firstOf(offered: readonly Control[]): string {
  const preferred = ["strength", "balance", "seed"].find((name) => offered.some((control) => control.name === name));
  return preferred ?? offered[0]?.name ?? "";
}

function suggested(name: string): Choice {
  return { name, text: SUGGESTED[name] ?? "" };
}

function read(offered: readonly Control[], choice: Choice): AxisResult | null {
  const control = offered.find((candidate) => candidate.name === choice.name);
  return control ? parseAxis(control, choice.text) : null;
}

function countOf(result: AxisResult | null): number {
  return result && "axis" in result ? result.axis.values.length : 0;
}

interface AxisProps {
  title: string;
  offered: readonly Control[];
  choice: Choice;
  result: AxisResult | null;
  onChange: (choice: Choice) => void;
  isOptional?: boolean;
}

function AxisFields({ title, offered, choice, result, onChange, isOptional }: AxisProps) {
  const { grid: words } = texts.value;
  const id = useId();
  const control = offered.find((candidate) => candidate.name === choice.name);
  const problem = result && "problem" in result ? problemText(result.problem, result.part) : null;
  return (
    <fieldset class="axis">
      <legend>{title}</legend>
      <select
        class="input"
        aria-label={title}
        value={choice.name}
        onChange={(event) => onChange(suggested(event.currentTarget.value))}
      >
        {isOptional && <option value="">{words.none}</option>}
        {offered.map(({ name }) => (
          <option key={name} value={name}>
            {parameterLabel(name)}
          </option>
        ))}
      </select>
      {control && (
        <>
          <input
            type="text"
            class="input"
            aria-label={words.valuesOf(parameterLabel(control.name))}
            aria-describedby={`${id}-hint ${id}-error`}
            aria-invalid={problem && choice.text ? true : undefined}
            value={choice.text}
            onInput={(event) => onChange({ ...choice, text: event.currentTarget.value })}
          />
          <p class="hint" id={`${id}-hint`}>
            {hintOf(control)}
          </p>
          <p class="error-text" id={`${id}-error`} hidden={!problem}>
            {problem}
          </p>
        </>
      )}
    </fieldset>
  );
}

function hintOf(control: Control): string {
  const { grid: words } = texts.value;
  switch (control.kind) {
    case "prompt":
      return words.promptHint;
    case "choice":
      return words.choiceHint(control.options.join(", "));
    case "size":
      return words.sizeHint;
    default:
      return words.numbersHint;
  }
}

function problemText(problem: AxisProblem, part: string): string {
  const { problems } = texts.value.grid;
  return problem === "empty" ? problems.empty : problems[problem](part);
}
