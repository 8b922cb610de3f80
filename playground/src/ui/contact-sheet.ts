/** Draws a grid as one picture and hands it out as a file. */

import { isShowable, pageBase } from "../api/address";
import { texts } from "../i18n";
import { cellCorner, sheetLayout, type SheetLayout } from "../model/sheet";
import { headingTitle, type Grid } from "../state/grid";
import { outputsOf } from "../state/tasks";

export async function drawSheet(grid: Grid): Promise<void> {
  const addresses = grid.cells.map(({ task }) => (task.value ? outputsOf(task.value.prediction.value)[0] : undefined));
  const pictures = await Promise.all(addresses.map(pictureOf));
  const first = pictures.find((picture) => picture !== null);
  if (!first) return;
  const rows = grid.rows?.labels.length ?? 1;
  const layout = sheetLayout(grid.columns.labels.length, rows, first, longestOf(grid.rows?.labels ?? []));
  const canvas = document.createElement("canvas");
  canvas.width = layout.width;
  canvas.height = layout.height;
  const context = canvas.getContext("2d");
  if (!context) return;
  context.fillStyle = "#fff";
  context.fillRect(0, 0, canvas.width, canvas.height);
  drawLabels(context, layout, grid);
  grid.cells.forEach((cell, index) => drawCell(context, layout, cell.row, cell.column, pictures[index] ?? null));
  for (const picture of pictures) picture?.close();
  const blob = await new Promise<Blob | null>((resolve) => canvas.toBlob(resolve, "image/png"));
  if (blob) save(blob, "grid.png");
}

/** Letters of the longest label; those of wide scripts count twice. */
function longestOf(labels: readonly string[]): number {
  const width = (label: string) => [...label].reduce((sum, letter) => sum + (letter > "\u2e7f" ? 2 : 1), 0);
  return Math.max(0, ...labels.map(width));
}

/** Null where there is none, or none that the page may read. */
async function pictureOf(address: string | undefined): Promise<ImageBitmap | null> {
  if (address === undefined || !isShowable(address, pageBase())) return null;
  const response = await fetch(address);
  return response.ok ? createImageBitmap(await response.blob()) : null;
}

function drawLabels(context: CanvasRenderingContext2D, layout: SheetLayout, grid: Grid): void {
  const { letters, left, top, gap, cell } = layout;
  context.fillStyle = "#222";
  context.textBaseline = "middle";
  context.font = `600 ${letters}px system-ui, sans-serif`;
  const title = grid.rows ? `${headingTitle(grid.columns)} × ${headingTitle(grid.rows)}` : headingTitle(grid.columns);
  context.fillText(title, gap, letters * 1.2, layout.width - 2 * gap);
  context.font = `${letters}px system-ui, sans-serif`;
  context.textAlign = "center";
  grid.columns.labels.forEach((label, column) => {
    const { x } = cellCorner(layout, 0, column);
    context.fillText(shortened(context, label, cell.width), x + cell.width / 2, top - letters);
  });
  context.textAlign = "right";
  grid.rows?.labels.forEach((label, row) => {
    const { y } = cellCorner(layout, row, 0);
    context.fillText(shortened(context, label, left - 2 * gap), left - gap, y + cell.height / 2);
  });
}

/** `text`, cut where it is wider than `width`. */
function shortened(context: CanvasRenderingContext2D, text: string, width: number): string {
  if (context.measureText(text).width <= width) return text;
  const letters = [...text];
  while (letters.length > 1 && context.measureText(`${letters.join("")}…`).width > width) letters.pop();
  return `${letters.join("")}…`;
}

function drawCell(
  context: CanvasRenderingContext2D,
  layout: SheetLayout,
  row: number,
  column: number,
  picture: ImageBitmap | null,
): void {
  const { x, y } = cellCorner(layout, row, column);
  const { width, height } = layout.cell;
  if (!picture) {
    context.fillStyle = "#eee";
    context.fillRect(x, y, width, height);
    context.fillStyle = "#777";
    context.textAlign = "center";
    context.fillText(texts.value.grid.notSent, x + width / 2, y + height / 2, width);
    return;
  }
  // Pictures of another shape than the first keep theirs.
  const scale = Math.min(width / picture.width, height / picture.height);
  const across = picture.width * scale;
  const down = picture.height * scale;
  context.drawImage(picture, x + (width - across) / 2, y + (height - down) / 2, across, down);
}

function save(blob: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
