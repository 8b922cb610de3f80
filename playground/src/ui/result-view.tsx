/** The pictures of a task that is done. */

import { useEffect, useState } from "preact/hooks";
import { isShowable, pageBase } from "../api/address";
import { texts } from "../i18n";
import { fileName, copiedSettings, takeSettings, vary } from "../state/actions";
import { inputsOf, isFlagged, outputsOf, type Task } from "../state/tasks";
import { Compare } from "./compare";
import { DeleteButton } from "./delete-button";
import { Facts } from "./facts";
import { Frame } from "./frame";
import { Icon } from "./icons";
import { CopyButton, Picture } from "./widgets";
import { ZoomDialog } from "./zoom-dialog";

export function ResultView({ task }: { task: Task }) {
  const prediction = task.prediction.value;
  const outputs = outputsOf(prediction);
  const input = inputsOf(prediction).find((address) => isShowable(address, pageBase()));
  const [chosen, setChosen] = useState(0);
  const [isComparing, setComparing] = useState(false);
  const [isZooming, setZooming] = useState(false);
  useEffect(() => {
    setChosen(0);
    setZooming(false);
  }, [task]);
  const index = Math.min(chosen, outputs.length - 1);
  const address = outputs[index];
  if (address === undefined) return <Facts prediction={prediction} />;
  const name = texts.value.task.result(index + 1, outputs.length);
  const isCompared = isComparing && input !== undefined;
  return (
    <div class="task">
      <Frame prediction={prediction}>
        {(onRatio) =>
          isCompared ? (
            <Compare input={input} result={address} name={name} />
          ) : (
            <button
              type="button"
              class="result-picture"
              aria-label={`${texts.value.actions.zoom}: ${name}`}
              onClick={() => setZooming(true)}
            >
              <Picture src={address} alt={name} onRatio={onRatio} />
            </button>
          )
        }
      </Frame>
      <Flag isFlagged={isFlagged(prediction, index)} />
      {outputs.length > 1 && <Thumbnails task={task} outputs={outputs} chosen={index} onChoose={setChosen} />}
      <div class="task-buttons result-buttons">
        {input !== undefined && (
          <button type="button" class="button" aria-pressed={isCompared} onClick={() => setComparing(!isComparing)}>
            <Icon name="compare" />
            {texts.value.actions.compare}
          </button>
        )}
        <Actions task={task} index={index} address={address} onZoom={() => setZooming(true)} />
      </div>
      <Facts prediction={prediction} />
      {isZooming && (
        <ZoomDialog
          pictures={outputs.map((each, number) => ({
            address: each,
            name: texts.value.task.result(number + 1, outputs.length),
          }))}
          first={index}
          onClose={() => setZooming(false)}
        />
      )}
    </div>
  );
}

function Flag({ isFlagged: flagged }: { isFlagged: boolean | null }) {
  const { task: words } = texts.value;
  if (flagged === false) return null;
  if (flagged === null) return <p class="flag flag-unchecked">{words.unchecked}</p>;
  return (
    <p class="flag">
      <Icon name="alert" />
      <strong>{words.withheld}</strong> {words.withheldExplanation}
    </p>
  );
}

interface ThumbnailsProps {
  task: Task;
  outputs: readonly string[];
  chosen: number;
  onChoose: (index: number) => void;
}

function Thumbnails({ task, outputs, chosen, onChoose }: ThumbnailsProps) {
  const { task: words } = texts.value;
  return (
    <div class="thumbnails">
      {outputs.map((address, index) => {
        const name = words.result(index + 1, outputs.length);
        const flagged = isFlagged(task.prediction.value, index) === true;
        return (
          <button
            key={address}
            type="button"
            class="thumbnail"
            aria-label={flagged ? `${name}, ${words.withheld}` : name}
            aria-pressed={index === chosen}
            onClick={() => onChoose(index)}
          >
            <Picture src={address} alt="" />
            {flagged && (
              <span class="thumbnail-flag">
                <Icon name="alert" />
              </span>
            )}
          </button>
        );
      })}
    </div>
  );
}

interface ActionsProps {
  task: Task;
  index: number;
  address: string;
  onZoom: () => void;
}

function Actions({ task, index, address, onZoom }: ActionsProps) {
  const { actions } = texts.value;
  const prediction = task.prediction.value;
  return (
    <>
      <button type="button" class="button" onClick={onZoom}>
        <Icon name="zoom" />
        {actions.zoom}
      </button>
      <a class="button" href={address} download={fileName(prediction, index)}>
        <Icon name="download" />
        {actions.download}
      </a>
      <button type="button" class="button" onClick={() => void vary(task, index)}>
        <Icon name="vary" />
        {actions.vary}
      </button>
      <button type="button" class="button" onClick={() => takeSettings(prediction)}>
        <Icon name="settings" />
        {actions.useSettings}
      </button>
      <CopyButton text={() => copiedSettings(prediction)} label={actions.copySettings} />
      <DeleteButton task={task} />
    </>
  );
}
