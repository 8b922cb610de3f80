/** Deletes a task, after a question. */

import { texts } from "../i18n";
import { remove } from "../state/actions";
import { removeFromGrid } from "../state/grid";
import type { Task } from "../state/tasks";
import { showNothing } from "../state/view";
import { confirmed } from "./confirm-dialog";
import { Icon } from "./icons";

export function DeleteButton({ task }: { task: Task }) {
  const { actions } = texts.value;
  const ask = async () => {
    const isSure = await confirmed({ title: actions.deleteTitle, text: actions.deleteText, verb: actions.delete });
    if (!isSure || !(await remove(task))) return;
    removeFromGrid(task);
    showNothing();
    document.getElementById("stage")?.focus();
  };
  return (
    <button type="button" class="button button-danger" onClick={() => void ask()}>
      <Icon name="delete" />
      {actions.delete}
    </button>
  );
}
