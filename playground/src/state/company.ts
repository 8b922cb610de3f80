/** What comes along with the form's values: whether something is masked, and whether a picture is started from. */

import { computed } from "@preact/signals";
import type { Company } from "../model/relevance";
import { maskPurpose } from "./masks";
import { usedPictures } from "./pictures";
import { usedStart } from "./start-picture";

export const company = computed<Company>(() => ({
  hasMask: maskPurpose.value === "changes" && usedPictures.value.some((picture) => picture.mask.value !== null),
  hasStart: usedStart.value !== null,
}));
