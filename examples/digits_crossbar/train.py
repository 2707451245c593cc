"""Writes the digits network and its data, for `spikec compile` and the rest of the command line."""

from __future__ import annotations

import argparse
from pathlib import Path

from spikec.compiler.demo.digits import train_digits
from spikec.compiler.files import make_folder, write_file
from spikec.compiler.frontends.nir import write_nir
from spikec.compiler.stimulus import stimulus_bytes

CALIBRATION = 50  # images


def main(arguments: list[str] | None = None) -> int:
    """Train, and write ``digits.nir``, ``training.npz`` and ``test.npz`` to a folder."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args(arguments).folder
    digits = train_digits()
    make_folder(folder)
    write_nir(digits.graph, folder / "digits.nir")
    write_file(folder / "training.npz", stimulus_bytes(digits.training.take(CALIBRATION)))
    write_file(folder / "test.npz", stimulus_bytes(digits.test))
    right, total = digits.float_correct
    print(f"the float MLP reads {right} of {total}; wrote digits.nir, training.npz and test.npz")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
