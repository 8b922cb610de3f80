/** What the strength of image-to-image does, in steps. */

/** How many of `steps` run at `strength`: the server's own rule, which is diffusers'. */
export function stepsRun(steps: number, strength: number): number {
  const skipped = Math.trunc(Math.max(steps - Math.min(steps * strength, steps), 0));
  return steps - skipped;
}

/** How much is kept of the picture, in words that have a text each. */
export type Kept = "all" | "nearlyAll" | "composition" | "roughComposition" | "colours" | "nothing";

export function kept(strength: number): Kept {
  if (strength <= 0) return "all";
  if (strength <= 0.35) return "nearlyAll";
  if (strength <= 0.65) return "composition";
  if (strength <= 0.85) return "roughComposition";
  return strength < 1 ? "colours" : "nothing";
}
