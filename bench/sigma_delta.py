"""Synaptic operations a frame of a slow video: sigma-delta beside the same network of frames.

The networks and videos are those of examples/sigma_delta_video. Ours is everything that the integer
rung counts; the peer is the quantised network frame by frame, which passes over zeros. At a
threshold of zero both have the same outputs, every bit; at a bound of a fifth of the largest output
the proven and the measured error stand beside.

    python bench/sigma_delta.py [--json] [--quick]
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from _measured import main, measured

SCRIPT = Path(__file__).parents[1] / "examples" / "sigma_delta_video" / "track.py"
SEED = 3
GOAL = 3.0
SHOWN = (0.0, 0.2)  # bounds asked for
FRAMES, FEW = 150, 40


def scene(name: str, frames: int) -> list[dict[str, Any]]:
    """The rows of one scene."""
    arguments = [sys.executable, str(SCRIPT), "--scene", name, "--frames", str(frames), "--json"]
    done = subprocess.run(arguments, stdout=subprocess.PIPE, text=True)
    if done.returncode not in (0, 1):  # 1: a goal is missed, and the rows say so
        raise SystemExit(f"the scene {name} ended with {done.returncode}")
    found = json.loads(done.stdout)
    peer = found["active"] / frames
    rows = [row for row in found["rows"] if row["asked"] in SHOWN]
    return [
        {
            "name": f"{name}, bound of {row['asked']:.0%}: synaptic operations",
            "ours": row["operations"] / frames,
            "unit": "1/frame",
            "goal": peer / GOAL if row["asked"] else None,
            "meets": row["ratio"] >= GOAL and row["error"] <= row["bound"]
            if row["asked"]
            else None,
            "peer": "frame by frame, zeros passed over",
            "peer_value": peer,
            "ratio": row["ratio"],
            "how": f"off by {row['error']:.2%} of the largest output, proven {row['bound']:.2%}; "
            f"thresholds {row['thresholds']}; {found['every'] / frames:,.0f} with all zeros",
        }
        for row in rows
    ]


def measure(quick: bool) -> dict[str, Any]:
    names = ("still",) if quick else ("still", "drift")
    results = [row for name in names for row in scene(name, FEW if quick else FRAMES)]
    return measured(results, ("numpy", "numba"), SEED)


def line(row: dict[str, Any]) -> str:
    """A result for a person."""
    return f"{row['name']}: {row['ours']:,.0f}, {row['ratio']:.2f} times fewer ({row['how']})"


if __name__ == "__main__":
    main(measure, __doc__, "forty frames of one scene", line)
