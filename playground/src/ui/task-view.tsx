/** One task: what it does while it runs, and what came of it. */

import { useEffect, useRef } from "preact/hooks";
import { duration, parameterLabel, texts } from "../i18n";
import { fieldError } from "../model/fields";
import { cancel, copiedSettings, takeSettings } from "../state/actions";
import { isOffered } from "../state/catalogue";
import { fieldNames } from "../state/run";
import type { Task } from "../state/tasks";
import { DeleteButton } from "./delete-button";
import { Facts } from "./facts";
import { Icon } from "./icons";
import { ResultView } from "./result-view";
import { Frame } from "./frame";
import { CopyButton, Picture, useTicks } from "./widgets";

export function TaskView({ task }: { task: Task }) {
  const { status } = task.prediction.value;
  if (status === "completed") return <ResultView task={task} />;
  return task.isOver ? <Unfinished task={task} /> : <Running task={task} />;
}

/** The picture as it forms, how far it is, and how long it takes. */
function Running({ task }: { task: Task }) {
  const { task: words } = texts.value;
  const preview = task.preview.value;
  return (
    <div class="task">
      <Frame prediction={task.prediction.value}>
        {(onRatio) =>
          preview ? (
            <Picture class="forming" src={preview} alt={words.preview} onRatio={onRatio} />
          ) : (
            <div class="waiting" aria-hidden="true" />
          )
        }
      </Frame>
      <ProgressLine task={task} />
      {isOffered(task.prediction.value.model) && (
        <div class="task-buttons">
          <button type="button" class="button" disabled={task.isCancelling.value} onClick={() => void cancel(task)}>
            <Icon name="stop" />
            {task.isCancelling.value ? words.cancelling : words.cancel}
          </button>
        </div>
      )}
      <Facts prediction={task.prediction.value} />
    </div>
  );
}

/** What is happening, in words. */
export function progressText(task: Task): string {
  const { task: words, stages } = texts.value;
  const { place, stage, done, total } = task.progress.value;
  if (task.prediction.value.status === "created") return place === null ? words.queued : words.place(place);
  if (stage === null) return words.starting;
  if (stage === "denoise" && total > 0) return words.step(done, total);
  return stages[stage] ?? stage.replaceAll("_", " ");
}

function ProgressLine({ task }: { task: Task }) {
  const { task: words } = texts.value;
  useTicks(1000, true);
  const { stage, done, total } = task.progress.value;
  const left = task.secondsLeft();
  const text = progressText(task);
  const isStepping = stage === "denoise" && total > 0;
  useTitle(text);
  return (
    <div class="progress-line">
      <div class="progress-words">
        <span>{text}</span>
        {/* Each step would be too much to hear; there is the progress bar for them. */}
        <span class="off-screen" role="status">
          {isStepping ? "" : text}
        </span>
        {left !== null && <span class="time-left">{words.left(duration(Math.ceil(left)))}</span>}
      </div>
      {total > 0 ? (
        <progress aria-label={words.progress} max={total} value={done} />
      ) : (
        <progress aria-label={words.progress} />
      )}
    </div>
  );
}

/** Shows `text` in the title of the page, for those who look at another one meanwhile. */
function useTitle(text: string): void {
  useEffect(() => {
    document.title = `${text} – Afterimage`;
    return () => (document.title = "Afterimage");
  }, [text]);
}

/** A task that failed or was cancelled. */
function Unfinished({ task }: { task: Task }) {
  const { task: words, errors, actions } = texts.value;
  const prediction = task.prediction.value;
  const isFailed = prediction.status === "failed";
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    // The button that cancelled is gone, and the focus with it.
    if (document.activeElement === document.body) heading.current?.focus();
  }, []);
  return (
    <div class="task">
      <div class={isFailed ? "outcome outcome-failed" : "outcome"}>
        <Icon name={isFailed ? "alert" : "stop"} />
        <h3 ref={heading} tabIndex={-1}>
          {isFailed ? words.failedText : words.cancelledText}
        </h3>
        {isFailed && prediction.error && (
          <p>
            {errors.server} <Reason error={prediction.error} />
          </p>
        )}
      </div>
      <div class="task-buttons result-buttons">
        <button type="button" class="button" onClick={() => takeSettings(prediction)}>
          <Icon name="settings" />
          {actions.useSettings}
        </button>
        <CopyButton text={() => copiedSettings(prediction)} label={actions.copySettings} />
        <DeleteButton task={task} />
      </div>
      <Facts prediction={prediction} />
    </div>
  );
}

/** Why a task failed, with the parameter's name as the form has it. */
function Reason({ error }: { error: string }) {
  const about = fieldError(error, fieldNames());
  const text = about ? texts.value.run.fieldError(parameterLabel(about.field), about.message) : error;
  return <span lang="en">{text}</span>;
}
