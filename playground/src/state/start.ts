/** What happens when the page opens and when another key is given. */

import { effect } from "@preact/signals";
import { catalogueState, loadCatalogue } from "./catalogue";
import { ended, unfollowAll } from "./follow";
import { forgetGrid, restoreGrid } from "./grid";
import { forgetHistory, listing, reload } from "./history";
import { key, setKey, takeKey } from "./key";
import { announce } from "./notices";
import { startPictures } from "./kept-pictures";
import { startFollowing } from "./picture-size";
import { pictures, replacePictures } from "./pictures";
import { startPreferences } from "./preferences";
import { startRuns } from "./run";
import { ownStart, startFromNothing } from "./start-picture";
import { forgetTasks } from "./tasks";
import { restoreView, showNothing, view } from "./view";
import { prepareMoments, texts } from "../i18n";

/** Ends when the page can be shown. */
export async function start(): Promise<void> {
  const preferences = startPreferences();
  takeKey();
  startPictures();
  startFollowing();
  void begin();
  // A link with a key, opened in this tab.
  addEventListener("hashchange", () => {
    const before = key.value;
    if (takeKey() && key.value !== before) changeKey();
  });
  announceEnds();
  startRuns();
  readAgainAfterAbsence();
  await preferences;
}

async function begin(): Promise<void> {
  if (!(await loadCatalogue())) return;
  reload();
  prepareMoments();
  await restoreView(restoreGrid());
}

/** Uses another key; what belongs to the one before is forgotten. */
export function useKey(value: string, remember: boolean): void {
  const isSame = value.trim() === key.value && catalogueState.value.kind === "ready";
  setKey(value, remember);
  if (!isSame) changeKey();
}

export function forgetKey(): void {
  setKey("", false);
  changeKey();
}

/** Tries again what failed when the page opened. */
export function beginAgain(): void {
  void begin();
}

function changeKey(): void {
  unfollowAll();
  forgetTasks();
  forgetHistory();
  forgetGrid();
  replacePictures(pictures.peek().filter((picture) => picture.file !== null));
  if (ownStart.peek()?.file === null) startFromNothing();
  showNothing();
  void begin();
}

/** Screen readers hear when the task that is shown is over. */
function announceEnds(): void {
  let announced = "";
  effect(() => {
    if (ended.value === 0) return;
    const shown = view.peek();
    if (shown.kind !== "task" || !shown.task.isOver || shown.task.id === announced) return;
    announced = shown.task.id;
    announce(texts.peek().task.statuses[shown.task.prediction.peek().status]);
  });
}

/** Coming back to the page after a while, what others made with the key is there. */
function readAgainAfterAbsence(): void {
  let left = 0;
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "hidden") left = Date.now();
    else if (Date.now() - left > 30_000 && listing.peek().total !== null) reload();
  });
}
