/** The field of a parameter, by its kind. */

import type { Control } from "../../model/controls";
import { NumberField } from "./number";
import { ChoiceField, LorasField, PromptField, SeedField, SwitchField, TextField } from "./others";
import { NearSeedField, OptionalNumberField } from "./optional";
import { SizeField } from "./size";
import { StartField } from "./start-picture";

/** Pictures, their weights and masks have a place of their own. */
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
    case "nearSeed":
      return <NearSeedField control={control} />;
    case "number":
      return <NumberField control={control} />;
    case "optionalNumber":
      return <OptionalNumberField control={control} />;
    case "start":
      return <StartField control={control} />;
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
