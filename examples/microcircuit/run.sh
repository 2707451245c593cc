#!/bin/sh
# A square millimetre of cortex, scaled down; arguments go to network.py.
set -eu
cd "$(dirname "$0")/../.."
make setup
exec .venv/bin/python examples/microcircuit/network.py "$@"
