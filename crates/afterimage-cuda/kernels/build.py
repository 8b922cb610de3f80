"""Compiles every variant of the kernels for every target, without a GPU, to `cubins/` and `table.json`.

    build.py                      builds everything
    build.py --check              rebuilds everything and compares it with what is committed
    build.py --check --sample 60  rebuilds a sample that has every family for every target; `--sample 0` none
    build.py --try NAME TARGET …  compiles and prints what it takes, writes nothing (NAME may end in *)
"""

import sys

sys.dont_write_bytecode = True

import concurrent.futures  # noqa: E402
import fnmatch  # noqa: E402
import hashlib  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import re  # noqa: E402
import subprocess  # noqa: E402
import tempfile  # noqa: E402
import time  # noqa: E402
import zlib  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
CUBINS = os.path.join(HERE, "cubins")
TABLE = os.path.join(HERE, "table.json")
KB = 1024
SHARED = {"sm_80": 99 * KB, "sm_89": 99 * KB, "sm_90a": 227 * KB, "sm_100a": 227 * KB, "sm_120a": 99 * KB}
# Instructions of tensor cores that have to be there, by target and kind of numbers.
TENSOR = {
    "bf16": {"sm_80": r"\bHMMA\.", "sm_90a": r"\bHGMMA\.", "sm_100a": r"\bUTC\w*MMA\b", "sm_120a": r"\bHMMA\."},
    "f8f8": {"sm_89": r"\bQMMA\.", "sm_90a": r"\bQGMMA\.", "sm_100a": r"\bUTC\w*MMA\b", "sm_120a": r"\bQMMA\."},
    "i8i8": {"sm_80": r"\bIMMA\.", "sm_90a": r"\bIGMMA\.", "sm_100a": r"\b(UTC\w*MMA|IMMA)\b", "sm_120a": r"\bIMMA\."},
}
# 16 rows are too few for the tensor cores that work on 64 at once; there the older ones serve.
FEW = {"bf16": r"\bHMMA\.", "f8f8": r"\b(QMMA|HMMA)\.", "i8i8": r"\bIMMA\."}
# (name, target), `fnmatch` patterns: why registers may spill to memory there.
SPILLS = {}


def prepare():
    """Settings that have to be there before Triton is imported. Every process gets a cache of its own, unless
    `KERNELS_CACHE` names one to keep while trying things out."""
    os.environ.pop("TRITON_INTERPRET", None)
    os.environ["TRITON_DISABLE_LINE_INFO"] = "1"
    os.environ["TRITON_CACHE_DIR"] = os.environ.get("KERNELS_CACHE") or tempfile.mkdtemp(prefix="afterimage-kernels-")
    sys.path.insert(0, HERE)


def tool(name, *arguments):
    """Output of one of the programs that come with Triton."""
    import triton

    path = os.path.join(os.path.dirname(triton.__file__), "backends", "nvidia", "bin", name)
    return subprocess.run([path, *arguments], capture_output=True, text=True, check=True).stdout


def inspect(cubin, sass):
    """`(registers, bytes of local memory, instructions of tensor cores by name)` of a cubin."""
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        usage = tool("cuobjdump", "-res-usage", file.name)
        listing = tool("cuobjdump", "-sass", file.name) if sass else ""
    registers, stack, local = re.search(r"REG:(\d+) STACK:(\d+) SHARED:\d+ LOCAL:(\d+)", usage).groups()
    counts = {}
    for word in re.findall(r"\b((?:UTC\w*|[A-Z])MMA|[HQI]GMMA|FFMA2?)\b", listing):
        counts[word] = counts.get(word, 0) + 1
    return int(registers), max(int(stack), int(local)), counts


def parameters_of(ptx):
    """Widths of the parameters that a compiled kernel takes, in bits."""
    text = re.search(r"\.entry \w+\((.*?)\)", ptx, re.S).group(1)
    found = re.findall(r"\.param \.([a-z]+)(\d+)", text)
    return [int(width) for _, width in found]


def compile_variant(task):
    """Compiles `(variant's name, target)`, and perhaps another shape than the variant has there; returns everything that is
    known of the outcome, or what went wrong."""
    name, target, *other = task
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    import variants

    variant = variants.variants()[name]
    shape = other[0] if other else variant.shapes[target]
    kernel = variant.kernel()
    constants = variant.constants | shape.constants
    pairs = variant.parameters()
    assert set(kernel.arg_names[len(pairs) :]) == set(constants), f"{name}: constants {kernel.arg_names}"
    assert kernel.arg_names[: len(pairs)] == [pair[0] for pair in pairs], f"{name}: order {kernel.arg_names}"
    signature = {}
    for word, kind in pairs:
        signature[word] = "*" + variants.TYPES[kind[1:]] if kind.startswith("*") else variants.TYPES[kind]
    signature |= dict.fromkeys(kernel.arg_names[len(pairs) :], "constexpr")
    attributes = {}
    for index, (word, kind) in enumerate(pairs):
        multiple = 16 if variant.aligned and kind.startswith("*") else variant.multiples.get(word)
        if multiple:
            attributes[index,] = [["tt.divisibility", multiple]]
    start = time.time()
    source = ASTSource(fn=kernel, signature=signature, constexprs=constants, attrs=attributes)
    options = dict(num_warps=shape.warps, num_stages=shape.stages, enable_fp_fusion=True)
    compiled = triton.compile(source, target=GPUTarget("cuda", int(re.sub(r"\D", "", target)), 32), options=options)
    cubin, ptx = compiled.asm["cubin"], compiled.asm["ptx"]
    widths = [64 if kind.startswith("*") else 32 for _, kind in pairs] + [64, 64]
    assert parameters_of(ptx) == widths, f"{name}: compiled parameters {parameters_of(ptx)}"
    assert compiled.metadata.num_warps == shape.warps, f"{name}: {compiled.metadata.num_warps} warps"
    assert compiled.metadata.global_scratch_size == 0, f"{name}: wants scratch memory"
    registers, spills, counts = inspect(cubin, True)
    return dict(
        name=name, target=target, entry=compiled.metadata.name, cubin=cubin, ptx=ptx, tile=shape.tile(), warps=shape.warps,
        shared=compiled.metadata.shared, registers=registers, spills=spills, counts=counts, seconds=time.time() - start,
        problems=problems(name, target, variant, compiled.metadata.shared, spills, counts),
    )


def problems(name, target, variant, shared, spills, counts):
    """What must not be, of one compiled variant."""
    found = []
    if shared > SHARED[target]:
        found.append(f"{name} for {target}: {shared} bytes of shared memory, there are {SHARED[target]}")
    allowed = any(fnmatch.fnmatch(name, one) and fnmatch.fnmatch(target, other) for one, other in SPILLS)
    if spills and (variant.aligned or not allowed):
        found.append(f"{name} for {target}: spills {spills} bytes")
    kind = tensor_kind(variant)
    if kind and variant.aligned:
        wanted = FEW[kind] if ".few" in name else TENSOR[kind][target]
        text = " ".join(word + "." for word in counts)
        if not re.search(wanted, text):
            found.append(f"{name} for {target}: no {wanted} among {counts}")
    return found


def tensor_kind(variant):
    """The kind of tensor cores that a variant has to use, if any."""
    kind = variant.constants.get("KIND") if variant.family == "product" else None
    if kind in ("f8f8", "i8i8"):
        return kind
    if variant.family == "product":
        return "bf16" if kind != "f32" else None
    return "bf16" if variant.family == "attention" and variant.types["X"] == "bf16" else None


def attempt(task):
    """`compile_variant`, failures as text: one must not end the others."""
    try:
        return compile_variant(task)
    except Exception as error:  # noqa: BLE001
        text = str(error).strip().splitlines()
        return dict(name=task[0], target=task[1], failed=f"{task[0]} for {task[1]}: {type(error).__name__}: {text[-1:]}")


def compile_all(tasks):
    """Results in the order of `tasks`, from as many processes as there are cores."""
    with concurrent.futures.ProcessPoolExecutor(os.cpu_count(), initializer=prepare) as pool:
        for count, result in enumerate(pool.map(attempt, tasks, chunksize=1), 1):
            if count % 50 == 0 and len(tasks) > 100:
                print(f"{count} of {len(tasks)}", flush=True)
            yield result


def deflated(data):
    """A raw deflate stream."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


def tasks_of(every):
    """All `(name, target)`."""
    import variants

    return [(name, target) for target in variants.TARGETS for name in sorted(every) if target in every[name].shapes]


def build():
    """Builds and writes everything; returns what is wrong with it."""
    import variants

    every = variants.variants()
    blobs, rows, wrong = {}, {}, contract(every)
    for result in compile_all(tasks_of(every)):
        if "failed" in result:
            wrong.append(result["failed"])
            continue
        wrong += result["problems"]
        name, target = result["name"], result["target"]
        variant = every[name]
        row = rows.setdefault(name, dict(
            name=name, entry=result["entry"], params=variant.parameters(), multiples=variant.multiples, targets={},
        ))
        for place, data in ((target, result["cubin"]), ("ptx", result["ptx"].encode())):
            if place == "ptx" and target != "sm_80":
                continue
            blob, packed = blobs.setdefault(place, bytearray()), deflated(data)
            row["targets"][place] = dict(
                offset=len(blob), length=len(packed), size=len(data), sha256=hashlib.sha256(data).hexdigest(),
                tile=result["tile"], warps=result["warps"], shared=result["shared"],
            )
            if place != "ptx":
                row["targets"][place] |= dict(registers=result["registers"], spills=result["spills"])
            blob += packed
    os.makedirs(CUBINS, exist_ok=True)
    for target, blob in blobs.items():
        with open(os.path.join(CUBINS, target + ".bin"), "wb") as file:
            file.write(blob)
    import triton

    lines = ",\n".join(json.dumps(rows[name], separators=(",", ":")) for name in sorted(rows))
    with open(TABLE, "w", encoding="utf-8") as file:
        file.write(f'{{"triton":"{triton.__version__}","variants":[\n{lines}\n]}}\n')
    print({target: len(blob) for target, blob in blobs.items()})
    return wrong


def contract(every):
    """Whether `README.md` says what `variants.py` says."""
    import variants

    with open(os.path.join(HERE, "README.md"), encoding="utf-8") as file:
        text = " ".join(file.read().split())
    return [f"{family}: README.md has other parameters" for family, words in variants.CONTRACT.items()
            if f"`{words}`" not in text] + [
            f"{variant.name}: no such family" for variant in every.values() if variant.family not in variants.CONTRACT]


def sample_of(tasks, count, every):
    """About `count` tasks: of every family and target at least one, and other ones wherever the names change."""
    groups = {}
    for name, target in tasks:
        family = every[name].family + (".aligned" if every[name].aligned else "")
        groups.setdefault((target, family), []).append((name, target))
    rank = lambda task: hashlib.sha256("/".join(task).encode()).hexdigest()  # noqa: E731
    chosen = [min(group, key=rank) for group in groups.values()]
    rest = sorted(set(tasks) - set(chosen), key=rank)
    return chosen + rest[: max(0, count - len(chosen))]


def check_cubin(variant, name, target, entry, cubin):
    """What is wrong with one committed cubin, whatever the sources make."""
    registers, spills, counts = inspect(cubin, tensor_kind(variant) and variant.aligned)
    found = problems(name, target, variant, entry["shared"], spills, counts)
    if (registers, spills) != (entry["registers"], entry["spills"]):
        found.append(f"{name} for {target}: the table has other registers or spills")
    return found


def check(sample):
    """Compares what is committed with the sources; returns what is wrong."""
    import variants

    every = variants.variants()
    with open(TABLE, encoding="utf-8") as file:
        table = {row["name"]: row for row in json.load(file)["variants"]}
    wrong = contract(every)
    wrong += [f"{name}: not in both, sources and table" for name in set(every) ^ set(table)]
    blobs, built = {}, []
    for name, row in table.items():
        variant = every.get(name)
        if variant is None:
            continue
        if [tuple(pair) for pair in row["params"]] != variant.parameters() or row["multiples"] != variant.multiples:
            wrong.append(f"{name}: the table has other parameters")
        if set(row["targets"]) - {"ptx"} != set(variant.shapes):
            wrong.append(f"{name}: the table has other targets")
        for target, entry in row["targets"].items():
            if target not in blobs:
                with open(os.path.join(CUBINS, target + ".bin"), "rb") as file:
                    blobs[target] = file.read()
            data = zlib.decompress(blobs[target][entry["offset"] :][: entry["length"]], -15)
            if hashlib.sha256(data).hexdigest() != entry["sha256"] or len(data) != entry["size"]:
                wrong.append(f"{name} for {target}: not what the table says")
            if target != "ptx":
                built.append((name, target, entry, data))
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        wrong += [text for found in pool.map(lambda one: check_cubin(every[one[0]], *one), built) for text in found]
    tasks = tasks_of(every)
    if sample is not None:
        tasks = sample_of(tasks, sample, every) if sample else []
    for result in compile_all(tasks):
        if "failed" in result:
            wrong.append(result["failed"])
            continue
        wrong += result["problems"]
        entry = table.get(result["name"], {}).get("targets", {}).get(result["target"], {})
        if hashlib.sha256(result["cubin"]).hexdigest() != entry.get("sha256"):
            wrong.append(f"{result['name']} for {result['target']}: compiles to something else than is committed")
        elif any(result[word] != entry[word] for word in ("tile", "warps", "shared")):
            wrong.append(f"{result['name']} for {result['target']}: the table has another tile, warps or shared memory")
    print(f"{len(table)} variants in the table, {len(tasks)} of {len(tasks_of(every))} rebuilt")
    return wrong


def try_out(patterns):
    """Compiles what the patterns name and prints what it takes."""
    import variants

    targets = [word for word in patterns if word in variants.TARGETS] or list(variants.TARGETS)
    names = [word for word in patterns if word not in variants.TARGETS]
    tasks = [(name, target) for name, target in tasks_of(variants.variants())
             if target in targets and any(fnmatch.fnmatch(name, one) for one in names)]
    wrong, size = [], 0
    for result in compile_all(tasks):
        if "failed" in result:
            wrong.append(result["failed"])
            continue
        wrong += result["problems"]
        size += len(deflated(result["cubin"]))
        print(
            f"{result['target']:7} {result['name']:40} {result['seconds']:5.1f} s {len(result['cubin']) // KB:4} KB, deflated "
            f"{len(deflated(result['cubin'])) / KB:5.1f}, shared {result['shared']:6}, registers {result['registers']:3}, "
            f"spills {result['spills']:4}, {result['counts']}", flush=True,
        )
    print(f"{len(tasks)} compiled, {size / KB:.0f} KB deflated")
    return wrong


def main(arguments):
    """See the top of this file."""
    start = time.time()
    prepare()
    if "--try" in arguments:
        wrong = try_out(arguments[1:])
    elif "--check" in arguments:
        wrong = check(int(arguments[arguments.index("--sample") + 1]) if "--sample" in arguments else None)
    else:
        wrong = build()
    print("\n".join(wrong + [f"{len(wrong)} problems, {time.time() - start:.0f} s"]))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
