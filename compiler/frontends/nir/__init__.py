"""The Neuromorphic Intermediate Representation (NIR): reading and writing its HDF5 files.

``read_nir`` and ``write_nir`` are for networks, ``read_nir_data`` is for stimuli and recordings.
Format: docstrings and files of nir 0.1 to 1.0.8. What its files leave out, and how that is
supplied here, is in docs/nir.md.
"""

from __future__ import annotations

from .data import NirData, read_nir_data
from .reader import read_nir, sniff
from .writer import write_nir

__all__ = ["NirData", "read_nir", "read_nir_data", "sniff", "write_nir"]
