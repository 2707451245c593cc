"""Every rule of plasticity that there is: what the text form and the verifier know."""

from __future__ import annotations

from .integer_plasticity import (
    IntegerHebbian,
    IntegerPairSTDP,
    IntegerThreeFactorSTDP,
    IntegerTripletSTDP,
)
from .loihi_learning import LoihiPairSTDP
from .plasticity import (
    SDSP,
    Hebbian,
    PairSTDP,
    Rule,
    SpinnakerPairSTDP,
    ThreeFactorSTDP,
    TraceSTDP,
    TripletSTDP,
)

RULES: tuple[type[Rule], ...] = (
    TraceSTDP,
    SDSP,
    PairSTDP,
    TripletSTDP,
    ThreeFactorSTDP,
    Hebbian,
    IntegerPairSTDP,
    IntegerTripletSTDP,
    IntegerThreeFactorSTDP,
    IntegerHebbian,
    SpinnakerPairSTDP,
    LoihiPairSTDP,
)
