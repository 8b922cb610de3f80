/** The middle of the page: a task, a grid, or how to begin. */

import { texts } from "../i18n";
import { grid } from "../state/grid";
import { pictures } from "../state/pictures";
import { showGrid, view } from "../state/view";
import { GridView } from "./grid-view";
import { Icon, Mark } from "./icons";
import { TaskView } from "./task-view";

export function Stage() {
  const { task: words, grid: gridWords } = texts.value;
  const shown = view.value;
  return (
    <section id="stage" class="stage" tabIndex={-1} aria-labelledby="stage-title">
      <header class="stage-head">
        <h2 class={shown.kind === "nothing" ? "off-screen" : "panel-title"} id="stage-title">
          {shown.kind === "grid" ? gridWords.title : words.title}
        </h2>
        {grid.value && shown.kind !== "grid" && (
          <button type="button" class="button" onClick={showGrid}>
            <Icon name="grid" />
            {gridWords.show}
          </button>
        )}
      </header>
      {shown.kind === "nothing" && <Empty />}
      {shown.kind === "task" && <TaskView key={shown.task.id} task={shown.task} />}
      {shown.kind === "grid" && <GridView />}
    </section>
  );
}

function Empty() {
  const { empty } = texts.value;
  return (
    <div class="empty">
      <Mark />
      <p class="empty-title">{empty.title}</p>
      {pictures.value.length > 0 ? (
        <p>{empty.ready}</p>
      ) : (
        <>
          <p class="only-wide">{empty.text}</p>
          <p class="only-narrow">{empty.textPhone}</p>
        </>
      )}
      <ul>
        {empty.ideas.map((idea) => (
          <li key={idea}>{idea}</li>
        ))}
      </ul>
    </div>
  );
}
