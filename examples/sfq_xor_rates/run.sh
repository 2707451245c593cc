#!/bin/sh
# XOR of rates on superconducting synapses that pass pulses by chance; arguments go to the scan.
set -eu
cd "$(dirname "$0")/../.."
make setup
spikec=.venv/bin/spikec
out=out/sfq_xor_rates
.venv/bin/python examples/sfq_xor_rates/rates.py network "$out"
"$spikec" compile "$out/xor.spk" --target mitll-sfq5ee --input-max 1 --release 0.98 -o "$out/built"
"$spikec" verify "$out/built" --stimulus "$out/trains.npz" --rungs integer,events
exec .venv/bin/python examples/sfq_xor_rates/rates.py scan "$out/built" \
  --json "$out/rates.json" --plot "$out/rates.svg" "$@"
