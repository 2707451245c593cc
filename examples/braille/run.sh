#!/bin/sh
# Compiles the Braille network of the NIR paper: run.sh [TARGET].
set -eu
cd "$(dirname "$0")/../.."
data=${SPIKEC_DATA:-../shared/data}/nir/braille
model=$data/braille_noDelay_noBias_subtract.nir
sample=$data/braille_test0_input_256x12_label1.npy
target=${1:-null}
if [ ! -f "$model" ]; then
  echo "no $model: name the folder of the data in SPIKEC_DATA" >&2
  exit 3
fi
make setup
.venv/bin/spikec compile "$model" --dialect snntorch --target "$target" -o "out/braille/$target"
if [ -f "$sample" ]; then
  .venv/bin/spikec run "out/braille/$target" --stimulus "$sample"
fi
