/** The page for operators. */

import { useEffect } from "preact/hooks";
import { addressOf } from "../api/address";
import { texts } from "../i18n";
import { Icon, Mark } from "../ui/icons";
import { KeyCard } from "../ui/key-fields";
import { LanguageChoice, ThemeButton } from "../ui/preference-controls";
import { useTicks } from "../ui/widgets";
import { Failures } from "./failures";
import { ago, count, waited } from "./format";
import { Engines, Processes, Queues } from "./machines";
import { allDays, totalsOf } from "./series";
import { statusTexts } from "./texts";
import type { OperatorStatus } from "./types";
import { UsageSection } from "./usage";
import { forgetKey, readAgain, useKey, watched, type Trouble } from "./watch";

export function StatusPage() {
  const words = statusTexts.value;
  useEffect(() => {
    document.title = words.documentTitle;
  }, [words]);
  return (
    <>
      <a class="skip" href="#figures" onClick={skipToFigures}>
        {words.skip}
      </a>
      <Head />
      <Main />
    </>
  );
}

/** The fragment is not touched: a key may come in it. */
function skipToFigures(event: Event): void {
  event.preventDefault();
  document.getElementById("figures")?.focus();
}

function Head() {
  const words = statusTexts.value;
  const { header, key: keyWords } = texts.value;
  const { kind } = watched.value;
  return (
    <header class="header">
      <h1 class="brand">
        <Mark />
        <span class="brand-name">Afterimage</span> <span class="brand-part">{words.title}</span>
      </h1>
      <nav class="header-tools status-links" aria-label={words.playground}>
        <a class="header-link" href={addressOf("./")}>
          {words.playground}
        </a>
        <a class="header-link only-wide-status" href={addressOf("docs")}>
          {header.documentation}
        </a>
      </nav>
      <div class="header-tools">
        <LanguageChoice />
        <ThemeButton />
        {(kind === "ready" || kind === "failed") && (
          <button
            type="button"
            class="icon-button"
            aria-label={keyWords.forget}
            title={keyWords.forget}
            onClick={forgetKey}
          >
            <Icon name="key" />
          </button>
        )}
      </div>
    </header>
  );
}

function Main() {
  const state = watched.value;
  const { common, errors } = texts.value;
  switch (state.kind) {
    case "noKey":
    case "wrongKey":
      return (
        <main class="single" id="figures" tabIndex={-1}>
          <KeyCard isWrong={state.kind === "wrongKey"} isChecking={false} onKey={useKey} />
        </main>
      );
    case "loading":
      return (
        <main class="single" id="figures" tabIndex={-1}>
          <p class="loading" role="status">
            {common.loading}
          </p>
        </main>
      );
    case "notOperator":
      return (
        <main class="single" id="figures" tabIndex={-1}>
          <NotOperator detail={state.detail} />
        </main>
      );
    case "failed":
      return (
        <main class="single" id="figures" tabIndex={-1}>
          <section class="card" role="alert">
            <Icon name="alert" />
            <h2>{errors.title}</h2>
            <p>
              {state.problem.text} <span lang="en">{state.problem.detail}</span>
            </p>
            <button type="button" class="button button-main" onClick={() => void readAgain()}>
              {common.tryAgain}
            </button>
          </section>
        </main>
      );
    case "ready":
      return <Figures status={state.status} readAt={state.readAt} trouble={state.trouble} />;
  }
}

function NotOperator({ detail }: { detail: string }) {
  const words = statusTexts.value;
  const command = /`([^`]+)`/.exec(detail)?.[1];
  return (
    <section class="card" aria-labelledby="refused-title">
      <Icon name="lock" />
      <h2 id="refused-title">{words.notOperatorTitle}</h2>
      <p>{words.notOperator}</p>
      {command && (
        <div class="card-note">
          <p>{words.promote}</p>
          <code class="command">{command}</code>
        </div>
      )}
      <button type="button" class="button" onClick={forgetKey}>
        {words.otherKey}
      </button>
    </section>
  );
}

interface FiguresProps {
  status: OperatorStatus;
  readAt: number;
  trouble: Trouble | null;
}

function Figures({ status, readAt, trouble }: FiguresProps) {
  const words = statusTexts.value;
  return (
    <>
      <div role="status" class="status-news">
        {trouble && (
          <p class="status-trouble">
            <Icon name="alert" /> {trouble === "unreachable" ? words.paused : words.refused}
          </p>
        )}
      </div>
      <main class="status-main" id="figures" tabIndex={-1}>
        <Tiles status={status} />
        <Updated readAt={readAt} />
        <div class="status-columns">
          <Queues queues={status.queues} />
          <Engines engines={status.server.engines} />
        </div>
        <Processes processes={status.server.processes} at={status.at} />
        <UsageSection usage={status.usage} />
        <Failures failures={status.failures} />
      </main>
    </>
  );
}

/** Changes every second, which is not for reading out. */
function Updated({ readAt }: { readAt: number }) {
  const now = useTicks(1000, true);
  return (
    <p class="hint status-updated" aria-live="off">
      {statusTexts.value.updated(ago(readAt, Math.max(now, readAt)))}
    </p>
  );
}

function Tiles({ status }: { status: OperatorStatus }) {
  const words = statusTexts.value;
  const { engines } = status.server;
  const sum = (value: (load: OperatorStatus["queues"][number]) => number) =>
    status.queues.reduce((total, load) => total + value(load), 0);
  const oldest = Math.max(0, ...status.queues.map((load) => load.oldest_wait_s));
  const today = totalsOf(allDays(status.usage).filter((day) => day.day === status.usage.until));
  const ready = engines.filter((engine) => engine.open).length;
  return (
    <section aria-labelledby="tiles-title">
      <h2 id="tiles-title" class="off-screen">
        {words.now}
      </h2>
      <dl class="tiles">
        <Tile name={words.waiting} value={count(sum((load) => load.waiting))} />
        <Tile name={words.running} value={count(sum((load) => load.running))} />
        <Tile name={words.oldest} value={oldest > 0 ? waited(oldest) : words.nothing} />
        <Tile
          name={words.engines}
          value={engines.length > 0 ? words.enginesReady(ready, engines.length) : words.nothing}
        />
        <Tile name={words.picturesToday} value={count(today.pictures)} />
        <Tile name={words.failuresToday} value={count(today.failures)} isBad={today.failures > 0} />
      </dl>
    </section>
  );
}

function Tile({ name, value, isBad = false }: { name: string; value: string; isBad?: boolean }) {
  return (
    <div class="tile">
      <dt>{name}</dt>
      <dd class={isBad ? "bad" : undefined}>{value}</dd>
    </div>
  );
}
