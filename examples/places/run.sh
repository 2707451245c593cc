#!/bin/sh
# Modules learn places, answer, and get a core each; arguments go to modules.py.
set -eu
cd "$(dirname "$0")/../.."
make setup
exec .venv/bin/python examples/places/modules.py "$@"
