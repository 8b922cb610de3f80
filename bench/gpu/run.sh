#!/usr/bin/env bash
# Everything for a machine with an NVIDIA card, in one command of at most ten minutes.
#
#   bench/gpu/run.sh BINARY FOLDER            all of it; results in FOLDER
#   bench/gpu/run.sh --check BINARY FOLDER    the same with small models, for a machine without a card (a stand-in driver)
#
# BINARY is a release build of afterimage. Needs a Python with numpy ($PYTHON, python3 unless set); uses compute-sanitizer, nvidia-smi,
# cuBLASLt (also that of the Python's packages), Triton 3.9.0, torch and diffusers where they are. Each part writes a file of its own and none stops the others; what does not fit
# into ten minutes is cut or left out. The last line says which failed.
#
#   doctor-*.json    every kernel against the processor, for each arithmetic
#   cublaslt.txt     NVIDIA's library for products: its version, and what it is asked for
#   variants.json    every kernel against numpy in f64, and what each takes on small operands
#   tiles.json       FLUX's products and attention: the committed tiles, and others where there is Triton
#   sanitizer-*.txt  the same under memcheck and racecheck
#   pictures.json    the demo model's picture by the card beside the processor's, and the time
#   bench-*.json     a step of the medium model, 512² and 1024², products and attention alone, what each kernel takes of a run;
#                    bench-own-*: the same without cuBLASLt
#   flux-*.json      FLUX.1-dev's size of made-up numbers, 1024², 28 steps: seconds a step, whole time, peak memory
#   diffusers.json   one step of the same size in diffusers, bf16, where there is torch
set -uo pipefail
cd "$(dirname "$0")/../.."

check=
if [ "${1:-}" = --check ]; then check=1; shift; fi
if [ $# -ne 2 ]; then
    sed -n '2,5p' "$0" >&2
    exit 2
fi
program=$(realpath "$1")
mkdir -p "$2"
out=$(realpath "$2")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=()
python=${PYTHON:-python3}
# Nothing that another run kept: kernels are tried.
export XDG_CACHE_HOME=$work/cache
# PyTorch's packages bring a cuBLASLt in folders that no search path has: behind what is set.
packages=$("$python" - <<'EOF' 2> /dev/null
import importlib.util, pathlib
roots = importlib.util.find_spec("nvidia").submodule_search_locations
print(":".join(sorted({str(path.parent) for root in roots for path in pathlib.Path(root).glob("*/lib/libcublasLt.so.*")}, reverse=True)))
EOF
) || packages=
if [ -n "$packages" ]; then export LD_LIBRARY_PATH=${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$packages; fi
# Seconds for all of it.
readonly BUDGET=590

# Runs a part within some seconds, or what is left of all; what it prints goes to a file.
part() {
    local name=$1 seconds=$2 left=$((BUDGET - SECONDS))
    shift 2
    if [ "$left" -lt 5 ]; then
        echo "$name: left out, the time is over"
        failed+=("$name")
        return
    fi
    if [ "$seconds" -gt "$left" ]; then seconds=$left; fi
    local start=$SECONDS
    if timeout "$seconds" "$@" > "$out/$name" 2> "$out/$name.log"; then
        echo "$name: $((SECONDS - start)) s"
        [ -s "$out/$name.log" ] || rm -f "$out/$name.log"
    else
        echo "$name: failed with $? after $((SECONDS - start)) s: $(tail -n 1 "$out/$name.log")"
        failed+=("$name")
    fi
}

part card.txt 20 sh -c 'nvidia-smi || true; nproc; uname -sr'
for dtype in f32 bf16 fp8 int8; do part "doctor-$dtype.json" 60 "$program" doctor --dtype "$dtype" --json; done

# The library that serves before our own kernels: one that is there and does nothing would make `bench-own-*` the same as `bench-*`.
part cublaslt.txt 20 "$python" - "$out/doctor-bf16.json" <<'EOF'
import json, sys
card = json.load(open(sys.argv[1]))["cards"][0]
served = [name for name in card["self_test"]["passed"] if name.startswith("cublaslt.")]
print(card["cublaslt"], *served, sep="\n")
sys.exit(0 if served or not card["cublaslt"][0].isdigit() else "cuBLASLt is there and serves nothing")
EOF

part variants.json 120 "$python" bench/gpu/variants_f64.py ${check:+--check}
part tiles.json 180 "$python" bench/gpu/tiles.py ${check:+--check}

if command -v compute-sanitizer > /dev/null; then
    for tool in memcheck racecheck; do
        part "sanitizer-$tool.txt" 90 compute-sanitizer --tool "$tool" --error-exitcode 1 "$program" doctor --dtype bf16
    done
fi

part pictures.json 60 "$python" bench/gpu/pictures.py "$program" "$work" ${check:+--check}

sizes=(512x512 1024x1024)
steps=8
if [ -n "$check" ]; then sizes=(64x64); steps=2; fi
for dtype in bf16 fp8 int8 f32; do
    for size in "${sizes[@]}"; do
        preset=medium
        if [ -n "$check" ]; then preset=demo; fi
        bench=("$program" bench --device cuda --preset "$preset" --dtype "$dtype" --size "$size" --steps "$steps" --json)
        part "bench-$dtype-$size.json" 60 "${bench[@]}"
        if [ "$dtype" = bf16 ] || [ "$dtype" = fp8 ]; then part "bench-own-$dtype-$size.json" 60 env AFTERIMAGE_CUBLASLT=off "${bench[@]}"; fi
    done
done

part flux.json 400 "$python" bench/gpu/flux.py "$program" "$work" ${check:+--check}
if [ -z "$check" ] && "$python" -c 'import torch, diffusers' 2> /dev/null; then
    part diffusers.json 120 "$python" bench/gpu/diffusers_step.py
fi

if [ ${#failed[@]} -gt 0 ]; then
    echo "failed: ${failed[*]}"
    exit 1
fi
echo "all parts ended well; $SECONDS s"
