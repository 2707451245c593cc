#!/bin/sh
# A balanced network keeps itself going, as currents and as conductances; arguments go to network.py.
set -eu
cd "$(dirname "$0")/../.."
make setup
exec .venv/bin/python examples/vogels_abbott/network.py "$@"
