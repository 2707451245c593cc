"""Where does a sound come from? Delay lines and coincidence detectors after Jeffress (1948).

A sound reaches the nearer ear first. Detector j hears the left ear after j steps and the right ear
after N - 1 - j steps; it fires when spikes of both arrive together, so that of N detectors

    j = (N - 1 + (t_right - t_left) / dt) / 2

fires most. The delays are per synapse: `Delay` stages behind the two dense connections.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from spikec.compiler.backend import find_target
from spikec.compiler.compare import compare
from spikec.compiler.compile import compile_graph
from spikec.compiler.ladder import quantised, run_rung, state_words
from spikec.compiler.passes.quantise import Quantise
from spikec.ir.connections import Chain, Delay, Dense
from spikec.ir.diagnostics import SpikecError
from spikec.ir.dialects import DIALECTS
from spikec.ir.events import Events, Stimulus
from spikec.ir.graph import Graph, Input, Output, Population, Projection
from spikec.ir.neurons import LIF

DT = 50e-6  # seconds
DETECTORS = 15  # interaural differences of -700 us to 700 us, 100 us apart
FIBRES = 6  # of each ear
STEPS = 1000
# Six spikes at once, one whole ear, stay below; seven do not. No sum of halves comes near it.
THRESHOLD = 6.8
CLICKS, QUIET = 0.02, 40  # share of steps with a click, and steps of silence after one
HEARD, JITTER, NOISE = 0.7, 0.1, 0.001  # of each fibre: per click, per spike and side, per step
_CELL = 18  # characters
EAR_DISTANCE, SPEED_OF_SOUND = 0.24, 343.0  # metres along the head, metres per second


@dataclass(frozen=True)
class Sounds:
    """One sound from each direction: its stimulus, and how much later the right ear hears it."""

    stimulus: Stimulus
    difference: npt.NDArray[np.int64]  # steps

    @property
    def expected(self) -> npt.NDArray[np.int64]:
        """The detector that is tuned to each sound."""
        return np.asarray((DETECTORS - 1 + self.difference) // 2)


def build_network() -> Graph:
    """Two ears, and a bank of leaky neurons behind two delay lines that run against each other."""
    # tau = 2 dt halves the membrane in a step; r = 2 makes a weight of 1 add 1.
    neuron = LIF(
        tau=np.asarray(2 * DT),
        r=np.asarray(2.0),
        v_leak=np.asarray(0.0),
        v_threshold=np.asarray(THRESHOLD),
        v_reset=np.asarray(0.0),
    )
    line = np.arange(DETECTORS)
    reach = {"left": line, "right": line[::-1].copy()}
    return Graph(
        name="delay_coincidence",
        dt=DT,
        inputs=tuple(Input(ear, (FIBRES,)) for ear in reach),
        populations=(
            Population("detectors", (DETECTORS,), neuron, DIALECTS["snntorch-zero"].semantics),
        ),
        projections=tuple(
            Projection(
                ear,
                ear,
                "detectors",
                Chain((Dense(np.ones((DETECTORS, FIBRES))), Delay(steps, (DETECTORS,)))),
            )
            for ear, steps in reach.items()
        ),
        outputs=(Output("direction", "detectors"),),
        dialect="snntorch-zero",
    )


def make_sounds(directions: int = DETECTORS, seed: int = 0) -> Sounds:
    """Clicks at irregular times: fibres miss some, are early or late at times, and make noise."""
    random = np.random.default_rng(seed)
    centre = np.rint(np.linspace(0, DETECTORS - 1, directions)).astype(np.int64)
    difference = 2 * centre - (DETECTORS - 1)
    shape = (directions, STEPS, FIBRES)
    ears = {ear: random.random(shape) < NOISE for ear in ("left", "right")}
    for sound, later in enumerate(difference):
        step = DETECTORS
        while (step := step + QUIET + random.geometric(CLICKS)) < STEPS - 2 * DETECTORS:
            for ear, at in (("left", step), ("right", step + later)):
                fibre = np.flatnonzero(random.random(FIBRES) < HEARD)
                shift = random.choice([-1, 0, 1], fibre.size, p=[JITTER, 1 - 2 * JITTER, JITTER])
                ears[ear][sound, at + shift, fibre] = True
    return Sounds(
        Stimulus({ear: Events.from_dense(spikes) for ear, spikes in ears.items()}), difference
    )


def angle(difference: float) -> float:
    """Degrees to the left, of a sound that the right ear hears ``difference`` seconds later."""
    sine = difference * SPEED_OF_SOUND / EAR_DISTANCE
    return float(np.degrees(np.arcsin(np.clip(sine, -1.0, 1.0))))


def main(arguments: list[str] | None = None) -> int:
    """Compile for a board, run every rung it has, say which detector fires most."""
    parser = argparse.ArgumentParser(description="Which way did the sound come from?")
    parser.add_argument("--target", default="icebreaker", help="a board, or null")
    parser.add_argument("--directions", type=int, choices=range(2, DETECTORS + 1), default=5)
    parser.add_argument("--bitstream", action="store_true", help="synthesise, place and route too")
    parser.add_argument("-o", "--output", type=Path, default=Path("out/delay_coincidence"))
    options = parser.parse_args(arguments)
    try:
        return _listen(options.target, options.directions, options.bitstream, options.output)
    except SpikecError as error:
        print(error, file=sys.stderr)
        return error.exit_code


def _listen(name: str, directions: int, bitstream: bool, output: Path) -> int:
    backend, target = find_target(name)
    integers = Quantise(weight_bits=4, state_bits=12, input_max=1)
    built = compile_graph(build_network(), backend, target, integers, {"bitstream": bitstream})
    artifact = built.artifact()
    artifact.write(output / name)
    print(f"{output / name}: {len(built.quantised.projections)} projections, one a delay and ear")

    sounds = make_sounds(directions)
    words = state_words(quantised(artifact))
    rungs = ["golden", "integer", *(r for r in ("rtl",) if r in backend.rungs)]
    heard = {
        r: run_rung(artifact, r, sounds.stimulus, record=() if r == "golden" else words).recording
        for r in rungs
    }
    counts = {r: recording.spikes["detectors"].counts() for r, recording in heard.items()}
    print(
        "right ear later by    tuned to  "
        + "".join(f"fires: {r}".ljust(_CELL) for r in rungs).rstrip()
    )
    for sound, tuned in enumerate(sounds.expected):
        late = float(sounds.difference[sound]) * DT
        winners = [int(counts[r][sound].argmax()) for r in rungs]
        cells = [
            f"{winner:2} ({counts[r][sound, winner]} spikes)".ljust(_CELL)
            for r, winner in zip(rungs, winners, strict=True)
        ]
        print(
            f"{late * 1e6:7.0f} us ({angle(late):3.0f} deg)  {tuned:8}  {''.join(cells)}".rstrip()
        )
    above = [(heard[a], heard[b]) for a, b in itertools.pairwise(rungs)]
    found = [compare(a, b, graph=quantised(artifact), stimulus=sounds.stimulus) for a, b in above]
    print("\n".join(comparison.describe() for comparison in found))
    equal = all(comparison.equal for comparison in found[1:])  # golden is measured, not demanded
    right = all((c.argmax(axis=1) == sounds.expected).all() for c in counts.values())
    return 0 if equal and right else 1


if __name__ == "__main__":
    sys.exit(main())
