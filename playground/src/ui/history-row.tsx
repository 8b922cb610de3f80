/** One task of the history. */

import type { Prediction } from "../api/types";
import { parameterLabel, shortMoment, texts } from "../i18n";
import { differences } from "../model/differences";
import { asSettings } from "../model/foreign";
import { isFlagged, outputsOf, type Task } from "../state/tasks";
import { showTask } from "../state/view";
import { modelName, shownValue } from "./facts";
import { Icon } from "./icons";
import { progressText } from "./task-view";
import { Picture } from "./widgets";

interface RowProps {
  /** Undefined until its page was read. */
  task: Task | undefined;
  /** The rows before and after it. */
  neighbours: readonly (Task | undefined)[];
  index: number;
  isReached: boolean;
  isShown: boolean;
  onFocus: () => void;
}

export function HistoryRow({ task, neighbours, index, isReached, isShown, onFocus }: RowProps) {
  const { history: words } = texts.value;
  if (!task) {
    return (
      <div class="history-row" data-row={index} tabIndex={isReached ? 0 : -1} onFocus={onFocus}>
        <span class="history-thumbnail" />
        <span class="off-screen">{texts.value.common.loading}</span>
      </div>
    );
  }
  const prediction = task.prediction.value;
  const prompt = typeof prediction.input["prompt"] === "string" ? prediction.input["prompt"].trim() : "";
  const told = differences(
    prediction,
    neighbours.map((other) => other?.prediction.value),
  );
  return (
    <button
      type="button"
      class="history-row"
      data-row={index}
      tabIndex={isReached ? 0 : -1}
      aria-current={isShown ? "true" : undefined}
      onFocus={onFocus}
      onClick={() => open(task)}
    >
      <Thumbnail task={task} />
      <span class="history-words">
        <span class={prompt ? "history-prompt" : "history-prompt history-prompt-none"}>
          {prompt ? prompt.slice(0, 200) : seedAndSize(prediction) || words.withoutPrompt}
        </span>
        <span class="history-model">
          {[...told.map((name) => setting(prediction, name)), modelName(prediction.model)].join(" · ")}
        </span>
        <span class="history-state">
          <State task={task} />
          <span>{shortMoment(prediction.created_at)}</span>
        </span>
      </span>
    </button>
  );
}

/** A parameter in a few words; what was not sent is the default. */
function setting(prediction: Prediction, name: string): string {
  const value = asSettings(prediction.input)[name];
  const { history: words } = texts.value;
  return `${words.shortNames[name] ?? parameterLabel(name)}: ${value === undefined ? words.byDefault : shownValue(value)}`;
}

/** What tells tasks without a prompt apart. */
function seedAndSize(prediction: Prediction): string {
  const { seed, size } = asSettings(prediction.input);
  const parts = [
    seed !== undefined && `${parameterLabel("seed")} ${shownValue(seed)}`,
    size !== undefined && shownValue(size),
  ];
  return parts.filter((part) => part !== false).join(" · ");
}

/** Shows a task, and brings it into view where the page is one column. */
function open(task: Task): void {
  showTask(task);
  const stage = document.getElementById("stage");
  const isBelow = stage && stage.getBoundingClientRect().top < 0;
  if (isBelow) stage.scrollIntoView({ block: "start" });
}

function Thumbnail({ task }: { task: Task }) {
  const prediction = task.prediction.value;
  const address = outputsOf(prediction)[0] ?? task.preview.value;
  return (
    <span class="history-thumbnail">
      {address ? (
        <Picture src={address} alt="" />
      ) : (
        <Icon name={prediction.status === "failed" ? "alert" : task.isOver ? "stop" : "clock"} />
      )}
      {prediction.outputs.length > 1 && <span class="history-count">{prediction.outputs.length}</span>}
    </span>
  );
}

function State({ task }: { task: Task }) {
  const { task: words } = texts.value;
  const prediction = task.prediction.value;
  if (isFlagged(prediction, 0)) return <span class="state state-failed">{words.withheld}</span>;
  const text = task.isOver ? words.statuses[prediction.status] : progressText(task);
  return <span class={`state state-${prediction.status}`}>{text}</span>;
}
