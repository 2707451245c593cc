#!/bin/sh
# XOR of rates on superconducting synapses that pass pulses by chance; arguments go to the measurement.
set -eu
cd "$(dirname "$0")/../.."
make setup
spikec=.venv/bin/spikec
rates="examples/sfq_xor_rates/rates.py"
out=out/sfq_xor_rates
.venv/bin/python "$rates" network "$out"
"$spikec" compile "$out/xor.spk" --target mitll-sfq5ee --release 0.99 -o "$out/built"
"$spikec" verify "$out/built" --stimulus "$out/trains.npz" --rungs integer,events
.venv/bin/python "$rates" map "$out/built" -o "$out"
exec .venv/bin/python "$rates" measure "$out/built" -o "$out" "$@"
