#!/bin/sh
# A memory learns, is asked by cue and by fragment, and forgets; arguments go to memory.py.
set -eu
cd "$(dirname "$0")/../.."
make setup
exec .venv/bin/python examples/ca3_memory/memory.py "$@"
