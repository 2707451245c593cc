"""Lava-DL's network files (``.net``, HDF5), which its trainer writes for Loihi.

Format and meaning: lava-dl (``lib/dl/netx/hdf5.py``, the ``export_hdf5`` methods of
``lib/dl/slayer/block/base.py``). What of it is read here, and what is refused, is in
docs/lavadl.md.
"""

from __future__ import annotations

from .reader import is_lavadl, read_lavadl

__all__ = ["is_lavadl", "read_lavadl"]
