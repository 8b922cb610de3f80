/** Which control an error of the server is about. */

export type FieldError = ServersError | OwnError;

/** The server says so, in English. */
export interface ServersError {
  /** Name of the parameter. */
  field: string;
  /** Position in a list, if the message names one. */
  index: number | null;
  /** What is wrong, without the field's name. */
  message: string;
}

/** The page says so, in its language. */
export interface OwnError {
  field: string;
  /** What is missing or wrong; each has a text. */
  missing: "pictureMissing" | "promptMissing" | "unreadable";
  /** What the server says of it, in English. */
  detail?: string;
}

/** Fields of other routes that stand for a parameter. */
const STANDS_FOR: Record<string, string> = { file: "image", mask: "mask_image" };

/**
 * The field that `message` names, as in `loras[1].path: is not there`, if it is one of `names`. A text before a colon may
 * be anything, so what is no parameter is not taken for one.
 */
export function fieldError(message: string, names: readonly string[]): ServersError | null {
  const match = /^([A-Za-z_][A-Za-z0-9_]*)(?:\[(\d+)\])?(?:\.[A-Za-z_]+)?: (.+)$/s.exec(message);
  if (!match) return null;
  const [, written = "", index, text = ""] = match;
  const field = names.includes(written) ? written : STANDS_FOR[written];
  if (!field || !names.includes(field)) return null;
  return { field, index: index === undefined ? null : Number(index), message: text };
}
