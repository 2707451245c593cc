#!/bin/sh
# Trains, compiles and verifies the digits network; arguments go to `spikec demo`.
set -eu
cd "$(dirname "$0")/../.."
make setup
exec .venv/bin/spikec demo -o out/digits "$@"
