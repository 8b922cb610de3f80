/** Where an enlarged picture lies: its scale, and how far its middle is from the frame's. */

export interface Place {
  scale: number;
  x: number;
  y: number;
}

export interface Box {
  width: number;
  height: number;
}

const LARGEST = 16;
/** Pixels that an arrow key moves. */
const NUDGE = 60;
const FACTOR = 1.25;

/** The scale at which `picture` just fits `frame`; small ones are not enlarged beyond twice. */
export function fitting(picture: Box, frame: Box): number {
  if (picture.width <= 0 || picture.height <= 0) return 1;
  return Math.min(frame.width / picture.width, frame.height / picture.height, 2);
}

/** `place` at another scale, so that the point of the picture at (`x`, `y`) from the frame's middle stays there. */
export function scaled(place: Place, scale: number, least: number, x = 0, y = 0): Place {
  const next = Math.min(LARGEST, Math.max(least, scale));
  const ratio = next / place.scale;
  return { scale: next, x: x - (x - place.x) * ratio, y: y - (y - place.y) * ratio };
}

/** `place` moved so that the picture does not leave the frame; what is smaller than the frame is in the middle. */
export function held(place: Place, picture: Box, frame: Box): Place {
  const room = (size: number, inside: number) => Math.max(0, (size * place.scale - inside) / 2);
  const across = room(picture.width, frame.width);
  const down = room(picture.height, frame.height);
  return {
    scale: place.scale,
    x: Math.min(across, Math.max(-across, place.x)),
    y: Math.min(down, Math.max(-down, place.y)),
  };
}

/** Where two fingers are: their distance, and the point between them, from the frame's middle. */
export interface Grip {
  distance: number;
  x: number;
  y: number;
}

/** `place` after two fingers went from one grip to another: what was between them still is. */
export function pinched(place: Place, from: Grip, to: Grip, least: number): Place {
  if (from.distance <= 0) return place;
  const moved = { ...place, x: place.x + to.x - from.x, y: place.y + to.y - from.y };
  return scaled(moved, place.scale * (to.distance / from.distance), least, to.x, to.y);
}

/** Where `key` takes the picture; null: nowhere. `least` is the scale that fits. */
export function keyed(key: string, place: Place, least: number): Place | null {
  switch (key) {
    case "+":
    case "=":
      return scaled(place, place.scale * FACTOR, least);
    case "-":
      return scaled(place, place.scale / FACTOR, least);
    case "0":
      return { scale: least, x: 0, y: 0 };
    case "1":
      return scaled(place, 1, Math.min(1, least));
    case "ArrowLeft":
      return { ...place, x: place.x + NUDGE };
    case "ArrowRight":
      return { ...place, x: place.x - NUDGE };
    case "ArrowUp":
      return { ...place, y: place.y + NUDGE };
    case "ArrowDown":
      return { ...place, y: place.y - NUDGE };
    default:
      return null;
  }
}
