#!/bin/sh
# Compiles a small cortex of Izhikevich neurons and runs every rung; arguments go to fire.py.
set -eu
cd "$(dirname "$0")/../.."
make setup
exec .venv/bin/python examples/cortex/fire.py "$@"
