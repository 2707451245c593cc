#!/bin/sh
# XOR as superconducting cells: compile, verify three rungs, find margins and yield of its circuit.
set -eu
cd "$(dirname "$0")/../.."
make setup
spikec=.venv/bin/spikec
out=out/sfq_xor
jobs=$(getconf _NPROCESSORS_ONLN)
.venv/bin/python examples/sfq_xor/xor.py "$out"
"$spikec" compile "$out/xor.spk" --target mitll-sfq5ee -o "$out/built"
set -- "$out/built" --stimulus "$out/test.npz"
"$spikec" verify "$@" --samples 8 --rungs integer,events,circuit
# Each input pulse is early or late by up to 5 ps, in all that follows.
"$spikec" margins "$@" --by chip --condition skew=5ps -o "$out/margins" --workers "$jobs"
"$spikec" margins "$@" --samples 2 --condition skew=5ps --corners bias=0.6:1.6:0.05,areas=0.6:1.4:0.05 \
  -o "$out/corners" --plot "$out/corners.svg" --workers "$jobs"
"$spikec" montecarlo "$@" --samples 2 --condition skew=5ps --vary spread=1%,2%,3%,5%,7% --chips 1000 \
  -o "$out/chips" --plot "$out/chips.svg" --workers "$jobs"
"$spikec" montecarlo "$@" --samples 10 --condition skew=5ps --condition spread=2% --chips 8 \
  --vary bias=0.7,0.75,0.8,0.85,0.9,0.95,1,1.05,1.1,1.15,1.2,1.25,1.3,1.35,1.4 \
  -o "$out/bias" --plot "$out/bias.svg" --workers "$jobs"
.venv/bin/python examples/sfq_xor/xor.py "$out" --check
