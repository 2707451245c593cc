"""Settings and fixtures that every test shares."""

import hashlib
import os
import shutil
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("backends", "boards", "compiler", "hdl", "ir", "pynn")

# The same examples on every machine and every run; kernels compile in the first example.
settings.register_profile(
    "spikec", derandomize=True, deadline=None, database=None, print_blob=False
)
settings.load_profile("spikec")


def pytest_configure(config: pytest.Config) -> None:
    """Keep compiled kernels between runs, but never across a change of any kernel.

    numba's own cache looks only at the file of the outermost function: after a change of a
    function it inlines from another file it would run the old code.
    """
    kernels = hashlib.sha256()
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            source = path.read_bytes()
            if b"numba" in source:
                kernels.update(path.as_posix().encode() + source)
    caches = ROOT / ".cache" / "numba"
    current = caches / kernels.hexdigest()[:16]
    os.environ["NUMBA_CACHE_DIR"] = str(current)
    if not hasattr(config, "workerinput") and caches.is_dir():  # not in an xdist worker
        for old in caches.iterdir():
            if old != current:
                shutil.rmtree(old, ignore_errors=True)


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real networks and recordings: $SPIKEC_DATA, or ../shared/data."""
    named = os.environ.get("SPIKEC_DATA")
    path = Path(named) if named else ROOT.parent / "shared" / "data"
    if not path.is_dir():
        pytest.skip(f"no data at {path}; name its folder in SPIKEC_DATA")
    return path
