#!/bin/sh
# Follows a disc through a slow video, frame by frame and by changes; arguments go to track.py.
set -eu
cd "$(dirname "$0")/../.."
make setup
exec .venv/bin/python examples/sigma_delta_video/track.py "$@"
