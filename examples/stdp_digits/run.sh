#!/bin/sh
# Learns digits by STDP without labels, then names the neurons; arguments go to learn.py.
set -eu
cd "$(dirname "$0")/../.."
make setup
exec .venv/bin/python examples/stdp_digits/learn.py "$@"
