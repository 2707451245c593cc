#!/bin/sh
# Digits on tiles of RRAM and of PCM: compile, verify, profile, and ten chips of each under conditions.
set -eu
cd "$(dirname "$0")/../.."
make setup
spikec=.venv/bin/spikec
out=out/digits_crossbar
.venv/bin/python examples/digits_crossbar/train.py "$out"
for target in rram-wan pcm; do
  "$spikec" compile "$out/digits.nir" --dialect snntorch --dt 1e-3 --weight-bits 8 --input-max 1 \
    --target "$target" --calibration "$out/training.npz" -o "$out/$target"
  "$spikec" verify "$out/$target" --stimulus "$out/test.npz" --samples 20
  "$spikec" profile "$out/$target" --stimulus "$out/test.npz" --samples 100 \
    --report "$out/$target-profile.html"
done
# Cells without errors, of up to 100 uS on tiles of 128 x 128: what is lost is lost in wires.
"$spikec" compile "$out/digits.nir" --dialect snntorch --dt 1e-3 --weight-bits 8 --input-max 1 \
  --target crossbar-ideal --calibration "$out/training.npz" -o "$out/ideal" \
  --condition tile=128 --condition mixed=off --condition order=off
"$spikec" montecarlo "$out/ideal" --stimulus "$out/test.npz" --chips 1 \
  --vary wire=0,1,2,5,10 --vary compensate=on,off --vary calibrate=on,off -o "$out/wires" --plot "$out/wires.svg"
# The same with cells of few levels: which are solved for behind the wires, or are the nearest.
"$spikec" montecarlo "$out/ideal" --stimulus "$out/test.npz" --chips 1 \
  --condition wire=2 --condition order=on --vary levels=4,8,16,32,64 --vary compensate=on,off \
  -o "$out/levels" --plot "$out/levels.svg"
"$spikec" montecarlo "$out/pcm" --stimulus "$out/test.npz" --samples 100 --chips 10 \
  --vary age=20s,1h,1day,1month,1year --vary calibrate=on,off -o "$out/drift" \
  --plot "$out/drift.svg"
"$spikec" montecarlo "$out/rram-wan" --stimulus "$out/test.npz" --samples 100 --chips 10 \
  --condition gated=off --vary stuck=0,1%,2%,5% --vary remap=on,off -o "$out/stuck" --plot "$out/stuck.svg"
