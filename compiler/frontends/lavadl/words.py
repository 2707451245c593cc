"""The weights of a file as words of Loihi."""

from __future__ import annotations

from typing import Final

import numpy as np

from ....ir.diagnostics import Diagnostics, Location
from ....ir.loihi import EXPONENT_RANGE, LoihiWeights, Sign
from .file import Ints

# A convolution without a shift stays one in Lava, so that zero is tried first; then the finer ones.
_EXPONENTS: Final = (0, *range(-1, EXPONENT_RANGE[0] - 1, -1), *range(1, EXPONENT_RANGE[1] + 1))


def words(weight: Ints, at: Location, found: Diagnostics) -> tuple[Ints, LoihiWeights]:
    r"""Words w and their exponent e with :math:`w\,2^e` the weight, exactly where there are such.

    Lava-DL shifts weights up and gives the shift back by the exponent, so that odd weights of both
    signs keep their last bit; so does this. Where no exponent holds all bits the weights are
    clipped and cut to multiples of a step at the least exponent that has their range (W0138).

    E0107 for weights beyond every exponent.
    """
    low, high = int(weight.min(initial=0)), int(weight.max(initial=0))
    sign = Sign.MIXED
    if low >= 0:
        sign = Sign.EXCITATORY
    elif high <= 0:
        sign = Sign.INHIBITORY
    for exponent in _EXPONENTS:
        form = LoihiWeights(sign=sign, exponent=exponent)
        if low < form.low * 2.0**exponent or high > form.high * 2.0**exponent:
            continue
        whole = weight << -exponent if exponent <= 0 else weight >> exponent
        back = whole << exponent if exponent > 0 else weight
        if (back == weight).all() and (form.cut(whole) == whole).all():
            return whole, form
    for exponent in range(EXPONENT_RANGE[1] + 1):
        form = LoihiWeights(sign=sign, exponent=exponent)
        # The largest word is a step short of the smallest: 255, which becomes 254, still has room.
        if low >= form.low << exponent and high < (form.high + form.step) << exponent:
            whole = form.cut(weight >> exponent)
            lost = np.abs((whole << exponent) - weight)
            found.add(
                "W0138",
                f"{int((lost > 0).sum())} of {weight.size} weights lose up to {lost.max()}: from "
                f"{low} to {high}, Loihi has multiples of {form.step << exponent}",
                at,
                "train with weights that are multiples of 2, as Lava-DL's quantiser makes them",
            )
            return whole, form
    form = LoihiWeights(sign=sign, exponent=EXPONENT_RANGE[1])
    found.add(
        "E0107",
        f"weights span {low} to {high}; Loihi's reach {form.low << form.exponent} to "
        f"{form.high << form.exponent}",
        at,
    )
    return np.zeros_like(weight), form
