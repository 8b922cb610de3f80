/** The status page's texts in the language that is used. They are apart from the playground's, which loads none of them. */

import { computed } from "@preact/signals";
import { language, type LanguageCode } from "../i18n";
import { statusEn, type StatusTexts } from "./texts-en";
import { statusZh } from "./texts-zh";

export const STATUS_TEXTS: Record<LanguageCode, StatusTexts> = { en: statusEn, zh: statusZh };

export const statusTexts = computed<StatusTexts>(() => STATUS_TEXTS[language.value]);
