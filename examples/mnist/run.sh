#!/bin/sh
# Trains the MNIST network, compiles it with 6-bit weights and tests it: run.sh [TARGET].
# OPTIONS of train.py go through MNIST_OPTIONS, as in MNIST_OPTIONS='--rate 0.25'.
set -eu
cd "$(dirname "$0")/../.."
target=${1:-null}
out=out/mnist
make setup
.venv/bin/python examples/mnist/train.py -o "$out" ${MNIST_OPTIONS-}
.venv/bin/spikec compile "$out/mnist.nir" --dialect snntorch --dt 0.001 --target "$target" \
  --weight-bits 6 --state-bits 9 --input-max 1 --calibration "$out/training.npz" -o "$out/$target"
.venv/bin/spikec run "$out/$target" --stimulus "$out/test.npz"
if [ "$target" != null ]; then
  .venv/bin/spikec verify "$out/$target" --stimulus "$out/test.npz" --samples 5
  .venv/bin/spikec profile "$out/$target" --stimulus "$out/test.npz" --samples 5
fi
