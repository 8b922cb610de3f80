/** A picture as large as one likes: wheel, drag, keys and buttons. */

import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { texts } from "../i18n";
import { fitting, held, keyed, pinched, scaled, type Box, type Grip, type Place } from "../model/zoom";
import { Dialog, IconButton, useBox } from "./widgets";

interface ZoomProps {
  pictures: readonly { address: string; name: string }[];
  first: number;
  onClose: () => void;
}

export function ZoomDialog({ pictures, first, onClose }: ZoomProps) {
  const { zoom } = texts.value;
  const [index, setIndex] = useState(first);
  const picture = pictures[index];
  if (!picture) return null;
  return (
    <Dialog title={pictures.length > 1 ? picture.name : zoom.title} class="dialog-full dialog-zoom" onClose={onClose}>
      <Zoomed key={picture.address} picture={picture}>
        {pictures.length > 1 && (
          <>
            <IconButton icon="back" label={zoom.previous} disabled={index === 0} onClick={() => setIndex(index - 1)} />
            <IconButton
              icon="forward"
              label={zoom.next}
              disabled={index === pictures.length - 1}
              onClick={() => setIndex(index + 1)}
            />
          </>
        )}
      </Zoomed>
    </Dialog>
  );
}

interface ZoomedProps {
  picture: { address: string; name: string };
  /** Buttons beside those of this part. */
  children: ComponentChildren;
}

function Zoomed({ picture, children }: ZoomedProps) {
  const { zoom } = texts.value;
  const frame = useRef<HTMLDivElement>(null);
  const [size, setSize] = useState<Box | null>(null);
  const [place, setPlace] = useState<Place | null>(null);
  const inside = useBox(frame);
  const fit = size && inside.width > 0 ? fitting(size, inside) : 1;
  const least = Math.min(1, fit);
  const shown = place ?? { scale: fit, x: 0, y: 0 };
  const go = (next: Place | null) => {
    if (next && size) setPlace(held(next, size, inside));
  };
  const hands = useHands(shown, least, go);
  useWheel(frame, (delta, x, y) => go(scaled(shown, shown.scale * Math.exp(-delta / 400), least, x, y)));
  return (
    <>
      <div
        ref={frame}
        class="zoom-frame"
        tabIndex={0}
        autoFocus
        role="group"
        aria-label={`${picture.name}. ${zoom.help}`}
        onKeyDown={(event) => {
          const next = event.ctrlKey || event.metaKey ? null : keyed(event.key, shown, least);
          if (!next) return;
          event.preventDefault();
          go(next);
        }}
        {...hands}
      >
        <img
          src={picture.address}
          alt={picture.name}
          draggable={false}
          onLoad={(event) =>
            setSize({ width: event.currentTarget.naturalWidth, height: event.currentTarget.naturalHeight })
          }
          style={{ transform: `translate(-50%, -50%) translate(${shown.x}px, ${shown.y}px) scale(${shown.scale})` }}
        />
      </div>
      <div class="zoom-bar">
        <IconButton icon="minus" label={zoom.out} onClick={() => go(keyed("-", shown, least))} />
        <span class="value" role="status">
          {zoom.percent(Math.round(shown.scale * 100))}
        </span>
        <IconButton icon="plus" label={zoom.in} onClick={() => go(keyed("+", shown, least))} />
        <button type="button" class="button" onClick={() => setPlace(null)}>
          {zoom.fit}
        </button>
        <button
          type="button"
          class="button"
          aria-label={zoom.actual}
          title={zoom.actual}
          onClick={() => go(keyed("1", shown, least))}
        >
          <span class="only-wide">{zoom.actual}</span>
          <span class="only-narrow">1:1</span>
        </button>
        {children}
      </div>
    </>
  );
}

type FramePointer = PointerEvent & { currentTarget: HTMLElement };

/** Handlers that move the picture with one pointer, and enlarge it with two. */
function useHands(place: Place, least: number, go: (place: Place) => void) {
  const hands = useRef(new Map<number, { x: number; y: number }>());
  const at = (event: FramePointer) => {
    const box = event.currentTarget.getBoundingClientRect();
    return { x: event.clientX - box.left - box.width / 2, y: event.clientY - box.top - box.height / 2 };
  };
  const letGo = (event: FramePointer) => void hands.current.delete(event.pointerId);
  return {
    onPointerDown: (event: FramePointer) => {
      if (event.button !== 0) return;
      event.currentTarget.setPointerCapture(event.pointerId);
      hands.current.set(event.pointerId, at(event));
    },
    onPointerMove: (event: FramePointer) => {
      const before = [...hands.current.values()];
      const last = hands.current.get(event.pointerId);
      if (!last) return;
      const now = at(event);
      hands.current.set(event.pointerId, now);
      const after = [...hands.current.values()];
      if (after.length === 2) go(pinched(place, gripOf(before), gripOf(after), least));
      else go({ ...place, x: place.x + now.x - last.x, y: place.y + now.y - last.y });
    },
    onPointerUp: letGo,
    onPointerCancel: letGo,
  };
}

function gripOf(points: readonly { x: number; y: number }[]): Grip {
  const [one, two] = points;
  if (!one || !two) return { distance: 0, x: 0, y: 0 };
  return { distance: Math.hypot(one.x - two.x, one.y - two.y), x: (one.x + two.x) / 2, y: (one.y + two.y) / 2 };
}

/** Calls `turned` with how far the wheel turned, and where from the middle. Not passive, so that the page stays. */
function useWheel(frame: { current: HTMLElement | null }, turned: (delta: number, x: number, y: number) => void): void {
  const latest = useRef(turned);
  latest.current = turned;
  useEffect(() => {
    const element = frame.current;
    if (!element) return;
    const listen = (event: WheelEvent) => {
      event.preventDefault();
      const box = element.getBoundingClientRect();
      latest.current(event.deltaY, event.clientX - box.left - box.width / 2, event.clientY - box.top - box.height / 2);
    };
    element.addEventListener("wheel", listen, { passive: false });
    return () => element.removeEventListener("wheel", listen);
  }, []);
}
