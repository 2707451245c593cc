"""Diagnostics that name the line of the user's script."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyNN
from pyNN import errors

from ..ir.diagnostics import Location, SpikecError, fail

_OURS = tuple(str(Path(module).parent.resolve()) for module in (__file__, pyNN.__file__))
_OURS = (*_OURS, contextlib.__file__)


def here() -> Location:
    """The innermost line on the stack that is neither ours nor PyNN's."""
    frame = sys._getframe(1)
    while frame is not None:
        name = frame.f_code.co_filename
        if not name.startswith("<") and not str(Path(name).resolve()).startswith(_OURS):
            return Location(name, line=frame.f_lineno)
        if frame.f_back is None:
            break
        frame = frame.f_back
    return Location()


def number(value: Any) -> float:
    """A number of a script; nan, which no comparison lets through, for what is none."""
    try:
        return np.nan if isinstance(value, str | bool) else float(value)
    except (TypeError, ValueError):
        return np.nan


def numbered(count: int) -> str:
    """How many of something there are, and how a script names them."""
    return f"{count}, 0 to {count - 1}" if count else "none"


@contextmanager
def coded(
    what: str, others: tuple[type[Exception], ...] = (), code: str = "E1002"
) -> Iterator[None]:
    """Turn what PyNN's own checks raise into coded diagnostics about ``what``.

    ``others`` are exceptions of Python's that PyNN lets through there; they become ``code``.
    """
    try:
        yield
    except SpikecError:
        raise
    except errors.RecordingError as error:
        names = ", ".join(error.cell_type.recordable)
        raise fail(
            "E1005", f"{what} has no '{error.variable.name}' to record; it has {names}", here()
        ) from error
    except errors.NonExistentParameterError as error:
        known = ", ".join(sorted(error.valid_parameter_names))
        raise fail(
            "E1002", f"{what} has no parameter '{error.parameter_name}'; it has {known}", here()
        ) from error
    except errors.ConnectionError as error:
        text = str(error)
        if text.startswith("Weights must be"):
            raise fail(
                "E1004",
                f"{what}: {text[0].lower()}{text[1:]}",
                here(),
                "PyNN gives inhibitory currents a negative weight, and conductances a positive one",
            ) from error
        raise fail("E1007", f"{what}: {text}", here()) from error
    except (errors.InvalidParameterValueError, errors.InvalidDimensionsError) as error:
        raise fail("E1002", f"{what}: {error}", here()) from error
    except others as error:
        raise fail(code, f"{what}: {error}", here()) from error


class CodedModel:
    """A model of PyNN whose constructor says E1002, and the line, for a wrong parameter."""

    _code = "E1002"

    def __init__(self, *positional: Any, **parameters: Any) -> None:
        given = [
            *map(repr, positional),
            *(f"{name}={value!r}" for name, value in parameters.items()),
        ]
        what = type(self).__name__
        wrong = (TypeError, ValueError)
        try:
            with coded(what, wrong, self._code):
                super().__init__(*positional, **parameters)
        except SpikecError:
            raise
        except Exception as error:  # PyNN's assertions and plain exceptions, often without a word
            text = f": {error}" if str(error) else ""
            raise fail(
                self._code, f"{what} cannot be made of {', '.join(given)}{text}", here()
            ) from error
