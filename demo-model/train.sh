#!/bin/sh
# Reproduce the demo model: ./train.sh [cpu|gpu] [working folder] [bundle folder]
# Stopped runs continue where they were: every stage resumes from its checkpoint in the working folder.
set -eu
preset=${1:-cpu}
work=${2:-work}
bundle=${3:-bundle}
python=${PYTHON:-python3}
cd "$(dirname "$0")"
case $preset in
cpu) vae_hours=1.0 ;;
gpu) vae_hours=0.06 ;;
*) echo "unknown preset: $preset" >&2; exit 2 ;;
esac
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
[ -f "$work/anchor.pt" ] || "$python" train.py anchor --preset "$preset" --out "$work"
"$python" train.py vae --preset "$preset" --out "$work" --hours "$vae_hours" --resume
"$python" train.py flow --preset "$preset" --out "$work" --resume
"$python" train.py pack --preset "$preset" --out "$work" --bundle "$bundle"
"$python" evaluate.py --preset "$preset" --out "$work" --grids "$work/grids"
"$python" check_diffusers.py "$bundle" --picture "$work/check.png"
