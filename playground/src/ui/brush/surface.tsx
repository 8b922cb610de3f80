/** The picture with its mask, to be painted on by pointer or by keys. */

import type { CSSProperties } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { texts } from "../../i18n";
import type { Point } from "../../model/brush";
import { fitting } from "../../model/zoom";
import { useBox } from "../widgets";
import type { MaskSheet } from "./sheet";

interface SurfaceProps {
  sheet: MaskSheet;
  /** What an `<img>` shows of the picture. */
  preview: string;
  label: string;
  width: number;
  isErasing: boolean;
}

const ARROWS: Record<string, Point> = {
  ArrowLeft: { x: -1, y: 0 },
  ArrowRight: { x: 1, y: 0 },
  ArrowUp: { x: 0, y: -1 },
  ArrowDown: { x: 0, y: 1 },
};

export function Surface({ sheet, preview, label, width, isErasing }: SurfaceProps) {
  const { brush } = texts.value;
  const frame = useRef<HTMLDivElement>(null);
  const surface = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const inside = useBox(frame);
  const size = sheet.mask;
  // Small pictures are enlarged to fit, as there is nothing finer in their masks.
  const scale = inside.width > 0 ? fitting(size, inside) : 0;
  const [place, setPlace] = useState<Point | null>(null);
  useEffect(() => {
    sheet.showOn(canvas.current);
    return () => sheet.showOn(null);
  }, [sheet]);
  // It comes after the dialog, once the picture is there, and is what one came for.
  useEffect(() => surface.current?.focus({ preventScroll: true }), []);
  const hand = useHand({ sheet, width, isErasing, setPlace });
  const keys = useKeys({ sheet, width, isErasing, place, setPlace });
  return (
    <div ref={frame} class="brush-frame" style={{ "--ratio": String(size.width / size.height) } as CSSProperties}>
      <div
        ref={surface}
        class="brush-surface"
        tabIndex={0}
        role="application"
        aria-label={label}
        aria-describedby="brush-help"
        style={{ width: `${size.width * scale}px`, height: `${size.height * scale}px` }}
        {...hand}
        {...keys}
      >
        <img src={preview} alt="" draggable={false} />
        <canvas ref={canvas} width={size.width} height={size.height} />
        {place && (
          <span
            class={isErasing ? "brush-ring brush-ring-eraser" : "brush-ring"}
            style={{
              left: `${place.x * scale}px`,
              top: `${place.y * scale}px`,
              width: `${width * scale}px`,
              height: `${width * scale}px`,
            }}
          />
        )}
      </div>
      <p class="off-screen" id="brush-help">
        {brush.help}
      </p>
    </div>
  );
}

interface Tool {
  sheet: MaskSheet;
  width: number;
  isErasing: boolean;
  setPlace: (place: Point | null) => void;
}

type SurfacePointer = PointerEvent & { currentTarget: HTMLElement };

/** Handlers that paint with one pointer: a mouse, a pen or a finger. A second finger does nothing. */
function useHand({ sheet, width, isErasing, setPlace }: Tool) {
  const painting = useRef<{ id: number; at: Point } | null>(null);
  const pointOf = (target: HTMLElement, event: PointerEvent): Point => {
    const box = target.getBoundingClientRect();
    return {
      x: ((event.clientX - box.left) / box.width) * sheet.mask.width,
      y: ((event.clientY - box.top) / box.height) * sheet.mask.height,
    };
  };
  const end = (event: SurfacePointer) => {
    if (painting.current?.id !== event.pointerId) return;
    painting.current = null;
    sheet.end();
    // Where a finger was there is nothing to see any more.
    if (event.pointerType === "touch") setPlace(null);
  };
  return {
    onPointerDown: (event: SurfacePointer) => {
      if (event.button !== 0 || painting.current) return;
      event.currentTarget.setPointerCapture(event.pointerId);
      const at = pointOf(event.currentTarget, event);
      painting.current = { id: event.pointerId, at };
      setPlace(at);
      sheet.begin();
      sheet.paint(at, at, width, isErasing);
    },
    onPointerMove: (event: SurfacePointer) => {
      const last = painting.current;
      if (last && last.id !== event.pointerId) return;
      const target = event.currentTarget;
      setPlace(pointOf(target, event));
      if (!last) return;
      // A browser tells of several places at once when the hand is fast.
      const events = event.getCoalescedEvents?.() ?? [];
      for (const each of events.length > 0 ? events : [event]) {
        const at = pointOf(target, each);
        sheet.paint(last.at, at, width, isErasing);
        last.at = at;
      }
    },
    onPointerUp: end,
    onPointerCancel: end,
    onPointerLeave: () => {
      if (!painting.current) setPlace(null);
    },
  };
}

/** Handlers that move the brush by arrows, and paint while the space bar is held. */
function useKeys({ sheet, width, isErasing, place, setPlace }: Tool & { place: Point | null }) {
  const isDown = useRef(false);
  const middle = { x: sheet.mask.width / 2, y: sheet.mask.height / 2 };
  const at = place ?? middle;
  const lift = () => {
    if (!isDown.current) return;
    isDown.current = false;
    sheet.end();
  };
  return {
    onKeyDown: (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const direction = ARROWS[event.key];
      if (!direction && event.key !== " ") return;
      event.preventDefault();
      if (!direction) {
        setPlace(at);
        if (isDown.current) return;
        isDown.current = true;
        sheet.begin();
        sheet.paint(at, at, width, isErasing);
        return;
      }
      const step = event.shiftKey ? 1 : Math.max(2, width / 2);
      const next = {
        x: Math.min(sheet.mask.width, Math.max(0, at.x + step * direction.x)),
        y: Math.min(sheet.mask.height, Math.max(0, at.y + step * direction.y)),
      };
      setPlace(next);
      if (isDown.current) sheet.paint(at, next, width, isErasing);
    },
    onKeyUp: (event: KeyboardEvent) => {
      if (event.key === " ") lift();
    },
    onFocus: (event: FocusEvent) => {
      // By a key, the brush shows where it is; a pointer shows it anyway.
      if ((event.currentTarget as HTMLElement).matches(":focus-visible")) setPlace(at);
    },
    onBlur: () => {
      lift();
      setPlace(null);
    },
  };
}
