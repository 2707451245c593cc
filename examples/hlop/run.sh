#!/bin/sh
# A second task is learned without forgetting the first; arguments go to project.py.
set -eu
cd "$(dirname "$0")/../.."
make setup
exec .venv/bin/python examples/hlop/project.py "$@"
