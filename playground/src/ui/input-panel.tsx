/** Where pictures come in: dropped, pasted, chosen, photographed, or by their address. */

import { signal } from "@preact/signals";
import { useId, useRef, useState } from "preact/hooks";
import { isShowable, pageBase } from "../api/address";
import { texts } from "../i18n";
import { find } from "../model/controls";
import { controls } from "../state/catalogue";
import { fromAddress, fromBlob, fromFile } from "../state/input-picture";
import { addPictures, most, pictures } from "../state/pictures";
import { CameraDialog } from "./camera-dialog";
import { ErrorText } from "./controls/field";
import { Icon } from "./icons";
import { PictureList } from "./picture-list";

/** Whether files are being dragged over the page. */
export const isDragging = signal(false);

/** What a file dialog offers first; the server decides by the content. */
export const ACCEPTED = "image/*,.tif,.tiff";

export function takeFiles(files: Iterable<File>): void {
  const taken = [...files];
  if (taken.length > 0) addPictures(taken.map(fromFile));
}

export function InputPanel() {
  const { pictures: words } = texts.value;
  const control = find(controls.value, "picture");
  const errorId = useId();
  if (!control) return null;
  const hasAny = pictures.value.length > 0;
  // What is wrong with a file is said on its card.
  const isOnCard = pictures.value.some((picture) => picture.unreadable.value !== null);
  return (
    <section class="panel input-panel" data-field="image" aria-labelledby="pictures-title">
      <h2 class="panel-title" id="pictures-title">
        {most.value > 1 ? words.titleMany : words.title}
        {!control.required && <span class="optional">{words.optional}</span>}
      </h2>
      {hasAny && <PictureList />}
      {pictures.value.length < Math.max(most.value, 1) && <DropArea isFirst={!hasAny} errorId={errorId} />}
      {!isOnCard && <ErrorText id={errorId} name="image" />}
      <Ways />
      <ErrorText id={`${errorId}-further`} name="images" />
    </section>
  );
}

/** The whole area opens a file dialog, and is where drops are announced; drops are taken anywhere on the page. */
function DropArea({ isFirst, errorId }: { isFirst: boolean; errorId: string }) {
  const { pictures: words } = texts.value;
  const first = isPhone ? words.dropPhone : words.drop;
  const text = isDragging.value ? words.dropNow : isFirst ? first : words.dropMore;
  return (
    <label class={isDragging.value ? "drop drop-over" : isFirst ? "drop" : "drop drop-small"}>
      <FileInput errorId={errorId} />
      <Icon name="image" />
      <span>{text}</span>
      {isFirst && <span class="button">{words.choose}</span>}
    </label>
  );
}

function FileInput({ errorId }: { errorId: string | undefined }) {
  return (
    <input
      type="file"
      class="hidden-input"
      accept={ACCEPTED}
      multiple={most.value > 1}
      aria-label={texts.value.pictures.choose}
      aria-describedby={errorId}
      onChange={(event) => {
        takeFiles(event.currentTarget.files ?? []);
        // So that the same file can be chosen again.
        event.currentTarget.value = "";
      }}
      onKeyDown={(event) => {
        // As on any button; not every browser does so by itself.
        if (event.key !== "Enter" || event.ctrlKey || event.metaKey) return;
        event.preventDefault();
        event.currentTarget.click();
      }}
    />
  );
}

/** Phones have a camera application, which takes better photographs than a page does. */
const isPhone = matchMedia("(pointer: coarse)").matches;
/** There over HTTPS and on this machine only. */
const hasCamera = "mediaDevices" in navigator && "getUserMedia" in navigator.mediaDevices;

/** The ways beside files: camera and address; and files, where the area above is full. */
function Ways() {
  const { pictures: words } = texts.value;
  const [isTaking, setTaking] = useState(false);
  const [isAsking, setAsking] = useState(false);
  const isFull = pictures.value.length >= Math.max(most.value, 1);
  return (
    <>
      <div class="ways">
        {isFull && (
          <label class="button">
            <FileInput errorId={undefined} />
            <Icon name="image" />
            {words.file}
          </label>
        )}
        {isPhone ? (
          <CaptureButton />
        ) : (
          hasCamera && (
            <button type="button" class="button" onClick={() => setTaking(true)}>
              <Icon name="camera" />
              {words.camera}
            </button>
          )
        )}
        <button type="button" class="button" aria-expanded={isAsking} onClick={() => setAsking(!isAsking)}>
          <Icon name="link" />
          {words.address}
        </button>
      </div>
      {isAsking && <AddressForm onAdded={() => setAsking(false)} />}
      {isTaking && (
        <CameraDialog
          onClose={() => setTaking(false)}
          onTaken={(blob) => {
            addPictures([fromBlob(blob, words.fromCamera)]);
            setTaking(false);
          }}
        />
      )}
    </>
  );
}

function CaptureButton() {
  return (
    <label class="button">
      <input
        type="file"
        class="hidden-input"
        accept="image/*"
        capture="environment"
        onChange={(event) => {
          takeFiles(event.currentTarget.files ?? []);
          event.currentTarget.value = "";
        }}
      />
      <Icon name="camera" />
      {texts.value.pictures.camera}
    </label>
  );
}

/** Not a form of its own: it lies within the form of the settings. */
function AddressForm({ onAdded }: { onAdded: () => void }) {
  const { pictures: words } = texts.value;
  const id = useId();
  const input = useRef<HTMLInputElement>(null);
  const [isWrong, setWrong] = useState(false);
  const add = () => {
    const address = input.current?.value.trim() ?? "";
    if (!/^https?:\/\/./i.test(address) || !URL.canParse(address)) return setWrong(true);
    addPictures([fromAddress(address, isShowable(address, pageBase()) ? address : null)]);
    onAdded();
  };
  return (
    <div class="field">
      <label class="label" for={id}>
        {words.addressLabel}
      </label>
      <div class="add-row">
        <input
          id={id}
          ref={input}
          type="url"
          class="input"
          placeholder={words.addressHint}
          aria-invalid={isWrong || undefined}
          aria-describedby={`${id}-error`}
          onInput={() => setWrong(false)}
          onKeyDown={(event) => {
            if (event.key !== "Enter" || event.ctrlKey || event.metaKey) return;
            event.preventDefault();
            add();
          }}
        />
        <button type="button" class="button" onClick={add}>
          {words.addAddress}
        </button>
      </div>
      <p class="error-text" id={`${id}-error`} role="alert" hidden={!isWrong}>
        {isWrong && words.badAddress}
      </p>
    </div>
  );
}
