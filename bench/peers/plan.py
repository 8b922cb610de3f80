"""What is measured, in which order. A job is a dictionary:

    group     what `--only` chooses
    program   afterimage, diffusers, openvino, sdcpp, or peak
    what      step, decode, vary, peak or growth
    variant   the numbers: f32, auto, bf16, int8, q8_0, q4_k
    cases     [(side, context tokens)]; a decode has no context
    spared    of Afterimage's steps: equal text tokens that one of them stands for
    rounds    in how many of the rounds it runs; all of them without it
"""

from shape import REDUX, TEXT

WITH_REDUX = TEXT + REDUX
SDCPP_CONTEXT = 256
GROUPS = {
    "peak": "what the vector units can do",
    "step-f32": "steps of the slice in f32, of an empty prompt of zeros, too",
    "step-bf16": "the same in bf16, and steps in what `auto` picks",
    "step-int8": "steps with 8-bit integers",
    "gguf": "steps with Q8_0 and Q4_K files, against stable-diffusion.cpp",
    "vae": "decoding",
    "vary": "a whole variation with the demo model",
    "medium": "steps of the model of `--preset medium`",
    "growth": "the cost of a step from 256² to 2048²",
}
SLOW_SIDE = 1024  # measured in the first round only
GROWTH_SIDES = (256, 512, 1024, 1536, 2048)


class Sizes:
    """Sides and tokens of a run."""

    def __init__(self, quick=False, tiny=False):
        self.quick, self.tiny = quick, tiny
        if tiny:
            self.sides, self.decodes, self.growth, self.vary = (64, 128), (64,), (64, 128, 192), (64, 2)
        elif quick:
            self.sides, self.decodes, self.growth, self.vary = (512,), (512,), (), (512, 28)
        else:
            self.sides, self.decodes, self.growth, self.vary = (256, 512, 1024), (512, 1024), GROWTH_SIDES, (512, 28)

    def context(self, side):
        """Context tokens of a step: without Redux at the smallest of several sides, else with it."""
        return TEXT if side == 256 else WITH_REDUX

    def step_cases(self):
        return [(side, self.context(side)) for side in self.sides]


def steps(sizes, group, variant, rivals, cases=None, subject="flux"):
    """Afterimage's jobs, one a case, and those of its rivals, one each with all cases: largest sizes apart, in one round only."""
    cases = cases or sizes.step_cases()
    for chosen, rounds in (([case for case in cases if case[0] < SLOW_SIDE], None), ([case for case in cases if case[0] >= SLOW_SIDE], 1)):
        if not chosen:
            continue
        common = {"group": group, "what": "step", "variant": variant, "subject": subject, **({"rounds": rounds} if rounds else {})}
        for case in chosen:
            yield {**common, "program": "afterimage", "cases": [case]}
        for rival in rivals:
            yield {**common, "program": rival, "cases": chosen}


def jobs(sizes):
    """All jobs of a round, rivals side by side."""
    yield {"group": "peak", "program": "peak", "what": "peak", "rounds": 1}
    middle = [case for case in sizes.step_cases() if case[1] == WITH_REDUX and case[0] < SLOW_SIDE]
    for variant in ("f32", "bf16"):
        group = f"step-{variant}"
        yield from steps(sizes, group, variant, ["diffusers", "openvino"])
        # diffusers computes all of an empty prompt's tokens: the step that it has just done.
        for job in steps(sizes, group, variant, [], middle):
            yield {**job, "spared": TEXT - 1}
    yield from steps(sizes, "step-bf16", "auto", [], middle)
    yield from steps(sizes, "step-int8", "int8", ["diffusers", "openvino"])
    for variant in ("q8_0", "q4_k"):
        yield from steps(sizes, "gguf", variant, ["sdcpp"], [(side, SDCPP_CONTEXT) for side in sizes.sides if side < SLOW_SIDE])
    for variant in ("f32", "bf16"):
        for side in sizes.decodes:
            rounds = {"rounds": 1} if side >= SLOW_SIDE else {}
            for program in ("afterimage", "diffusers"):
                yield {"group": "vae", "program": program, "what": "decode", "variant": variant, "subject": "vae", "cases": [(side, 0)], **rounds}
    for program, variants in (("afterimage", ("auto", "f32", "bf16")), ("diffusers", ("f32", "bf16", "int8"))):
        for variant in variants:
            yield {"group": "vary", "program": program, "what": "vary", "variant": variant, "cases": [(sizes.vary[0], 0)], "steps": sizes.vary[1]}
    if not sizes.quick:
        cases = [case for case in sizes.step_cases() if case[1] == WITH_REDUX]
        for variant in ("f32", "bf16"):
            yield from steps(sizes, "medium", variant, ["diffusers"], cases, subject="medium")
    for side in sizes.growth:
        yield {"group": "growth", "program": "afterimage", "what": "growth", "variant": "auto", "subject": "medium", "cases": [(side, WITH_REDUX)],
               "rounds": 1}  # fmt: skip


def chosen(sizes, only, without, number):
    """The jobs of round `number` (from 0) after the flags `--only` and `--without`."""
    for job in jobs(sizes):
        if (not only or job["group"] in only) and job["program"] not in without and number < job.get("rounds", number + 1):
            yield job
