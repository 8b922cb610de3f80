/** Small parts that many places use. */

import type { ComponentChildren, RefObject } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { texts } from "../i18n";
import type { Box } from "../model/zoom";
import { Icon, type IconName } from "./icons";

interface IconButtonProps {
  icon: IconName;
  label: string;
  onClick: () => void;
  pressed?: boolean;
  disabled?: boolean;
  class?: string;
}

/** A button that shows an icon only; its name is its tooltip, too. */
export function IconButton({ icon, label, onClick, pressed, disabled, class: extra }: IconButtonProps) {
  return (
    <button
      type="button"
      class={extra ? `icon-button ${extra}` : "icon-button"}
      aria-label={label}
      title={label}
      aria-pressed={pressed}
      disabled={disabled}
      onClick={onClick}
    >
      <Icon name={icon} />
    </button>
  );
}

interface ChoiceProps<Word extends string> {
  /** Name of the group of radio buttons; unique on the page. */
  name: string;
  label: string;
  words: readonly Word[];
  chosen: Word | null;
  /** What is written for each word. */
  text: (word: Word) => ComponentChildren;
  onChoose: (word: Word) => void;
  class?: string;
}

/** One of a few words, side by side: radio buttons, with their keys. */
export function Segments<Word extends string>({
  name,
  label,
  words,
  chosen,
  text,
  onChoose,
  class: extra,
}: ChoiceProps<Word>) {
  return (
    <div class={extra ? `segments ${extra}` : "segments"} role="radiogroup" aria-label={label}>
      {words.map((word) => (
        <label key={word} class="segment">
          <input
            type="radio"
            class="hidden-input"
            name={name}
            value={word}
            checked={word === chosen}
            onChange={() => onChoose(word)}
          />
          <span>{text(word)}</span>
        </label>
      ))}
    </div>
  );
}

/** Copies `text`; says so for a moment. */
export function CopyButton({ text, label }: { text: () => string; label: string }) {
  const [isCopied, setCopied] = useState(false);
  const { common } = texts.value;
  useEffect(() => {
    if (!isCopied) return;
    const timer = setTimeout(() => setCopied(false), 2000);
    return () => clearTimeout(timer);
  }, [isCopied]);
  return (
    <button type="button" class="button" onClick={async () => setCopied(await copy(text()))}>
      <Icon name={isCopied ? "check" : "copy"} />
      <span aria-live="polite">{isCopied ? common.copied : label}</span>
    </button>
  );
}

/** Puts `text` on the clipboard. Over plain HTTP from another machine there is the old way only. */
async function copy(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = document.createElement("textarea");
    area.value = text;
    area.className = "off-screen";
    const host = document.querySelector("dialog[open]") ?? document.body;
    const focused = document.activeElement;
    host.append(area);
    area.select();
    const isDone = document.execCommand("copy");
    area.remove();
    if (focused instanceof HTMLElement) focused.focus();
    return isDone;
  }
}

interface DialogProps {
  title: string;
  onClose: () => void;
  children: ComponentChildren;
  class?: string;
  /** A press beside it does not close it: there is work in it. */
  holdsWork?: boolean;
}

/** A modal dialog. The browser keeps the focus in it, closes it by Escape and gives the focus back. */
export function Dialog({ title, onClose, children, class: extra, holdsWork }: DialogProps) {
  const ref = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const dialog = ref.current;
    const focused = document.activeElement;
    dialog?.showModal();
    return () => {
      dialog?.close();
      // What had the focus may have gone with what was done in the dialog.
      if (focused instanceof HTMLElement && focused.isConnected) focused.focus();
    };
  }, []);
  return (
    <dialog
      ref={ref}
      class={extra ? `dialog ${extra}` : "dialog"}
      aria-label={title}
      onClose={onClose}
      onPointerDown={(event) => {
        // The dialog itself is hit only beside its content. Marking text that ends out there is no click.
        if (event.target === ref.current && !holdsWork) onClose();
      }}
    >
      <div class="dialog-body">
        <header class="dialog-head">
          <h2>{title}</h2>
          <IconButton icon="close" label={texts.value.common.close} onClick={onClose} />
        </header>
        {children}
      </div>
    </dialog>
  );
}

/** The size of an element's inside, as it changes. */
export function useBox(ref: RefObject<HTMLElement | null>): Box {
  const [box, setBox] = useState<Box>({ width: 0, height: 0 });
  useEffect(() => {
    const element = ref.current;
    if (!element) return;
    const measure = () => setBox({ width: element.clientWidth, height: element.clientHeight });
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    measure();
    return () => observer.disconnect();
  }, []);
  return box;
}

/** `now` again every `milliseconds` while `isOn`. */
export function useTicks(milliseconds: number, isOn: boolean): number {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    if (!isOn) return;
    setNow(Date.now());
    const timer = setInterval(() => setNow(Date.now()), milliseconds);
    return () => clearInterval(timer);
  }, [milliseconds, isOn]);
  return now;
}

/** What an `<img>` shows that fails to load. */
export function Picture({
  src,
  alt,
  class: extra,
  onRatio,
  onBroken,
}: {
  src: string;
  alt: string;
  class?: string;
  onRatio?: (ratio: number) => void;
  onBroken?: () => void;
}) {
  const [isBroken, setBroken] = useState(false);
  useEffect(() => setBroken(false), [src]);
  if (isBroken) {
    return (
      <span class="picture-gone" role="img" aria-label={`${alt}: ${texts.value.task.pictureGone}`}>
        <Icon name="image" />
      </span>
    );
  }
  return (
    <img
      class={extra}
      src={src}
      alt={alt}
      decoding="async"
      draggable={false}
      onError={() => {
        setBroken(true);
        onBroken?.();
      }}
      onLoad={(event) => onRatio?.(event.currentTarget.naturalWidth / event.currentTarget.naturalHeight)}
    />
  );
}
