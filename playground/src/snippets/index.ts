/** The request of the form as programs would send it. */

import { fal } from "./fal";
import type { Dialect, Language, Snippet, SnippetInput } from "./input";
import { openai } from "./openai";
import { wavespeed } from "./wavespeed";

const WRITERS: Record<Dialect, (input: SnippetInput, language: Language) => Snippet> = { wavespeed, fal, openai };

/** The example for `dialect` in `language`. */
export function snippet(dialect: Dialect, language: Language, input: SnippetInput): Snippet {
  return WRITERS[dialect](input, language);
}
