#!/bin/sh
# XOR of rates on superconducting synapses that pass pulses by chance; arguments go to the yield.
set -eu
cd "$(dirname "$0")/../.."
make setup
spikec=.venv/bin/spikec
out=out/sfq_xor_rates
.venv/bin/python examples/sfq_xor_rates/rates.py network "$out"
"$spikec" compile "$out/xor.spk" --target mitll-sfq5ee --release 0.99 -o "$out/built"
"$spikec" verify "$out/built" --stimulus "$out/trains.npz" --rungs integer,events
.venv/bin/python examples/sfq_xor_rates/rates.py map "$out/built" -o "$out"
how="--stimulus $out/trains.npz --gap 0.5 --condition skew=5ps"
# The gap over the bias of one circuit, 100 orders each; how far its supplies may be off; the yield.
"$spikec" montecarlo "$out/built" $how --chips 1 --condition spread=0 --error 0 \
    --vary bias=0.85,0.9,0.95,1,1.05,1.1,1.15,1.2,1.25,1.3 -o "$out/bias" --plot "$out/bias.svg"
"$spikec" margins "$out/built" $how --by none -o "$out/supplies" --plot "$out/supplies.svg" \
    --corners "bias but synapse.Ib=0.85:1.3:0.05,synapse.Ib=0.9:1.1:0.05"
exec "$spikec" montecarlo "$out/built" $how --chips 1000 --condition spread=2% \
    -o "$out/chips" --plot "$out/chips.svg" "$@"
