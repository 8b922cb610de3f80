/** Finer control of a run, behind a disclosure: what counts, which part, where to start, how near to another result. */

import { signal } from "@preact/signals";
import { texts } from "../i18n";
import { bodyOf } from "../model/body";
import { CONTROL_GROUPS, controlsAt, type ControlGroup } from "../model/groups";
import { isBalanced, isRelevant } from "../model/relevance";
import { controls } from "../state/catalogue";
import { company } from "../state/company";
import { fieldErrors } from "../state/problems";
import { values } from "../state/settings";
import { usedStart } from "../state/start-picture";
import { ControlField } from "./controls/control";

const isOpen = signal(false);

/** The controls of a group that have an effect. What a level decides is shown all the same, and says so. */
function shownOf(group: ControlGroup) {
  return controlsAt(group, controls.value).filter(
    (control) => isBalanced(control) || isRelevant(control, controls.value, values.value, company.value),
  );
}

export function ControlsSection() {
  const { control: words } = texts.value;
  const groups = CONTROL_GROUPS.map((group) => ({ group, shown: shownOf(group) })).filter(
    ({ shown }) => shown.length > 0,
  );
  if (groups.length === 0) return null;
  const shown = groups.flatMap((each) => each.shown);
  const hasError = shown.some(({ name }) => fieldErrors.value[name]);
  const picture = { address: "", weight: null, mask: company.value.hasMask ? "" : null };
  const sent = bodyOf(controls.value, values.value, [picture], usedStart.value && "");
  const count = shown.filter(({ name }) => name in sent).length;
  return (
    <details
      class="advanced controls"
      open={isOpen.value || hasError}
      onToggle={(event) => (isOpen.value = event.currentTarget.open)}
    >
      <summary>
        {words.title} {count > 0 && <span class="optional">{words.set(count)}</span>}
      </summary>
      {groups.map((each) => (
        <fieldset key={each.group} class="control-group">
          <legend>{words.groups[each.group]}</legend>
          {each.shown.map((control) => (
            <ControlField key={control.name} control={control} />
          ))}
        </fieldset>
      ))}
    </details>
  );
}
