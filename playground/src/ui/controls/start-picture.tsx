/** The picture that variations start from: the first of those to vary, another file, or none. */

import { texts } from "../../i18n";
import type { StartControl } from "../../model/controls";
import { fromFile } from "../../state/input-picture";
import { pictures } from "../../state/pictures";
import {
  ownStart,
  startFrom,
  startFromFirst,
  startFromNothing,
  startsFromFirst,
  usedStart,
} from "../../state/start-picture";
import { Icon } from "../icons";
import { ACCEPTED } from "../input-panel";
import { IconButton, Picture } from "../widgets";
import { Field } from "./field";

export function StartField({ control }: { control: StartControl }) {
  const isChosen = startsFromFirst.value || ownStart.value !== null;
  return (
    <Field control={control} isGroup>
      {() => (isChosen ? <Chosen /> : <Ways />)}
    </Field>
  );
}

function Chosen() {
  const { control: words } = texts.value;
  const shown = usedStart.value;
  const name = startsFromFirst.value ? words.startIsFirst : (shown?.name ?? "");
  return (
    <div class="start-picture">
      {shown?.preview && <Picture src={shown.preview} alt="" />}
      <span class="picture-name">{shown ? name : words.startNothing}</span>
      <IconButton icon="close" label={words.startRemove} onClick={startFromNothing} />
    </div>
  );
}

function Ways() {
  const { control: words } = texts.value;
  return (
    <div class="ways">
      <button type="button" class="button" disabled={pictures.value.length === 0} onClick={startFromFirst}>
        {words.startFirst}
      </button>
      <label class="button">
        <input
          type="file"
          class="hidden-input"
          accept={ACCEPTED}
          aria-label={words.startFile}
          onChange={(event) => {
            const [file] = event.currentTarget.files ?? [];
            if (file) startFrom(fromFile(file));
            event.currentTarget.value = "";
          }}
        />
        <Icon name="image" />
        {words.startFile}
      </label>
    </div>
  );
}
