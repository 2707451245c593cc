"""Trains 784-128-10 spiking neurons on 4,000 MNIST images; writes the network and its stimuli."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from spikec.compiler.demo.mnist import WHITE, load_split, train_mnist
from spikec.compiler.demo.spiking_mlp import Settings
from spikec.compiler.files import make_folder, write_file
from spikec.compiler.frontends.nir import write_nir
from spikec.compiler.stimulus import stimulus_bytes
from spikec.ir.diagnostics import SpikecError

CALIBRATION = 200  # training images for `spikec compile --calibration`


def main(arguments: list[str] | None = None) -> int:
    """Train, write, and say what came out."""
    options = _parser().parse_args(arguments)
    settings = Settings(
        full=round(WHITE / options.rate),
        weight_bits=options.weight_bits,
        epochs=options.epochs,
        seed=options.seed,
    )
    clock = time.monotonic()
    every = max(1, options.epochs // 15)

    def watch(epoch: int, right: float) -> None:
        if epoch % every == 0 or epoch == options.epochs:
            print(
                f"[{time.monotonic() - clock:5.1f} s] epoch {epoch:3} of {options.epochs}: "
                f"{100.0 * right:.1f} % of the distorted training images right",
                flush=True,
            )

    try:
        split = load_split(validation=options.validate)
        trained = train_mnist(settings, split, watch)
        make_folder(options.output)
        write_nir(trained.graph, options.output / "mnist.nir")
        write_file(options.output / "test.npz", stimulus_bytes(trained.held_out))
        calibration = trained.training.take(CALIBRATION)
        write_file(options.output / "training.npz", stimulus_bytes(calibration))
    except SpikecError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    right, total = trained.correct
    what = "validation" if options.validate else "test"
    print(f"accuracy    {right} of {total} {what} images ({100.0 * right / total:.2f} %)")
    share = 100.0 * trained.input_spikes / trained.graph.inputs[0].size
    print(
        f"spikes      {trained.input_spikes:.1f} of the input lines ({share:.1f} %) and "
        f"{trained.hidden_spikes:.1f} of the hidden neurons a step"
    )
    print(f"wrote       {options.output}/mnist.nir, test.npz, training.npz")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=Path("out/mnist"), help="folder")
    parser.add_argument(
        "--rate",
        type=_share,
        default=0.75,
        help="spikes a step of a white pixel, up to 1 (default 0.75: 10 %% of the lines spike)",
    )
    parser.add_argument("--weight-bits", type=int, choices=range(3, 17), default=6, metavar="3..16")
    parser.add_argument("--epochs", type=_positive, default=Settings.epochs)
    parser.add_argument("--seed", type=_natural, default=0)
    parser.add_argument(
        "--validate",
        action="store_true",
        help="hold out 800 of the 4,000 training images instead of the test images",
    )
    return parser


def _share(text: str) -> float:
    value = float(text)
    if not 0.01 <= value <= 1.0:
        raise argparse.ArgumentTypeError(f"{text} is not within 0.01 to 1")
    return value


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return value


def _natural(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} is negative")
    return value


if __name__ == "__main__":
    sys.exit(main())
