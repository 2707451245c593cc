#!/bin/sh
# Compiles the N-MNIST network of the NIR paper and classifies recorded samples: run.sh [TARGET].
set -eu
cd "$(dirname "$0")/../.."
data=${SPIKEC_DATA:-../shared/data}
model=$data/nir/cnn/cnn_sinabs.nir
samples=$data/nmnist/nmnist_test100.npz
target=${1:-null}
if [ ! -f "$model" ]; then
  echo "no $model: name the folder of the data in SPIKEC_DATA" >&2
  exit 3
fi
make setup
.venv/bin/spikec compile "$model" --dialect sinabs --set max_spikes=1 --set reset=zero \
  --target "$target" -o "out/nmnist/$target"
if [ -f "$samples" ]; then
  .venv/bin/spikec run "out/nmnist/$target" --stimulus "$samples" --steps 300
fi
