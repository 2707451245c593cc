#!/bin/sh
# Sets published measurements of three chips beside what their cost models say.
set -eu
cd "$(dirname "$0")/../.."
make setup
exec .venv/bin/python examples/silicon/measure.py "$@"
