/** Where the parts of a contact sheet lie, in pixels. */

export interface SheetLayout {
  width: number;
  height: number;
  /** Sides of a cell. */
  cell: { width: number; height: number };
  /** Space for the labels of rows, and for those of columns with the title. */
  left: number;
  top: number;
  gap: number;
  /** Size of the labels' letters. */
  letters: number;
}

/** Longer labels are cut: room for a label, in widths of its letters' size. */
const MOST_LETTERS = 9;

/** Browsers draw canvases of this many pixels a side everywhere. */
const LONGEST = 8192;

/**
 * The layout of `columns` × `rows` pictures of `picture`'s size, made smaller until it can be drawn. `rowLetters`: letters of the
 * longest label beside a row, 0 without labels.
 */
export function sheetLayout(
  columns: number,
  rows: number,
  picture: { width: number; height: number },
  rowLetters: number,
): SheetLayout {
  const fit = (scale: number): SheetLayout => {
    const cell = { width: Math.round(picture.width * scale), height: Math.round(picture.height * scale) };
    const letters = Math.max(12, Math.round(Math.min(cell.width, cell.height) / 18));
    const gap = Math.round(letters / 2);
    const left = rowLetters > 0 ? Math.round(letters * Math.min(MOST_LETTERS, 1.5 + rowLetters * 0.65)) : gap;
    const top = letters * 4;
    const width = left + columns * (cell.width + gap);
    const height = top + rows * (cell.height + gap);
    return { width, height, cell, left, top, gap, letters };
  };
  const natural = fit(1);
  const shrink = Math.min(1, LONGEST / natural.width, LONGEST / natural.height);
  // Letters have a least size, so that the first guess may be a little too large.
  for (let scale = shrink; ; scale *= 0.95) {
    const layout = fit(scale);
    if (layout.width <= LONGEST && layout.height <= LONGEST) return layout;
  }
}

/** Upper left corner of a cell. */
export function cellCorner(layout: SheetLayout, row: number, column: number): { x: number; y: number } {
  return {
    x: layout.left + column * (layout.cell.width + layout.gap),
    y: layout.top + row * (layout.cell.height + layout.gap),
  };
}
