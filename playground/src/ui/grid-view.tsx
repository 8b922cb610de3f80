/** A grid as a table that fills as its tasks finish. */

import type { CSSProperties } from "preact";
import { useState } from "preact/hooks";
import { texts } from "../i18n";
import { cancelGrid, grid, headingTitle, isReadingGrid, type Grid, type GridCell } from "../state/grid";
import { sending } from "../state/run";
import { isFlagged, outputsOf, type Task } from "../state/tasks";
import { showTask } from "../state/view";
import { notify } from "../state/notices";
import { drawSheet } from "./contact-sheet";
import { Icon } from "./icons";
import { progressText } from "./task-view";
import { Picture } from "./widgets";

const MOST_SHOWN = 4;

export function GridView() {
  const shown = grid.value;
  if (!shown) return null;
  const { grid: words } = texts.value;
  const tasks = shown.cells.map((cell) => cell.task.value);
  const done = tasks.filter((task) => task?.isOver).length;
  const isBusy = sending.value !== null || tasks.some((task) => task && !task.isOver);
  return (
    <div class="task">
      <div class="grid-head">
        <p role="status">{words.progress(done, shown.cells.length)}</p>
        {isBusy && <progress aria-label={texts.value.task.progress} max={shown.cells.length} value={done} />}
      </div>
      <GridTable shown={shown} />
      <div class="task-buttons">
        <SheetButton shown={shown} />
        {isBusy && (
          <button type="button" class="button" onClick={cancelGrid}>
            <Icon name="stop" />
            {words.cancelRest}
          </button>
        )}
      </div>
    </div>
  );
}

function GridTable({ shown }: { shown: Grid }) {
  const { columns, rows, cells } = shown;
  const width = columns.labels.length;
  const title = rows ? `${headingTitle(columns)} × ${headingTitle(rows)}` : headingTitle(columns);
  return (
    // Wide grids scroll; the keyboard has to reach that, too.
    <div class="grid-scroll" tabIndex={0} role="group" aria-label={title}>
      <table
        class="grid-table"
        style={
          {
            "--columns": String(shownColumns(width)),
            "--heading": `${headingWidth(rows?.labels ?? [])}px`,
          } as CSSProperties
        }
      >
        <caption>{title}</caption>
        <thead>
          <tr>
            {rows && <td />}
            {columns.labels.map((label) => (
              <th key={label} scope="col" title={label}>
                {label}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {(rows?.labels ?? [""]).map((label, row) => (
            <tr key={label}>
              {rows && (
                <th scope="row" title={label}>
                  {label}
                </th>
              )}
              {cells.slice(row * width, (row + 1) * width).map((cell) => (
                <td key={cell.column}>
                  <CellView cell={cell} name={cellName(shown, cell)} />
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** Pixels for the rows' labels, roughly: long ones have several lines. */
function headingWidth(labels: readonly string[]): number {
  const longest = Math.max(0, ...labels.map((label) => label.length));
  return longest === 0 ? 0 : Math.min(96, 16 + 8 * longest);
}

/** Columns that are shown at once. Where there are more, half of one is the sign of it. */
function shownColumns(count: number): number {
  return count <= MOST_SHOWN ? count : MOST_SHOWN + 0.5;
}

function cellName({ columns, rows }: Grid, { row, column }: GridCell): string {
  return texts.value.grid.cell(columns.labels[column] ?? "", rows?.labels[row] ?? "");
}

function CellView({ cell, name }: { cell: GridCell; name: string }) {
  const { grid: words } = texts.value;
  const task = cell.task.value;
  const isComing = sending.value !== null || isReadingGrid.value;
  if (!task) return <div class="cell cell-empty">{isComing ? "…" : words.notSent}</div>;
  return (
    <button
      type="button"
      class="cell"
      aria-label={`${words.open(name)}: ${cellState(task)}`}
      onClick={() => showTask(task)}
    >
      <CellContent task={task} />
    </button>
  );
}

function cellState(task: Task): string {
  const { task: words } = texts.value;
  const prediction = task.prediction.value;
  return isFlagged(prediction, 0) ? words.withheld : words.statuses[prediction.status];
}

function CellContent({ task }: { task: Task }) {
  const { task: words } = texts.value;
  const prediction = task.prediction.value;
  const address = outputsOf(prediction)[0];
  if (address !== undefined) {
    return (
      <>
        <Picture src={address} alt="" />
        {isFlagged(prediction, 0) && <span class="badge">{words.withheld}</span>}
      </>
    );
  }
  const preview = task.preview.value;
  return (
    <>
      {preview && <img class="forming" src={preview} alt="" />}
      <span class="cell-text">{task.isOver ? words.statuses[prediction.status] : progressText(task)}</span>
    </>
  );
}

function SheetButton({ shown }: { shown: Grid }) {
  const { grid: words } = texts.value;
  const [isDrawing, setDrawing] = useState(false);
  const hasAny = shown.cells.some((cell) => cell.task.value?.prediction.value.status === "completed");
  const draw = async () => {
    setDrawing(true);
    try {
      await drawSheet(shown);
    } catch (error) {
      notify(`${texts.value.errors.unexpected} ${String(error)}`, true);
    }
    setDrawing(false);
  };
  return (
    <button type="button" class="button" disabled={!hasAny || isDrawing} onClick={() => void draw()}>
      <Icon name="download" />
      {isDrawing ? words.drawing : words.download}
    </button>
  );
}
