"""What the stages of a commit are made of: registers between them, and the state's arithmetic.

The name of a value ends in the stage at which it is at hand: ``v_3`` is an operand of stage 3. The
last stages have letters, ``l`` the last, ``s`` that of the comparison before it, ``c`` that of the
clamp, ``a`` the one before the clamp and ``i`` that of the sum which is the new membrane.
"""

from __future__ import annotations

from collections.abc import Callable

from amaranth.hdl import Const, Module, Signal, Value

from .arithmetic import fitted, rounded, times
from .cycles import commit_stages
from .shape import CoreShape

# A field of the class that the neurons of a beat have, by name.
Parameter = Callable[[str], Value]


class Pipeline:
    """Stages of a commit in a module ``m``, up to the ``last``, with ``shape``'s arithmetic.

    ``fresh`` says that states are zero, whatever memories hold. In a pipeline that is ``held`` all
    that goes in keeps still until the end: only what is computed gets a register.
    """

    def __init__(self, m: Module, shape: CoreShape, fresh: Value, *, held: bool) -> None:
        self.m, self.shape, self.held = m, shape, held
        self.last = commit_stages(shape)
        self._fresh = fresh

    def carry(self, value: Value, name: str, stages: int = 1) -> Value:
        """The value so many stages later."""
        for _ in range(stages):
            # What is part of the circuit needs no register, nor what holds still in one.
            if isinstance(value, Const) or (self.held and isinstance(value, Signal)):
                return value
            register = Signal.like(value, name=name)
            self.m.d.sync += register.eq(value)
            value = register
        return value

    def wire(self, value: Value, name: str) -> Value:
        """What holds still though it is not in a register of this pipeline."""
        if not self.held:
            return value
        named = Signal.like(value, name=name)
        self.m.d.comb += named.eq(value)
        return named

    def stored(self, value: Value, name: str) -> Value:
        """What a state memory holds, or zero."""
        if self.held:
            return self.wire(value, name)
        register = Signal.like(value, name=name)
        self.m.d.sync += register.eq(value)
        with self.m.If(self._fresh):
            self.m.d.sync += register.eq(0)
        return register

    def product(self, state: Value, decay: Value, name: str) -> tuple[Value, bool]:
        """A state times its decay, and whether taking the quotient of that is logic."""
        simple = isinstance(decay, Const) and decay.value & (decay.value - 1) == 0
        product = times(state, decay)
        product = self.carry(self.wire(product, f"own_{name}") if simple else product, name)
        return product, not simple and self.shape.rounding != "floor"

    def decayed(self, product: Value) -> Value:
        """A state after its decay: the quotient of their product."""
        return self.quotient(product, self.shape.decay_bits, self.shape.state_bits)

    def quotient(self, product: Value, bits: int, kept: int) -> Value:
        """A product rounded; more than ``kept`` bits it has not."""
        return rounded(product, bits, self.shape.rounding)[:kept].as_signed()

    def fit(self, value: Value) -> Value:
        """A sum as a state."""
        return fitted(value, self.shape.state_bits, self.shape.overflow)


def delayed(m: Module, value: Value, name: str, cycles: int) -> Value:
    """The value so many cycles later; the registers are ``name_0``, ``name_1`` and so on."""
    for number in range(cycles):
        register = Signal.like(value, name=f"{name}_{number}")
        m.d.sync += register.eq(value)
        value = register
    return value
