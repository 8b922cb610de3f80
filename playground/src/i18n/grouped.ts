/** A whole number with commas between thousands, as English and Chinese have them: what a browser has for it takes long. */
export function grouped(count: number): string {
  return String(count).replace(/\B(?=(?:\d{3})+$)/g, ",");
}
