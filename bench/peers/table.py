"""Writes RESULTS.md from raw results. Standard library only, so that it can be tested anywhere."""

from figures import Results, fitted
from shape import REDUX, SHAPES, TEXT, decode_gflop, image_tokens, needed_attention_gflop, needed_gflop, to_whole_depth

NAMES = {"afterimage": "Afterimage", "diffusers": "diffusers", "openvino": "OpenVINO", "sdcpp": "stable-diffusion.cpp"}
NUMBERS = {"f32": "f32", "bf16": "bf16", "int8": "int8", "auto": "auto", "q8_0": "Q8_0 file", "q4_k": "Q4_K file"}
LARGEST_ATTENTION = image_tokens(1024) + TEXT + REDUX


def step_target(variant, side):
    """Most that our seconds may be of the peer's."""
    if variant == "bf16":
        return 0.86 if side >= 512 else 0.95
    return {"f32": 0.81, "int8": 0.75, "q8_0": 0.35, "q4_k": 0.25}.get(variant)


DECODE_TARGETS = {"f32": 0.6, "bf16": 0.84}
ZEROS_TARGET, VARY_TARGET, MEMORY_TARGET = 0.7, 0.3, 0.6
PRODUCT_TARGETS, ATTENTION_TARGET = {"bf16": 0.87, "int8": 0.80}, 0.65


class Row:
    """A line of the table: ours, theirs, their ratio (or a share of a ceiling) and what it has to be."""

    def __init__(self, what, case, ours, theirs, ratio, target, least=False, why=None, estimate=False):
        self.what, self.case, self.ours, self.theirs, self.ratio, self.target = what, case, ours, theirs, ratio, target
        self.least, self.why, self.estimate = least, why, estimate

    def met(self):
        """True, False, or None where nothing is asked or nothing was measured."""
        if self.target is None or self.ratio is None:
            return None
        return self.ratio >= self.target if self.least else self.ratio <= self.target

    def cells(self):
        share = lambda value: "–" if value is None else f"{100 * value:.0f} %" if self.least else f"{value:.2f}"  # noqa: E731
        sign = "≥" if self.least else "≤"
        target = "–" if self.target is None else f"{sign} {share(self.target)}"
        ratio = ("about " if self.estimate else "") + share(self.ratio)
        return [self.what, self.case, self.ours, self.theirs, ratio, target, {True: "yes", False: "**no**", None: "–"}[self.met()]]


def seconds(value):
    return "–" if value is None else f"{value:.3g} s"


def shown(figure):
    """A figure in a cell, with what there is instead of it where there is none."""
    if figure.seconds is None:
        if figure.expected:
            return f"not run, about {seconds(figure.expected)}"
        return "failed" if figure.error else "–"
    return seconds(figure.seconds) + ("" if figure.quiet else " \\*")


def size(side, context):
    return f"{side}²" + (f", {context} context tokens" if context else "")


def compared(what, case, ours, theirs, name, target, factor=1.0, why=None):
    """The row of two figures in seconds; `factor` makes ours comparable."""
    bar = theirs.seconds or theirs.expected
    ratio = ours.seconds * factor / bar if ours.seconds and bar else None
    return Row(what, case, shown(ours), f"{name}: {shown(theirs)}", ratio, target, why=why, estimate=theirs.seconds is None and theirs.expected is not None)


def step_profile(report, shape, context, image, whole):
    """Where the time of a step goes, by the speed that its operations reach alone in the same process."""
    if not report or not report["product_gflops_per_second"]:
        return None
    attention = needed_attention_gflop(shape, context, image)
    products = needed_gflop(shape, context, image) - attention
    product, alone = report["product_gflops_per_second"], report["attention_gflops_per_second"]
    ceiling = report["gemm_gflops_per_second"]
    rest = whole - products / product - attention / alone
    return (f"products {products / product:.3g} s at {product:.0f} GFLOP/s ({100 * product / ceiling:.0f} % of the best square product of the run), "
            f"attention {attention / alone:.3g} s at {alone:.0f} ({100 * alone / ceiling:.0f} %), the rest {rest:.3g} s of {whole:.3g} s")  # fmt: skip


def shape_of(results, subject):
    return SHAPES["tiny" if results.raw["tiny"] else subject]


def step_rows(results, subject="flux"):
    shape = shape_of(results, subject)
    of = lambda **wanted: results.figure(what="step", subject=subject, **wanted)  # noqa: E731
    title = "step" if subject == "flux" else f"step of {subject}"
    for variant, rivals in (("f32", ["diffusers", "openvino"]), ("bf16", ["diffusers", "openvino"]), ("int8", ["diffusers", "openvino"]),
                            ("q8_0", ["sdcpp"]), ("q4_k", ["sdcpp"])):  # fmt: skip
        for side, context in results.cases(what="step", subject=subject, program="afterimage", variant=variant):
            case = {"variant": variant, "side": side, "context": context}
            ours = of(program="afterimage", **case)
            if not ours.records:
                continue
            image = image_tokens(side)
            profile = step_profile(ours.report(), shape, context, image, ours.wall) if ours.wall else None
            peers = {rival: of(program=rival, **case) for rival in rivals}
            known = {rival: peer.seconds or peer.expected for rival, peer in peers.items() if peer.seconds or peer.expected}
            bar = min(known, key=known.get) if known else rivals[0]
            for rival, peer in peers.items():
                asked = rival == rivals[0] or rival == bar
                if not asked and rival not in known:
                    continue
                target = step_target(variant, side) if asked and subject == "flux" else None
                what = f"{title}, {NUMBERS[variant]}" + (" (the faster peer)" if rival == bar and rival != rivals[0] else "")
                yield compared(what, size(side, context), ours, peer, NAMES[rival], target, to_whole_depth(shape, context, image), profile)


def zeros_rows(results):
    shape, spared = shape_of(results, "flux"), TEXT - 1
    for variant in ("f32", "bf16"):
        for side, context in results.cases(what="step", subject="flux", program="afterimage", variant=variant, spared=spared):
            case = {"what": "step", "subject": "flux", "variant": variant, "side": side, "context": context}
            ours, theirs = results.figure(program="afterimage", spared=spared, **case), results.figure(program="diffusers", **case)
            factor = to_whole_depth(shape, context - spared, image_tokens(side))
            profile = step_profile(ours.report(), shape, context - spared, image_tokens(side), ours.wall) if ours.wall else None
            yield compared(f"step, {variant}, empty prompt of zeros", size(side, context), ours, theirs, "diffusers", ZEROS_TARGET, factor, profile)


def auto_rows(results):
    """What `--dtype auto` picks, against the fastest numbers that diffusers has."""
    for side, context in results.cases(what="step", subject="flux", variant="auto"):
        case = {"what": "step", "subject": "flux", "side": side, "context": context}
        ours = results.figure(program="afterimage", variant="auto", **case)
        peers = {variant: results.figure(program="diffusers", variant=variant, **case) for variant in ("f32", "bf16")}
        ran = {variant: peer.seconds for variant, peer in peers.items() if peer.seconds}
        if ours.records and ran:
            best = min(ran, key=ran.get)
            chosen = ours.report()["dtype"] if ours.report() else "auto"
            factor = to_whole_depth(shape_of(results, "flux"), context, image_tokens(side))
            yield compared(f"step, auto (here {chosen})", size(side, context), ours, peers[best], f"diffusers {best}", None, factor)


def decode_rows(results):
    for variant, target in DECODE_TARGETS.items():
        for side, _ in results.cases(what="decode", variant=variant, program="afterimage"):
            case = {"what": "decode", "variant": variant, "side": side}
            ours, theirs = results.figure(program="afterimage", **case), results.figure(program="diffusers", **case)
            why, report = None, ours.report()
            if ours.seconds and report:
                speed = decode_gflop(side) / ours.seconds
                why = (f"{speed:.0f} GFLOP/s, counted as plain convolutions; the best square product of the run has "
                       f"{report['gemm_gflops_per_second']:.0f}")  # fmt: skip
            yield compared(f"VAE decode, {variant}", size(side, 0), ours, theirs, "diffusers", target, why=why)


def vary_rows(results):
    """Whole processes: wall time, since a start-up is no work of all cores."""
    for side, _ in results.cases(what="vary"):
        of = lambda program, variant: results.figure(what="vary", program=program, variant=variant, side=side)  # noqa: E731, B023
        theirs = {variant: of("diffusers", variant) for variant in ("f32", "bf16", "int8")}
        theirs = {variant: figure for variant, figure in theirs.items() if figure.wall}
        best = min(theirs, key=lambda variant: theirs[variant].wall) if theirs else None
        for variant in ("auto", "f32", "bf16"):
            ours = of("afterimage", variant)
            if not ours.wall:
                continue
            bar = theirs[best].wall if best else None
            peer = f"diffusers {best}: {seconds(bar)} wall" if best else "–"
            why = f"{ours.seconds:.3g} s of all cores' time within {ours.wall:.3g} s"
            yield Row(f"whole `vary`, demo model, {variant}", size(side, 0), f"{seconds(ours.wall)} wall", peer, ours.wall / bar if bar else None,
                      VARY_TARGET if variant == "auto" else None, why=why)  # fmt: skip


def memory_rows(results):
    for what, subject, title in (("step", "flux", "peak memory of a step"), ("decode", "vae", "peak memory of a decode"), ("vary", None, "peak memory of `vary`")):
        for variant in ("f32", "bf16", "int8"):
            both = [set(results.cases(what=what, variant=variant, program=program)) for program in ("afterimage", "diffusers")]
            for side, context in sorted(both[0] & both[1])[-1:]:
                case = {"what": what, "variant": variant, "side": side, "subject": subject, **({"context": context} if what == "step" else {})}
                ours, theirs = (results.figure(program=program, **case).peak_mib for program in ("afterimage", "diffusers"))
                if ours and theirs:
                    yield Row(f"{title}, {variant}", size(side, context), f"{ours / 1024:.2f} GiB", f"diffusers: {theirs / 1024:.2f} GiB",
                              ours / theirs, MEMORY_TARGET)  # fmt: skip


def ceiling_rows(results):
    """Products and attention, alone, as shares of what the vector units do."""
    peak = results.peak()
    for variant in ("f32", "bf16", "int8"):
        reports = [(record, report) for record, report in results.reports()
                   if record["variant"] == variant and record.get("subject") == "flux" and record["what"] == "step"]  # fmt: skip
        if not reports or not peak:
            continue
        kind = variant if peak.get(variant) else "f32"
        top, note = peak[kind]["all"], "" if kind == variant else ", in f32 arithmetic"
        record, best = max(reports, key=lambda pair: pair[1]["product_gflops_per_second"])
        speed = best["product_gflops_per_second"]
        square = f"its best square product has {best['gemm_gflops_per_second']:.0f} GFLOP/s"
        yield Row(f"matrix products, {variant}{note}", size(record["side"], record["context"]), f"{speed:.0f} GFLOP/s", f"peak: {top:.0f}", speed / top,
                  PRODUCT_TARGETS.get(variant), True, square)  # fmt: skip
        # As `auto` and int8 choose it: bf16 where its vectors are the faster ones.
        is_fast = peak.get("bf16") and peak["bf16"]["all"] > peak["f32"]["all"]
        kind = "bf16" if variant != "f32" and is_fast else "f32"
        top, note = peak[kind]["all"], "" if kind == variant else f", in {kind} arithmetic"
        tokens, record, largest = max(((report["image_tokens"] + report["context_tokens"], record, report) for record, report in reports), key=lambda it: it[0])
        speed = largest["attention_gflops_per_second"]
        target = ATTENTION_TARGET if variant == "bf16" and tokens == LARGEST_ATTENTION else None
        yield Row(f"attention, {variant}{note}", f"{tokens} tokens", f"{speed:.0f} GFLOP/s", f"peak: {top:.0f}", speed / top, target, True)


def rows(results):
    parts = (step_rows, zeros_rows, auto_rows, decode_rows, ceiling_rows, vary_rows, memory_rows, lambda found: step_rows(found, "medium"))
    return [row for part in parts for row in part(results)]


def lines_of(header, cells):
    return ["| " + " | ".join(header) + " |", "|---" * len(header) + "|", *("| " + " | ".join(row) + " |" for row in cells)]


def growth(results):
    """Lines on how a step's cost grows with the picture."""
    points = []
    for side, context in results.cases(what="growth"):
        figure = results.figure(what="growth", side=side, context=context)
        if figure.seconds:
            points.append((side, context + image_tokens(side), figure.seconds))
    fit = fitted([(tokens, value) for _, tokens, value in points])
    if not fit:
        return []
    a, b, c = fit
    curve = lambda n: a + b * n + c * n * n  # noqa: E731
    table = [[f"{side}²", str(n), f"{value:.3g}", f"{curve(n):.3g}", f"{100 * c * n * n / curve(n):.0f} %"] for side, n, value in points]
    context = results.cases(what="growth")[0][1]
    return [
        "", "## How the cost of a step grows", "",
        f"The medium model, `--dtype auto`, {context} context tokens. Seconds of n tokens ≈ {a:.3g} + {b:.3g}·n + {c:.3g}·n².", "",
        *lines_of(["size", "tokens n", "s", "fitted", "of which n²"], table),
    ]  # fmt: skip


def everything(results):
    """Lines with all programs' figures, fastest first."""
    lines = []
    for what, subject in (("step", "flux"), ("step", "medium"), ("decode", "vae"), ("vary", None)):
        for side, context in results.cases(what=what, subject=subject):
            found = []
            for key in sorted({(record["program"], record["variant"]) for record in results.records if record["what"] == what}):
                program, variant = key
                case = {"what": what, "subject": subject, "side": side, "program": program, "variant": variant}
                figure = results.figure(**case, **({"context": context} if context else {}))
                if figure.records:
                    found.append((figure, f"{NAMES[program]} {NUMBERS[variant]}", figure.records[0].get("gflop")))
            found.sort(key=lambda entry: entry[0].seconds)
            cells = [[name, f"{figure.seconds:.3g}", f"{work / figure.seconds:.0f}" if work else "–", f"{figure.wall:.3g}",
                      f"{(figure.peak_mib or 0) / 1024:.2f}", f"{figure.quiet} of {figure.count}"] for figure, name, work in found]  # fmt: skip
            if cells:
                name = {"step": f"Step of {subject}", "decode": "VAE decode", "vary": "Whole variation"}[what]
                lines += ["", f"### {name}, {size(side, context)}", "",
                          *lines_of(["program", "s on undisturbed cores", "GFLOP/s", "wall s", "peak GiB", "quiet samples"], cells)]  # fmt: skip
    return ["", "## Every program", "", *lines[1:]] if lines else []


def machine_lines(raw):
    machine, peak = raw["machine"], Results(raw).peak()
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    changed = f" with {machine['changed_files']} changed files" if machine["changed_files"] else ""
    lines = [
        f"{machine['processor']}, {machine['cores']} cores, {raw['threads']} threads, {machine['memory_gib']} GiB; {', '.join(machine['flags'])}. "
        f"{machine['system']}. {raw['started'][:10]}, commit {machine['commit']}{changed}; {versions}. "
        f"{raw['rounds']} round{'s' if raw['rounds'] > 1 else ''}, {raw.get('seconds', 0) / 60:.0f} minutes.",
    ]  # fmt: skip
    if peak:
        kinds = ", ".join(f"{kind} {peak[kind]['all']:.0f} (`{peak[kind]['instruction']}`)" for kind in ("f32", "bf16", "int8") if peak.get(kind))
        lines.append(f"The clock is {peak['clock_ghz']:.2f} GHz; the vector units reach {kinds} billion operations a second, all threads together.")
    loads = [record["load_before"][0] for record in raw["records"] if record.get("load_before")]
    if loads:
        busy = sum(record.get("others_cores", 0) > 0.15 for record in raw["records"])
        lines.append(f"Load average before the measurements {min(loads)} to {max(loads)}; in {busy} of {len(loads)} of them other programs used more than "
                     "0.15 cores.")  # fmt: skip
    lines += [f"Without {NAMES.get(name, name)}: {why}" for name, why in raw["missing"].items()]
    return lines


def document(raw, source):
    """RESULTS.md of the raw results in the file `source`."""
    results = Results(raw)
    found = rows(results)
    missed = [row for row in found if row.met() is False]
    lines = [
        "# Afterimage and its peers on a processor", "",
        f"Written by `bench/run_all` from [{source}](results/{source}); do not edit. [How it measures](README.md).", "",
        *(line + "\n" for line in machine_lines(raw)),
        "Seconds are processor seconds by threads, medians: what the cores take when nobody disturbs them. \\* marks those of which no sample was quiet. "
        "A ratio is ours / theirs, as it would be for all 57 blocks of FLUX; below 1 we are faster. \"About\" stands where the peer was so slow that it was "
        "not run: its seconds are reckoned from a smaller size.", "",
        "## What it must reach", "",
        *lines_of(["what", "size", "Afterimage", "peer", "ratio or share", "target", "met"], [row.cells() for row in found]),
    ]  # fmt: skip
    if missed:
        lines += ["", "## Where the missed rows spend their time", ""]
        lines += [f"- {row.what}, {row.case}: {row.why or 'no profile'}." for row in missed]
    return "\n".join([*lines, *growth(results), *everything(results)]) + "\n"
