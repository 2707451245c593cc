#!/bin/sh
# Ten liquid state machines of chance beside ten of ideal weights; arguments go to reservoir.py.
set -eu
cd "$(dirname "$0")/../.."
make setup
exec .venv/bin/python examples/reservoir/reservoir.py "$@"
