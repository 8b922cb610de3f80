/** The form's request as programs would send it. What writes it is loaded when somebody first looks. */

import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { texts } from "../i18n";
import { model } from "../state/catalogue";
import { notify } from "../state/notices";
import type { CodeExample } from "./code/example";
import { Icon } from "./icons";

/** What is not seen is not written. */
const isOpen = signal(false);

const example = signal<typeof CodeExample | null>(null);

export function CodePanel() {
  const { code: words } = texts.value;
  const chosen = model.value;
  const Example = example.value;
  useEffect(() => {
    if (isOpen.value && !example.peek()) void load();
  }, [isOpen.value]);
  if (!chosen) return null;
  return (
    <details class="panel code" open={isOpen.value} onToggle={(event) => (isOpen.value = event.currentTarget.open)}>
      <summary>
        <Icon name="code" />
        <h2 class="panel-title">{words.title}</h2>
        <span class="hint">{words.explanation}</span>
        <span class="code-open">
          <Icon name="down" />
        </span>
      </summary>
      {isOpen.value && Example && <Example modelId={chosen.model_id} />}
    </details>
  );
}

async function load(): Promise<void> {
  try {
    example.value = (await import("./code/example")).CodeExample;
  } catch {
    isOpen.value = false;
    notify(texts.value.errors.partMissing, true);
  }
}
