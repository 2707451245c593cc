#!/bin/sh
# A readout learns to peak an interval after a cue, then another; arguments go to interval.py.
set -eu
cd "$(dirname "$0")/../.."
make setup
exec .venv/bin/python examples/what_when/interval.py "$@"
