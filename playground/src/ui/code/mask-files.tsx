/** The masks of the form as files, for whoever runs an example. */

import { texts } from "../../i18n";
import { transparentWherePainted } from "../../model/mask";
import { png } from "../../model/png";
import type { Dialect, Source } from "../../snippets/input";
import type { InputPicture } from "../../state/input-picture";
import { maskPurpose, type PictureMask } from "../../state/masks";
import { usedPictures } from "../../state/pictures";
import { Icon } from "../icons";

/** What an example calls the mask of picture `index`, if it has one. */
export function exampleMask(picture: InputPicture, index: number, dialect: Dialect): Source | null {
  return picture.mask.value ? { kind: "file", name: nameOf(index, dialect) } : null;
}

function nameOf(index: number, dialect: Dialect): string {
  if (dialect === "openai") return "mask-transparent.png";
  const isOne = maskPurpose.value === "changes" || usedPictures.value.length === 1;
  return isOne ? "mask.png" : `mask-${index + 1}.png`;
}

export function MaskFiles({ dialect }: { dialect: Dialect }) {
  const { code: words } = texts.value;
  const masks = usedPictures.value.flatMap((picture, index) =>
    picture.mask.value && maskPurpose.value ? [{ mask: picture.mask.value, name: nameOf(index, dialect) }] : [],
  );
  if (masks.length === 0) return null;
  return (
    <p class="hint mask-files">
      {words.masks}{" "}
      {masks.map(({ mask, name }) => (
        <button key={name} type="button" class="text-button" onClick={() => void save(mask, name, dialect)}>
          <Icon name="download" />
          {name}
        </button>
      ))}
    </p>
  );
}

async function save({ mask }: PictureMask, name: string, dialect: Dialect): Promise<void> {
  const bytes =
    dialect === "openai" ? await png(mask, "rgba", transparentWherePainted(mask)) : await png(mask, "grey", mask.data);
  const address = URL.createObjectURL(new Blob([bytes], { type: "image/png" }));
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  // The browser has begun to read by then.
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
