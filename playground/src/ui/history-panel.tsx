/** The key's tasks. Only the rows in view are in the document, and only the pages in view are read. */

import { useEffect, useRef, useState } from "preact/hooks";
import type { Status } from "../api/types";
import { texts } from "../i18n";
import { pagesOf, scrollTo, windowOf, type Window } from "../model/window";
import { models } from "../state/catalogue";
import { filter, listing, PAGE, reload, setFilter, want } from "../state/history";
import { view } from "../state/view";
import { HistoryRow } from "./history-row";
import { Icon } from "./icons";
import { IconButton, useBox } from "./widgets";

/** Pixels of a row, as the style sheet has it, too. */
const ROW = 76;
/** Milliseconds after which rows in view are meant to be seen. */
const SETTLED = 80;
/** Rows that are drawn beyond what is seen. */
const SPARE = 6;

const STATUSES: readonly Status[] = ["created", "processing", "completed", "failed", "cancelled"];

export function HistoryPanel() {
  const { history: words } = texts.value;
  const { total } = listing.value;
  return (
    <section class="history" aria-labelledby="history-title">
      <header class="history-head">
        <h2 class="panel-title" id="history-title">
          {words.title}
          {total !== null && (
            <span class="optional" role="status">
              {words.count(total)}
            </span>
          )}
        </h2>
        <IconButton icon="reload" label={words.reload} onClick={reload} />
      </header>
      <Filters />
      <HistoryBody />
    </section>
  );
}

function Filters() {
  const { history: words, task } = texts.value;
  return (
    <div class="filters">
      <select
        class="input"
        aria-label={words.status}
        value={filter.value.status}
        onChange={(event) => setFilter({ status: event.currentTarget.value as Status | "" })}
      >
        <option value="">{words.allStatuses}</option>
        {STATUSES.map((status) => (
          <option key={status} value={status}>
            {task.statuses[status]}
          </option>
        ))}
      </select>
      <select
        class="input"
        aria-label={words.model}
        value={filter.value.model}
        onChange={(event) => setFilter({ model: event.currentTarget.value })}
      >
        <option value="">{words.allModels}</option>
        {models.value.map((model) => (
          <option key={model.model_id} value={model.model_id}>
            {model.name}
          </option>
        ))}
      </select>
    </div>
  );
}

function HistoryBody() {
  const { history: words, common } = texts.value;
  const { rows, total, problem } = listing.value;
  if (problem) {
    return (
      <div class="history-note" role="alert">
        <Icon name="alert" />
        <p>
          {words.failed} {problem.text}
        </p>
        <button type="button" class="button" onClick={reload}>
          {common.tryAgain}
        </button>
      </div>
    );
  }
  if (total === null && rows.length === 0)
    return (
      <p class="history-note" role="status">
        {common.loading}
      </p>
    );
  if (total === 0) {
    const isFiltered = filter.value.status !== "" || filter.value.model !== "";
    return <p class="history-note">{isFiltered ? words.emptyFiltered : words.empty}</p>;
  }
  return <Rows />;
}

function Rows() {
  const { rows } = listing.value;
  const frame = useRef<HTMLDivElement>(null);
  const { height: viewport } = useBox(frame);
  const [scrolled, setScrolled] = useState(0);
  const [active, setActive] = useState(0);
  const window = windowOf(rows.length, ROW, scrolled, viewport, SPARE);
  const pages = pagesOf(window, PAGE);
  useEffect(() => {
    // What is only scrolled past is not read.
    const timer = setTimeout(() => want(pages), SETTLED);
    return () => clearTimeout(timer);
  }, [pages.join(), rows]);
  const move = (row: number) => {
    const next = Math.min(rows.length - 1, Math.max(0, row));
    setActive(next);
    const element = frame.current;
    if (element) element.scrollTop = scrollTo(next, ROW, element.scrollTop, viewport);
    focusRow(frame.current, next);
  };
  return (
    <div
      ref={frame}
      class="history-rows"
      onScroll={(event) => setScrolled(event.currentTarget.scrollTop)}
      onKeyDown={(event) => {
        const next = keyed(event.key, active, rows.length, Math.max(1, Math.floor(viewport / ROW) - 1));
        if (next === null) return;
        event.preventDefault();
        move(next);
      }}
    >
      <DrawnRows window={window} active={active} onActive={setActive} />
    </div>
  );
}

interface DrawnProps {
  window: Window;
  /** The row that the Tab key reaches. */
  active: number;
  onActive: (row: number) => void;
}

function DrawnRows({ window, active, onActive }: DrawnProps) {
  const { rows } = listing.value;
  const shown = view.value.kind === "task" ? view.value.task : null;
  const indices = Array.from({ length: window.end - window.start }, (_, index) => window.start + index);
  // The Tab key has to reach something even when the active row was scrolled away.
  const reached = indices.includes(active) ? active : window.start;
  return (
    <ul class="history-list" aria-label={texts.value.history.list} style={{ height: `${window.height}px` }}>
      {indices.map((index) => (
        <li
          key={rows[index]?.id ?? `row ${index}`}
          class="history-item"
          aria-setsize={rows.length}
          aria-posinset={index + 1}
          style={{ transform: `translateY(${index * ROW}px)` }}
        >
          <HistoryRow
            task={rows[index]}
            neighbours={[rows[index - 1], rows[index + 1]]}
            index={index}
            isReached={index === reached}
            isShown={shown !== null && rows[index] === shown}
            onFocus={() => onActive(index)}
          />
        </li>
      ))}
    </ul>
  );
}

/** The row that `key` leads to from `row`; null: nowhere. */
function keyed(key: string, row: number, count: number, page: number): number | null {
  const moves: Record<string, number> = {
    ArrowDown: row + 1,
    ArrowUp: row - 1,
    PageDown: row + page,
    PageUp: row - page,
    Home: 0,
    End: count - 1,
  };
  return moves[key] ?? null;
}

/** Focuses a row once it is drawn, which takes the scroll event and a frame or two. */
function focusRow(frame: HTMLElement | null, row: number, tries = 10): void {
  const button = frame?.querySelector<HTMLElement>(`[data-row="${row}"]`);
  if (button) button.focus({ preventScroll: true });
  else if (tries > 0) requestAnimationFrame(() => focusRow(frame, row, tries - 1));
}
