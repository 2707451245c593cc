#!/bin/sh
# A liquid learns with and without an astrocyte; arguments go to liquid.py.
set -eu
cd "$(dirname "$0")/../.."
make setup
exec .venv/bin/python examples/astrocyte/liquid.py "$@"
