/** Asks for the key, and says where to find it. */

import { texts } from "../i18n";
import { catalogueState } from "../state/catalogue";
import { forgetKey, useKey } from "../state/start";
import { KeyCard, KeyFields } from "./key-fields";
import { Dialog } from "./widgets";

const isChecking = () => catalogueState.value.kind === "loading";

/** The whole page, for somebody without a key. */
export function KeyPage({ isWrong }: { isWrong: boolean }) {
  return <KeyCard isWrong={isWrong} isChecking={isChecking()} onKey={useKey} />;
}

/** The same for somebody who has one. */
export function KeyDialog({ onClose }: { onClose: () => void }) {
  const { key: words } = texts.value;
  return (
    <Dialog title={words.title2} onClose={onClose}>
      <KeyFields
        isWrong={false}
        isChecking={isChecking()}
        onKey={(value, remember) => {
          useKey(value, remember);
          onClose();
        }}
      />
      <div class="dialog-buttons">
        <button
          type="button"
          class="button button-danger"
          onClick={() => {
            forgetKey();
            onClose();
          }}
        >
          {words.forget}
        </button>
      </div>
    </Dialog>
  );
}
