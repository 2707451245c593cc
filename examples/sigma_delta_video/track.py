r"""A disc in a slow video, found by a network that is told changes only.

The video: a bright disc of six pixels moves by 0.15 pixels a frame over a texture that stands still
(``--scene still``), or by 0.1 over one that itself drifts by 0.02 (``--scene drift``). Everything
moves by parts of a pixel: disc and texture are functions of the place.

The network is a plain one of real numbers, written down rather than trained. Eight filters find
edges, each of one direction; the edges around a circle vote for its centre, for three radii; the
last layer takes the middle radius against the others, and smooths. The answer is where its map is
largest. `compiler.sigma_delta` makes a sigma-delta network of it, at a threshold of zero and for
growing error bounds, and the integer rung counts what it costs.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from spikec.compiler.backend import need
from spikec.compiler.files import write_file
from spikec.compiler.integer.executor import Executor
from spikec.compiler.sigma_delta import ReluLayer, SigmaDeltaNetwork, real_network, sigma_delta
from spikec.compiler.stimulus import LabelledStimulus, stimulus_bytes
from spikec.ir.connections import Conv2d
from spikec.ir.diagnostics import SpikecError
from spikec.ir.text import text

Real = npt.NDArray[np.float64]

SIZE = 48  # pixels of a side
RADIUS = 6.0
STRIDE = 2  # of the edge filters: a place of the map is two pixels
SPEED = {"still": (0.15, 0.0), "drift": (0.1, 0.02)}  # pixels a frame, of the disc and the texture
SHARES = (0.0, 0.05, 0.1, 0.2, 0.4, 0.8)  # of the largest output: the bounds that are asked for
CALIBRATION = 6  # videos of 50 frames
SEED = 3
GOAL = 3.0  # times fewer synaptic operations, at a bound of a fifth of the largest output


@dataclass(frozen=True)
class Row:
    """One sigma-delta network beside the frames."""

    asked: float  # the bound asked for, share of the largest output
    bound: float  # the one that is proven, likewise
    error: float  # the largest difference from the frames, likewise
    thresholds: tuple[int, ...]
    operations: int
    ratio: float  # of the operations of frames, zeros passed over
    position: float  # pixels from the disc, at most


@dataclass(frozen=True)
class Result:
    """What a run found."""

    scene: str
    frames: int
    every: int  # synaptic operations of all frames
    active: int  # and where zeros are passed over
    position: float  # pixels from the disc, at most, of the real network
    quantised: float  # largest difference of the frames in integers from it, share of the largest
    rows: tuple[Row, ...]

    @property
    def holds(self) -> bool:
        """No error beyond its bound, none at a threshold of zero, and the goal at a fifth."""
        bounded = all(row.error <= row.bound <= row.asked for row in self.rows)
        return bounded and any(r.ratio >= GOAL and r.bound <= 0.2 for r in self.rows)


# -- the video -----------------------------------------------------------------------------------


def texture(rng: np.random.Generator) -> Callable[[float], Real]:
    """A sum of waves, moved to the right by any part of a pixel."""
    y, x = np.mgrid[:SIZE, :SIZE].astype(np.float64)
    waves, phase = rng.normal(0, 0.35, (24, 2)), rng.uniform(0, 2 * np.pi, 24)

    def at(moved: float) -> Real:
        inside = np.multiply.outer(waves[:, 0], x - moved) + np.multiply.outer(waves[:, 1], y)
        total = np.cos(inside + phase[:, None, None]).sum(axis=0) / np.sqrt(len(phase))
        return np.asarray(0.35 + 0.12 * total)

    return at


def video(frames: int, scene: str, rng: np.random.Generator) -> tuple[Real, Real]:
    """Frames (frames, SIZE, SIZE) of 0 to 1, and where the disc is (frames, 2) as x and y."""
    speed, drift = SPEED[scene]
    background, angle = texture(rng), rng.uniform(0, 2 * np.pi)
    place, step = rng.uniform(12, SIZE - 12, 2), speed * np.array([np.cos(angle), np.sin(angle)])
    y, x = np.mgrid[:SIZE, :SIZE].astype(np.float64)
    images, places = [], []
    for number in range(frames):
        distance = np.hypot(x - place[0], y - place[1])
        disc = 1 / (1 + np.exp((distance - RADIUS) / 0.5))
        mixed = background(drift * number) * (1 - disc) + 0.95 * disc
        images.append(np.clip(mixed, 0, 1))
        places.append(place.copy())
        outside = np.abs(place + step - SIZE / 2) > SIZE / 2 - 10
        step = np.where(outside, -step, step)  # it turns at the border
        place = place + step
    return np.stack(images), np.array(places)


# -- the network ---------------------------------------------------------------------------------


def edges() -> Real:
    """Eight derivatives of a Gaussian, (8, 1, 5, 5): half of all magnitudes on either side."""
    y, x = np.mgrid[-2:3, -2:3].astype(np.float64)
    angles = np.arange(8) * np.pi / 4
    along = np.multiply.outer(np.cos(angles), x) + np.multiply.outer(np.sin(angles), y)
    kernel = along * np.exp(-(x * x + y * y) / 4)
    return np.asarray(2 * kernel / np.abs(kernel).sum(axis=(1, 2), keepdims=True))[:, None]


def rings() -> Real:
    """Votes of edges that face the middle of a circle, (3, 8, 11, 11), for three radii."""
    y, x = np.mgrid[-5:6, -5:6].astype(np.float64)
    angles, distance = np.arange(8) * np.pi / 4, np.hypot(x, y)
    along = np.multiply.outer(np.cos(angles), x) + np.multiply.outer(np.sin(angles), y)
    facing = np.clip(-along / np.maximum(distance, 0.5), 0, None) ** 4
    radii = RADIUS / STRIDE + np.array([-0.7, 0.0, 0.7])
    at = np.exp(-((distance - radii[:, None, None]) ** 2) / 0.5)
    votes = facing[None] * at[:, None]
    return np.asarray(votes / votes.sum(axis=(1, 2, 3), keepdims=True))


def network() -> list[ReluLayer]:
    """Edges, circles, and the map of where the disc is."""
    first = Conv2d(edges(), (1, SIZE, SIZE), (STRIDE, STRIDE), ((2, 2), (2, 2)))
    second = Conv2d(rings(), first.out_shape, padding=((5, 5), (5, 5)))  # type: ignore[arg-type]
    smooth = np.outer([0.5, 1.0, 0.5], [0.5, 1.0, 0.5]) / 4
    last = 12 * np.array([-0.15, 0.5, -0.15])[None, :, None, None] * smooth
    third = Conv2d(last, second.out_shape, padding=((1, 1), (1, 1)))  # type: ignore[arg-type]
    return [
        ReluLayer(first, np.full(8, -0.08)),
        ReluLayer(second, np.full(3, -0.03)),
        ReluLayer(third, np.zeros(1), relu=False),
    ]


def off(maps: Real, places: Real) -> float:
    """The largest distance, in pixels, of the peak of a map from the disc."""
    side = SIZE // STRIDE
    row, column = np.divmod(maps.argmax(axis=1), side)
    found = STRIDE * np.stack([column, row], axis=1)
    return float(np.hypot(*(found - places).T).max())


# -- the measurement -----------------------------------------------------------------------------


def shown(scene: str, frames: int) -> tuple[Real, Real, Real, float]:
    """Frames to calibrate with, a video, where its disc is, and the largest output."""
    rng = np.random.default_rng(SEED)
    calibration = np.concatenate([video(50, scene, rng)[0] for _ in range(CALIBRATION)])
    images, places = video(frames, scene, rng)
    return calibration, images, places, float(maps_of(images).max())


def maps_of(images: Real) -> Real:
    """The output of the real network."""
    return real_network(network(), images.reshape(len(images), -1))


def measure(scene: str, frames: int) -> Result:
    """Frames, and sigma-delta networks for each bound."""
    layers = network()
    calibration, images, places, peak = shown(scene, frames)
    exact = maps_of(images)
    rows = []
    for share in SHARES:
        made = sigma_delta(layers, calibration, bound=share * peak)
        rows.append(beside(made, images, places, share, peak))
    every, active = made.frame_operations(images)
    quantised = float(np.abs(made.frame_by_frame(images) - exact).max()) / peak
    return Result(scene, frames, every, active, off(exact, places), quantised, tuple(rows))


def beside(made: SigmaDeltaNetwork, images: Real, places: Real, share: float, peak: float) -> Row:
    """A sigma-delta network on the integer rung, beside its frames."""
    executor = Executor(made.graph)
    maps = made.output(executor.run(made.stimulus(images[None])))[0]
    error = float(np.abs(maps - made.frame_by_frame(images)).max())
    _, active = made.frame_operations(images)
    spent = executor.synaptic_operations
    bound = float(made.bound.max()) / peak
    where = off(maps, places)
    return Row(share, bound, error / peak, made.thresholds, spent, active / spent, where)


def say(result: Result) -> None:
    """The table."""
    print(f"scene {result.scene}, {result.frames} frames of {SIZE} x {SIZE} pixels")
    print(f"real network           position within {result.position:.1f} pixels")
    print(f"frame by frame         {result.every:>12,} synaptic operations")
    print(f"  zeros passed over    {result.active:>12,}")
    print(f"  in integers          off by {result.quantised:.1%} of the largest output")
    print("asked    thresholds       operations   ratio   proven   measured   position")
    for row in result.rows:
        words = ", ".join(map(str, row.thresholds))
        print(
            f"{row.asked:>5.0%}    {words:<12} {row.operations:>14,} {row.ratio:>6.2f}x "
            f"{row.bound:>8.2%} {row.error:>10.2%} {row.position:>8.1f} px"
        )


def plot(result: Result) -> bytes:
    """Operations and errors over the bound asked for."""
    from matplotlib.figure import Figure

    from spikec.compiler.report.plots import style, to_bytes

    with style(result.scene):
        figure = Figure(figsize=(7.0, 3.0), layout="constrained")
        left, right = figure.subplots(1, 2)
        asked = [100 * row.asked for row in result.rows]
        left.plot(asked, [row.operations / 1e6 for row in result.rows], "o-", label="sigma-delta")
        left.axhline(result.active / 1e6, color="0.5", ls="--", label="frames, zeros passed over")
        left.set(xlabel="bound asked for (% of the peak)", ylabel="synaptic operations (millions)")
        left.set_ylim(0)
        right.plot(asked, [100 * row.bound for row in result.rows], "o-", label="proven")
        right.plot(asked, [100 * row.error for row in result.rows], "s-", label="measured")
        right.set(xlabel="bound asked for (% of the peak)", ylabel="error (% of the peak)")
        for axis in (left, right):
            axis.legend()
        return to_bytes(figure, f"Synaptic operations and errors, scene {result.scene}", "svg")


def write(folder: Path, scene: str, frames: int) -> None:
    """The network at a bound of a fifth, and what it is shown, as the command line takes them."""
    calibration, images, _, peak = shown(scene, frames)
    made = sigma_delta(network(), calibration, bound=0.2 * peak)
    folder.mkdir(parents=True, exist_ok=True)
    write_file(folder / "network.spk", text(made.graph).encode())
    stimulus = LabelledStimulus(made.stimulus(images[None]))
    write_file(folder / "video.npz", stimulus_bytes(stimulus))


def main(arguments: list[str] | None = None) -> int:
    """The command line; 1 where a bound does not hold, or the goal is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--scene", choices=sorted(SPEED), default="still")
    parser.add_argument("--frames", type=int, default=150)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--plot", type=Path, metavar="FILE.svg", help="operations and errors")
    parser.add_argument("--write", type=Path, metavar="DIR", help="network and video, for spikec")
    given = parser.parse_args(arguments)
    if given.frames < 2:
        parser.error("a video has two frames or more")
    try:
        result = measure(given.scene, given.frames)
        if given.plot is not None:
            need("matplotlib", "plot", "--plot")
            write_file(given.plot, plot(result))
        if given.write is not None:
            write(given.write, given.scene, given.frames)
    except SpikecError as error:
        for line in error.diagnostics:
            print(line, file=sys.stderr)
        return 2
    if given.json:
        print(json.dumps(asdict(result)))
    else:
        say(result)
    return 0 if result.holds else 1


if __name__ == "__main__":
    sys.exit(main())
