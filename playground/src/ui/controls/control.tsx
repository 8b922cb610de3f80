/** The field of a parameter, by its kind. */

import type { Control } from "../../model/controls";
import { NumberField } from "./number";
import { ChoiceField, LorasField, PromptField, SeedField, SwitchField, TextField } from "./others";
import { SizeField } from "./size";

/** Pictures and their weights have a place of their own. */
export function ControlField({ control }: { control: Control }) {
  switch (control.kind) {
    case "prompt":
      return <PromptField control={control} />;
    case "text":
      return <TextField control={control} />;
    case "size":
      return <SizeField control={control} />;
    case "seed":
      return <SeedField control={control} />;
    case "number":
      return <NumberField control={control} />;
    case "switch":
      return <SwitchField control={control} />;
    case "choice":
      return <ChoiceField control={control} />;
    case "loras":
      return <LorasField control={control} />;
    default:
      return null;
  }
}
