#!/bin/sh
# Searches the space of space.toml for the digits network; arguments go to `spikec explore`.
set -eu
cd "$(dirname "$0")/../.."
make setup
.venv/bin/python examples/explore/train.py -o out/explore
exec .venv/bin/spikec explore out/explore/digits.nir --dialect snntorch --dt 0.001 \
  --space examples/explore/space.toml --stimulus out/explore/test.npz -o out/explore/found "$@"
