/** The page. */

import { useEffect } from "preact/hooks";
import { addressOf } from "../api/address";
import { texts } from "../i18n";
import { catalogueState } from "../state/catalogue";
import { connection, tryAtOnce } from "../state/connection";
import { announcement, notice } from "../state/notices";
import { run } from "../state/run";
import { beginAgain } from "../state/start";
import { view } from "../state/view";
import { CodePanel } from "./code-panel";
import { ConfirmDialog } from "./confirm-dialog";
import { GridDialog } from "./grid-dialog";
import { Header } from "./header";
import { HistoryPanel } from "./history-panel";
import { Icon } from "./icons";
import { isDragging, takeFiles } from "./input-panel";
import { KeyPage } from "./key-form";
import { Later } from "./later";
import { MaskDialog } from "./mask-dialog";
import { SettingsPanel } from "./settings-panel";
import { Stage } from "./stage";
import { useTicks } from "./widgets";

export function App() {
  return (
    <>
      <a class="skip" href="#stage" onClick={skipToStage}>
        {texts.value.header.skip}
      </a>
      <Header />
      <ConnectionBanner />
      <Main />
      <ConfirmDialog />
      <GridDialog />
      <MaskDialog />
      <Notices />
    </>
  );
}

/** The fragment is not touched: a key may come in it. */
function skipToStage(event: Event): void {
  event.preventDefault();
  document.getElementById("stage")?.focus();
}

function Main() {
  const state = catalogueState.value;
  const { common, connection: words } = texts.value;
  const isLost = connection.value.kind === "lost";
  switch (state.kind) {
    case "noKey":
    case "wrongKey":
      return (
        <main class="single">
          <KeyPage isWrong={state.kind === "wrongKey"} />
        </main>
      );
    case "loading":
      return (
        <main class="single">
          {isLost ? (
            <section class="card">
              <Icon name="alert" />
              <h2>{words.unreachableTitle}</h2>
              <p>{words.unreachable}</p>
            </section>
          ) : (
            <p class="loading" role="status">
              {common.loading}
            </p>
          )}
        </main>
      );
    case "failed":
      return (
        <main class="single">
          <section class="card" role="alert">
            <Icon name="alert" />
            <h2>{texts.value.errors.title}</h2>
            <p>
              {state.problem.text} <span lang="en">{state.problem.detail}</span>
            </p>
            <button type="button" class="button button-main" onClick={beginAgain}>
              {common.tryAgain}
            </button>
          </section>
        </main>
      );
    case "ready":
      return <Workplace />;
  }
}

function Workplace() {
  useEffect(listenToPage, []);
  useRunShown();
  return (
    <main class="workplace">
      <SettingsPanel />
      <div class="middle">
        <Stage />
        <Later>
          <CodePanel />
          <Footer />
        </Later>
      </div>
      <Later>
        <HistoryPanel />
      </Later>
    </main>
  );
}

/** Where the page is one column, a task that was sent comes into view. */
function useRunShown(): void {
  const shown = view.value;
  useEffect(() => {
    const stage = document.getElementById("stage");
    if (!stage || shown.kind === "nothing") return;
    const { top } = stage.getBoundingClientRect();
    if (top < 0 || top > innerHeight - 120) stage.scrollIntoView({ block: "start" });
  }, [shown]);
}

/** Drops and pastes anywhere, and the key that sends the form. */
function listenToPage(): () => void {
  const controller = new AbortController();
  const { signal } = controller;
  const hasFiles = (event: DragEvent) => event.dataTransfer?.types.includes("Files") === true;
  document.addEventListener(
    "dragover",
    (event) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      isDragging.value = true;
    },
    { signal },
  );
  document.addEventListener(
    "dragleave",
    (event) => {
      // Leaving an element for another one of the page is not leaving.
      if (event.relatedTarget === null) isDragging.value = false;
    },
    { signal },
  );
  document.addEventListener(
    "drop",
    (event) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      isDragging.value = false;
      takeFiles(event.dataTransfer?.files ?? []);
    },
    { signal },
  );
  document.addEventListener(
    "paste",
    (event) => {
      const files = [...(event.clipboardData?.files ?? [])].filter((file) => file.type.startsWith("image/"));
      if (files.length === 0) return;
      event.preventDefault();
      takeFiles(files);
    },
    { signal },
  );
  document.addEventListener(
    "keydown",
    (event) => {
      if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || document.querySelector("dialog[open]")) return;
      event.preventDefault();
      // What was typed and not left yet counts.
      if (document.activeElement instanceof HTMLInputElement)
        document.activeElement.dispatchEvent(new Event("change", { bubbles: true }));
      void run();
    },
    { signal },
  );
  return () => controller.abort();
}

function ConnectionBanner() {
  const state = connection.value;
  const { connection: words } = texts.value;
  const now = useTicks(500, state.kind === "lost");
  return (
    <div role="status">
      {state.kind === "lost" && (
        <div class="banner">
          <Icon name="alert" />
          <p>
            <strong>{words.lost}</strong> {words.goesOn}
            {/* A number that changes every second is not for reading out. */}
            <span class="banner-countdown" aria-hidden="true">
              {words.tryingAgain(Math.max(0, Math.ceil((state.nextTry - now) / 1000)))}
            </span>
          </p>
          <button type="button" class="button" onClick={tryAtOnce}>
            {words.now}
          </button>
        </div>
      )}
    </div>
  );
}

function Footer() {
  const { keyboard, header } = texts.value;
  return (
    <footer class="footer">
      <details>
        <summary>{keyboard.title}</summary>
        <dl>
          {keyboard.rows.map(([keys, text]) => (
            <div key={keys}>
              <dt>
                <kbd>{keys}</kbd>
              </dt>
              <dd>{text}</dd>
            </div>
          ))}
        </dl>
      </details>
      <a class="only-narrow" href={addressOf("docs")}>
        {header.documentation}
      </a>
    </footer>
  );
}

function Notices() {
  const shown = notice.value;
  return (
    <>
      <div class="notices" role="status">
        {shown && (
          <p key={shown.number} class={shown.isError ? "notice notice-error" : "notice"}>
            {shown.text}
          </p>
        )}
      </div>
      <div class="off-screen" aria-live="assertive">
        {announcement.value}
      </div>
    </>
  );
}
