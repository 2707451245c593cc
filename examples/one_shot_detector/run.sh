#!/bin/sh
# A neuron learns a pattern from one presentation, and is asked all others; arguments go to detector.py.
set -eu
cd "$(dirname "$0")/../.."
make setup
exec .venv/bin/python examples/one_shot_detector/detector.py "$@"
