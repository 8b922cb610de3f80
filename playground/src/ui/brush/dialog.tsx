/** Paints the mask of a picture: which part of it speaks, or which part of it changes. */

import { useEffect, useState } from "preact/hooks";
import { texts } from "../../i18n";
import { firstWidth, LEAST_WIDTH, mostWidth, widened } from "../../model/brush";
import { evenMask, inverted, maskSize, percentOf } from "../../model/mask";
import type { InputPicture } from "../../state/input-picture";
import { keptMask, loadedImage, maskPurpose, readMask, sizeOf } from "../../state/masks";
import { announce } from "../../state/notices";
import { clearField } from "../../state/problems";
import { setValue, values } from "../../state/settings";
import { Icon } from "../icons";
import { ACCEPTED } from "../input-panel";
import { Dialog, Segments } from "../widgets";
import { MaskSheet } from "./sheet";
import { Surface } from "./surface";

interface BrushProps {
  picture: InputPicture;
  onClose: () => void;
}

export function BrushDialog({ picture, onClose }: BrushProps) {
  const { brush } = texts.value;
  const { sheet, hasFailed } = useSheet(picture);
  return (
    <Dialog title={brush.title(picture.name)} class="dialog-full dialog-brush" onClose={onClose} holdsWork>
      <p class="hint brush-purpose">{maskPurpose.value === "changes" ? brush.changes : brush.speaks}</p>
      {sheet ? (
        <Easel sheet={sheet} picture={picture} onClose={onClose} />
      ) : (
        <p class="brush-waiting" role="status">
          {hasFailed ? brush.unreadable : texts.value.common.loading}
        </p>
      )}
    </Dialog>
  );
}

/** The mask of `picture` as it is, or an empty one of its size, once the picture is there. */
function useSheet(picture: InputPicture): { sheet: MaskSheet | null; hasFailed: boolean } {
  const [sheet, setSheet] = useState<MaskSheet | null>(null);
  const [hasFailed, setFailed] = useState(false);
  useEffect(() => {
    let isOver = false;
    const begin = async () => {
      const size = maskSize(sizeOf(await loadedImage(picture.preview ?? "")));
      if (!isOver) setSheet(new MaskSheet(picture.mask.peek()?.mask ?? evenMask(size, false)));
    };
    begin().catch(() => {
      if (!isOver) setFailed(true);
    });
    return () => {
      isOver = true;
    };
  }, [picture]);
  return { sheet, hasFailed };
}

const TOOLS = ["brush", "eraser"] as const;

function Easel({ sheet, picture, onClose }: BrushProps & { sheet: MaskSheet }) {
  const { brush, common } = texts.value;
  const [tool, setTool] = useState<(typeof TOOLS)[number]>("brush");
  const [width, setWidth] = useState(() => firstWidth(sheet.mask));
  useShortcuts(sheet, (direction) => setWidth((before) => widened(before, direction, sheet.mask)));
  const isEmpty = sheet.share.value === 0;
  // Who empties a mask that was there wants it gone.
  const hadMask = picture.mask.peek() !== null;
  const use = async () => {
    const mask = await keptMask(sheet.mask);
    picture.mask.value = mask;
    for (const name of ["image_masks", "mask_image"]) clearField(name);
    // The brush has said that the rest stays, which is so to the pixel with this, unless somebody wants otherwise.
    if (mask && maskPurpose.value === "changes" && values.peek()["keep_outside"] === undefined) {
      setValue("keep_outside", true);
    }
    onClose();
    const { pictures } = texts.value;
    announce(mask ? pictures.maskSet(picture.name) : pictures.maskRemoved(picture.name));
  };
  return (
    <div class="brush">
      <Surface
        sheet={sheet}
        preview={picture.preview ?? ""}
        label={brush.surface(picture.name)}
        width={width}
        isErasing={tool === "eraser"}
      />
      <div class="brush-tools">
        <Segments
          name="brush-tool"
          label={brush.tool}
          words={TOOLS}
          chosen={tool}
          text={(word) => (
            <>
              <Icon name={word} />
              {brush.tools[word]}
            </>
          )}
          onChoose={setTool}
        />
        <label class="brush-width">
          <span class="field-head">
            <span class="label">{brush.width}</span>
            <span class="value">{brush.pixels(width)}</span>
          </span>
          <input
            type="range"
            class="slider"
            min={LEAST_WIDTH}
            max={mostWidth(sheet.mask)}
            value={width}
            aria-keyshortcuts="[ ]"
            aria-valuetext={brush.pixels(width)}
            onInput={(event) => setWidth(event.currentTarget.valueAsNumber)}
          />
        </label>
        <WholeMask sheet={sheet} isEmpty={isEmpty} />
        <p class="hint brush-keys">{brush.keys}</p>
      </div>
      <div class="brush-end">
        <p class="hint" role="status">
          {!isEmpty ? brush.painted(percentOf(sheet.share.value)) : hadMask ? brush.emptied : brush.nothing}
        </p>
        <button type="button" class="button" onClick={onClose}>
          {common.cancel}
        </button>
        <button type="button" class="button button-main" disabled={isEmpty && !hadMask} onClick={() => void use()}>
          <Icon name="check" />
          {brush.use}
        </button>
      </div>
    </div>
  );
}

/** What happens to all of the mask at once. */
function WholeMask({ sheet, isEmpty }: { sheet: MaskSheet; isEmpty: boolean }) {
  const { brush } = texts.value;
  const { width, height } = sheet.mask;
  const [isUnreadable, setUnreadable] = useState(false);
  const take = async (file: File | undefined) => {
    if (!file) return;
    const address = URL.createObjectURL(file);
    setUnreadable(false);
    try {
      sheet.replace(await readMask(address, { width, height }));
    } catch {
      setUnreadable(true);
    } finally {
      URL.revokeObjectURL(address);
    }
  };
  return (
    <div class="brush-whole">
      <button
        type="button"
        class="button"
        aria-keyshortcuts="Control+Z"
        disabled={sheet.steps.value === 0}
        onClick={() => sheet.undo()}
      >
        <Icon name="undo" />
        {brush.undo}
      </button>
      <button type="button" class="button" onClick={() => sheet.replace(inverted(sheet.mask))}>
        {brush.invert}
      </button>
      <button type="button" class="button" onClick={() => sheet.replace(evenMask({ width, height }, true))}>
        {brush.fill}
      </button>
      <button
        type="button"
        class="button"
        disabled={isEmpty}
        onClick={() => sheet.replace(evenMask({ width, height }, false))}
      >
        {brush.clear}
      </button>
      <label class="button brush-file">
        <input
          type="file"
          class="hidden-input"
          accept={ACCEPTED}
          aria-label={brush.file}
          onChange={(event) => {
            void take(event.currentTarget.files?.[0]);
            event.currentTarget.value = "";
          }}
        />
        <Icon name="image" />
        {brush.file}
      </label>
      <p class="error-text" role="alert" hidden={!isUnreadable}>
        {isUnreadable && brush.fileUnreadable}
      </p>
    </div>
  );
}

/** Keys of the whole dialog: the brush's width, and a step back. */
function useShortcuts(sheet: MaskSheet, widen: (direction: 1 | -1) => void): void {
  useEffect(() => {
    const listen = (event: KeyboardEvent) => {
      const isUndo = (event.ctrlKey || event.metaKey) && !event.shiftKey && event.key.toLowerCase() === "z";
      if (event.key === "[") widen(-1);
      else if (event.key === "]") widen(1);
      else if (isUndo) sheet.undo();
      else return;
      event.preventDefault();
    };
    document.addEventListener("keydown", listen);
    return () => document.removeEventListener("keydown", listen);
  }, [sheet]);
}
