"""The command line: ``spikec VERB``. Exit codes: 0 fine, 1 differs, 2 wrong input, 3 environment,
130 interrupted.
"""

from .main import main

__all__ = ["main"]
