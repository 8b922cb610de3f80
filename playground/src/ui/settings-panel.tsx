/** The form: model, pictures, parameters, and the button that sends it. */

import { useEffect, useState } from "preact/hooks";
import { modelDescription, texts } from "../i18n";
import type { Control } from "../model/controls";
import { controlsAt } from "../model/groups";
import { chooseModel, controls, model, models } from "../state/catalogue";
import { fieldErrors, focusWanted, formProblem } from "../state/problems";
import { run, sending, stopSending } from "../state/run";
import { resetValues, values } from "../state/settings";
import { ControlsSection } from "./controls-section";
import { ControlField } from "./controls/control";
import { isPlanning } from "./grid-dialog";
import { Icon } from "./icons";
import { InputPanel } from "./input-panel";

/** The order within the form: what is said comes before how it is made. */
const FIRST = ["prompt", "strength", "redux_strength", "redux_downsample", "loras", "size", "num_images", "seed"];

function place(control: Control): number {
  const index = FIRST.indexOf(control.name);
  return index < 0 ? FIRST.length : index;
}

export function SettingsPanel() {
  const { settings } = texts.value;
  useFocusOnErrors();
  return (
    <form
      id="settings"
      class="settings"
      aria-label={settings.title}
      autoComplete="off"
      noValidate
      onSubmit={(event) => {
        event.preventDefault();
        void run();
      }}
    >
      <div class="settings-fields">
        <ModelChoice />
        <InputPanel />
        <Parameters />
      </div>
      <RunBar />
    </form>
  );
}

/** Moves the focus to the field that an error is about. */
function useFocusOnErrors(): void {
  const wanted = focusWanted.value;
  useEffect(() => {
    if (wanted === null) return;
    focusWanted.value = null;
    const field = document.querySelector(`[data-field="${CSS.escape(wanted)}"]`);
    field?.closest("details")?.setAttribute("open", "");
    const input =
      field?.querySelector<HTMLElement>('[aria-invalid="true"]') ??
      field?.querySelector<HTMLElement>('textarea, input:not([type="range"]), select, button');
    input?.focus();
    input?.scrollIntoView({ block: "center" });
  }, [wanted]);
}

function ModelChoice() {
  const { settings } = texts.value;
  const chosen = model.value;
  if (!chosen) return null;
  const { text, lang } = modelDescription(chosen.model_id, chosen.description);
  return (
    <section class="panel">
      <label class="label" for="model">
        {settings.model}
      </label>
      <select
        id="model"
        class="input"
        aria-describedby="model-description"
        value={chosen.model_id}
        onChange={(event) => chooseModel(event.currentTarget.value)}
      >
        {models.value.map((item) => (
          <option key={item.model_id} value={item.model_id}>
            {item.name}
          </option>
        ))}
      </select>
      <p class="hint" id="model-description" lang={lang}>
        {text}
      </p>
    </section>
  );
}

function Parameters() {
  const { settings } = texts.value;
  const everyday = controlsAt("everyday", controls.value).sort((one, other) => place(one) - place(other));
  const advanced = controlsAt("advanced", controls.value);
  const hasSize = controls.value.some((control) => control.kind === "size");
  const isChanged = Object.keys(values.value).some((name) => name !== "prompt" && name !== "seed");
  return (
    <section class="panel" aria-label={settings.title}>
      {everyday.map((control) => (
        <ControlField key={control.name} control={control} />
      ))}
      {!hasSize && <p class="hint">{settings.sizeOfPicture}</p>}
      <ControlsSection />
      {advanced.length > 0 && <Advanced advanced={advanced} />}
      {isChanged && (
        <button type="button" class="text-button reset" onClick={resetValues}>
          <Icon name="reload" />
          {settings.reset}
        </button>
      )}
    </section>
  );
}

function Advanced({ advanced }: { advanced: readonly Control[] }) {
  const [isOpen, setOpen] = useState(false);
  const hasError = advanced.some((control) => fieldErrors.value[control.name]);
  return (
    <details class="advanced" open={isOpen || hasError} onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>{texts.value.settings.advanced}</summary>
      {advanced.map((control) => (
        <ControlField key={control.name} control={control} />
      ))}
    </details>
  );
}

function RunBar() {
  const { run: words, errors } = texts.value;
  const state = sending.value;
  const problem = formProblem.value;
  return (
    <div class="run-bar">
      {problem && (
        <div class="problem">
          <Icon name="alert" />
          <p>
            {problem.text}
            {problem.detail && (
              <span class="problem-detail">
                {errors.server} <span lang="en">{problem.detail}</span>
              </span>
            )}
          </p>
        </div>
      )}
      <div class="run-buttons">
        {state === null ? (
          <button type="submit" class="button button-main" aria-keyshortcuts="Control+Enter" title={words.shortcut}>
            <Icon name="play" />
            {values.value["num_images"] === undefined ? words.runOne : words.run}
          </button>
        ) : (
          <button type="button" class="button button-main" onClick={stopSending}>
            <span class="spinner" aria-hidden="true" />
            {state === "uploading" ? words.uploading : words.sending}
            <span class="run-stop">{words.stop}</span>
          </button>
        )}
        <button
          type="button"
          class="button"
          title={words.gridExplanation}
          disabled={state !== null}
          onClick={() => (isPlanning.value = true)}
        >
          <Icon name="grid" />
          {words.grid}
        </button>
      </div>
    </div>
  );
}
