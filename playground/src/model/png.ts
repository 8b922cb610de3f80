/** PNG files from bytes. A canvas would write four channels where a mask has one, and alpha less than exactly. */

import type { Size } from "./sizes";

/** Channels of a pixel, and PNG's number for it. */
const COLOUR_TYPES = { grey: { channels: 1, code: 0 }, rgba: { channels: 4, code: 6 } };

const SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];

/** A PNG with 8 bits a channel of `pixels`, row by row. */
export async function png(
  { width, height }: Size,
  colours: keyof typeof COLOUR_TYPES,
  pixels: Uint8Array | Uint8ClampedArray,
): Promise<Uint8Array<ArrayBuffer>> {
  const { channels, code } = COLOUR_TYPES[colours];
  const stride = channels * width;
  // Each row begins with its filter. Rows of a mask repeat the one above: "up" leaves zeros of them.
  const UP = 2;
  const rows = new Uint8Array((stride + 1) * height);
  for (let y = 0; y < height; y++) {
    const start = y * (stride + 1);
    rows[start] = UP;
    for (let x = 0; x < stride; x++) {
      rows[start + 1 + x] = (pixels[y * stride + x] ?? 0) - (y > 0 ? (pixels[(y - 1) * stride + x] ?? 0) : 0);
    }
  }
  const header = new Uint8Array(13);
  new DataView(header.buffer).setUint32(0, width);
  new DataView(header.buffer).setUint32(4, height);
  header.set([8, code, 0, 0, 0], 8);
  const parts = [
    new Uint8Array(SIGNATURE),
    chunk("IHDR", header),
    chunk("IDAT", await packed(rows)),
    chunk("IEND", new Uint8Array()),
  ];
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}

async function packed(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
  const stream = new Blob([bytes]).stream().pipeThrough(new CompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

function chunk(name: string, data: Uint8Array): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(data.length + 12);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, data.length);
  for (let at = 0; at < 4; at++) bytes[4 + at] = name.charCodeAt(at);
  bytes.set(data, 8);
  view.setUint32(data.length + 8, checksum(bytes.subarray(4, data.length + 8)));
  return bytes;
}

/** CRC-32, bit by bit: a mask packs into few bytes. */
function checksum(bytes: Uint8Array): number {
  let rest = 0xffff_ffff;
  for (const byte of bytes) {
    rest ^= byte;
    for (let bit = 0; bit < 8; bit++) rest = (rest >>> 1) ^ (rest & 1 ? 0xedb8_8320 : 0);
  }
  return ~rest >>> 0;
}

/** `bytes` of a PNG as an address of their own. */
export function dataUri(bytes: Uint8Array): string {
  let text = "";
  // All at once would be more arguments than a call takes.
  for (let at = 0; at < bytes.length; at += 0x2000) text += String.fromCharCode(...bytes.subarray(at, at + 0x2000));
  return `data:image/png;base64,${btoa(text)}`;
}
