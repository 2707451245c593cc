#!/bin/sh
# Letters of 3 x 3 pixels: weights as probabilities of superconducting synapses, and as copies of pulses.
set -eu
cd "$(dirname "$0")/../.."
make setup
spikec=.venv/bin/spikec
out=out/sfq_pixels
.venv/bin/python examples/sfq_pixels/pixels.py "$out"
set -- "$out/pixels.spk" --target mitll-sfq5ee --weight-bits 4
"$spikec" compile "$@" --release weights -o "$out/built"
"$spikec" run "$out/built" --on integer --stimulus "$out/test.npz"
"$spikec" run "$out/built" --on events --stimulus "$out/test.npz"
"$spikec" run "$out/built" --on circuit --stimulus "$out/test.npz" --samples 6
# The same network with a pulse for each unit of a weight.
"$spikec" compile "$@" -o "$out/copies"
