#!/usr/bin/env bash
# the kernels for NVIDIA's cards, by Triton's interpreter and compiler; no card is needed
. "$(dirname "$0")/../common.sh"

# The interpreter computes every kernel on small operands; the compiler makes some of the committed cubins anew, which have to
# be the same to the byte. What the host does with them is for the tests of afterimage-cuda, on a stand-in driver.
kernels=crates/afterimage-cuda/kernels
python3 -m venv "$work/triton"
"$work/triton/bin/pip" install -q -r "$kernels/requirements.txt"
"$work/triton/bin/python" "$kernels/interpret/run.py"
"$work/triton/bin/python" "$kernels/build.py" --check --sample "${GPU_SAMPLE:-12}"

# The program needs no library of a driver to start.
cargo build --locked --release
if ldd "${CARGO_TARGET_DIR:-target}/release/afterimage" | grep -iE 'cuda|nvidia|cublas'; then
    echo "the program is linked with a driver's library" >&2
    exit 1
fi
"${CARGO_TARGET_DIR:-target}/release/afterimage" doctor

# What a machine with a card would run, in short, on the stand-in driver.
mkdir "$work/driver"
for name in libcuda.so libcuda.so.1; do
    cp "${CARGO_TARGET_DIR:-target}/release/libafterimage_cuda_standin.so" "$work/driver/$name"
done
export CUDA_STANDIN_TABLE=$PWD/$kernels/table.json
program=${CARGO_TARGET_DIR:-target}/release/afterimage
# A launch of every kernel of the self-test as the host makes it, by the interpreter: what the host passes and what the stand-in's twins
# answer is what the kernels take and give.
# Our own kernels, without the library that serves before them.
for dtype in bf16 int8; do
    CUDA_STANDIN="record=$work/launches-$dtype" LD_LIBRARY_PATH="$work/driver" "$program" doctor --dtype "$dtype"
    "$work/triton/bin/python" "$kernels/interpret/run.py" "$work/launches-$dtype"
done
# With NVIDIA's library for products, which the stand-in pretends: the same file, so that it is loaded once.
ln "$work/driver/libcuda.so.1" "$work/driver/libcublasLt.so.13"
LD_LIBRARY_PATH="$work/driver" PYTHON="$work/triton/bin/python" \
    bench/gpu/run.sh --check "$program" "$work/gpu"
