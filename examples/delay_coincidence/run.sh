#!/bin/sh
# Compiles the coincidence detectors and runs every rung; arguments go to listen.py.
set -eu
cd "$(dirname "$0")/../.."
make setup
exec .venv/bin/python examples/delay_coincidence/listen.py "$@"
