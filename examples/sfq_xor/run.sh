#!/bin/sh
# XOR as superconducting cells: compile, verify three rungs, measure margins and yield of its circuit.
set -eu
cd "$(dirname "$0")/../.."
make setup
spikec=.venv/bin/spikec
out=out/sfq_xor
.venv/bin/python examples/sfq_xor/xor.py "$out"
"$spikec" compile "$out/xor.spk" --target mitll-sfq5ee --input-max 1 -o "$out/built"
"$spikec" verify "$out/built" --stimulus "$out/test.npz" --rungs integer,events,circuit
.venv/bin/python examples/sfq_xor/xor.py "$out" --measure "$out/built"
