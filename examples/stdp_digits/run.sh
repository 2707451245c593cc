#!/bin/sh
# Learns digits by STDP without labels, names the neurons, and lets a board's core learn, too;
# arguments go to learn.py.
set -eu
cd "$(dirname "$0")/../.."
make setup
exec .venv/bin/python examples/stdp_digits/learn.py --board ulx3s-85f "$@"
