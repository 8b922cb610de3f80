/** Asks before something that cannot be undone. */

import { signal } from "@preact/signals";
import { texts } from "../i18n";
import { Dialog } from "./widgets";

interface Question {
  title: string;
  text: string;
  /** What the button says that does it. */
  verb: string;
}

const asked = signal<(Question & { answer: (isSure: boolean) => void }) | null>(null);

/** Whether somebody means it. */
export function confirmed(question: Question): Promise<boolean> {
  return new Promise((resolve) => {
    asked.value = {
      ...question,
      answer: (isSure) => {
        asked.value = null;
        resolve(isSure);
      },
    };
  });
}

export function ConfirmDialog() {
  const question = asked.value;
  if (!question) return null;
  return (
    <Dialog title={question.title} onClose={() => question.answer(false)}>
      <p>{question.text}</p>
      <div class="dialog-buttons">
        {/* The harmless one has the focus. */}
        <button type="button" class="button" autoFocus onClick={() => question.answer(false)}>
          {texts.value.common.cancel}
        </button>
        <button type="button" class="button button-danger-main" onClick={() => question.answer(true)}>
          {question.verb}
        </button>
      </div>
    </Dialog>
  );
}
