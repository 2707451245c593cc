from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Real networks and recordings: ``SPIKEC_DATA``, else ``shared/data`` beside the checkout."""
    checkout = Path(__file__).resolve().parents[3]
    folder = Path(os.environ.get("SPIKEC_DATA", checkout.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no data at {folder}: set SPIKEC_DATA")
    return folder
