#!/bin/sh
# Digits are learnt in one pass by symmetric STDP and a teacher; arguments go to learn.py.
set -eu
cd "$(dirname "$0")/../.."
make setup
exec .venv/bin/python examples/symmetric_stdp/learn.py "$@"
