"""Train the digits network of `spikec demo`, and write it and its test images for a search."""

from __future__ import annotations

import argparse
from pathlib import Path

from spikec.compiler.demo.digits import train_digits
from spikec.compiler.frontends.nir import write_nir
from spikec.compiler.stimulus import stimulus_bytes


def main(arguments: list[str] | None = None) -> int:
    """Write ``digits.nir`` and ``test.npz``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=Path("out/explore"))
    parser.add_argument("--images", type=int, default=200, help="test images (default: 200)")
    said = parser.parse_args(arguments)
    if said.images < 1:
        parser.error("--images is a number from 1 on")
    said.output.mkdir(parents=True, exist_ok=True)
    digits = train_digits()
    write_nir(digits.graph, said.output / "digits.nir")
    (said.output / "test.npz").write_bytes(stimulus_bytes(digits.test.take(said.images)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
