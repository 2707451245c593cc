r"""Neurons of cells: what a unit that counts pulses against a threshold is made of.

In a step every input line has one pulse or none. A neuron with weights w and threshold
:math:`\theta` gets :math:`|w_i|` copies of line i. Lines are put one behind the other by delays, so
that their pulses pass a merger without meeting (``serial``). Of the pulses on that one line
:math:`\theta - 1` are held back by as many `ndro` in a row (``skip_one``), each of which lets pass
all but the first; what is left over is stored in a `dff`, which the clock of the layer reads, as it
clears the `ndro`: the neuron has counted, and is empty for the next step.

A weight below 0 counts the steps *without* a pulse: a `not`, with a clock ahead of the layer's,
sends one where none came, and

.. math:: \sum_i w_i x_i \ge \theta \iff
    \sum_{w_i > 0} w_i x_i + \sum_{w_i < 0} |w_i| (1 - x_i) \ge \theta + \sum_{w_i < 0} |w_i|.

A neuron that adds up over steps (`Plan.taken`) keeps what its `ndro` hold: they are cleared by its
own spike and not by the clock, so that it begins at 0, and pulses beyond the threshold are lost.
One whose spike takes :math:`A = 2^n` off counts by n `tff` in a row, of which each lets every
second pulse pass: what is left over stays. As it has to reach :math:`\theta \ge A` for its first
spike, :math:`\theta - A` `ndro` ahead of them hold back the first pulses of all, and are never
cleared.

Where one pulse is enough to fire and one of any inhibitory line enough to keep it from that
(``Plan.vetoed``) an `ndro` is the neuron: set by the ones, reset by the others, which come later. A
flux quantum is stored, and no race decides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt

from ..cells.netlist import Instance, Netlist
from .schedule import Order
from .unit import Unit

Integers = npt.NDArray[np.int64]
# JTLs that last as long as a merger, at least, and those from a read to what is stored behind it:
# fewer than a slot.
_MERGER: Final = 3
HOLD: Final = 2


@dataclass
class Builder:
    """Cells that are put together; each gets a name from what it is part of.

    ``orders`` are those of pulses that neurons rely on; ``holds`` the JTLs in front of each ``dff``
    that makes a line a step late, by its name.
    """

    instances: list[Instance] = field(default_factory=list)
    orders: list[Order] = field(default_factory=list)
    holds: dict[str, int] = field(default_factory=dict)
    _same: dict[str, str] = field(default_factory=dict)
    _nets: int = 0

    def net(self) -> str:
        """A new net."""
        self._nets += 1
        return f"n{self._nets}"

    def join(self, taken: str, driven: str) -> None:
        """Make one net of two: what a cell took before there was what drives it."""
        self._same[taken] = driven

    def cell(self, kind: str, name: str, nets: Mapping[str, str], **factors: float) -> None:
        """One cell; ``nets`` by port."""
        self.instances.append(Instance(name, kind, dict(nets), factors))

    def one(self, kind: str, name: str, **nets: str) -> str:
        """A cell with the one output q, on a new net."""
        out = self.net()
        self.cell(kind, name, {**nets, "q": out})
        return out

    def delay(self, net: str, cells: int, name: str) -> str:
        """``net`` behind so many JTLs."""
        for k in range(cells):
            net = self.one("jtl", f"{name}.{k}", a=net)
        return net

    def split(self, net: str, ways: int, name: str) -> list[str]:
        """Copies of a line, by a tree of splitters that is as flat as it can be."""
        out = [net]
        for k in range(ways - 1):
            q, r = self.net(), self.net()
            self.cell("splitter", f"{name}.{k}", {"a": out.pop(0), "q": q, "r": r})
            out += [q, r]
        return out

    def serial(self, lines: Sequence[str], slot: int, name: str) -> str:
        """All pulses of some lines on one, each line ``slot`` JTLs and a merger behind the one
        before.
        """
        line = lines[-1]
        for k in range(len(lines) - 2, -1, -1):
            late = self.delay(line, slot, f"{name}.d{k}")
            line = self.one("merger", f"{name}.m{k}", a=lines[k], b=late)
        return line

    def late(self, net: str, clock: str, ways: int, name: str) -> str:
        """A line a step late: a ``dff`` that the clock reads once in a step, ahead of the pulse.

        A pulse that the same clock has sent waits until the clock has been here, too: of so many
        ``ways`` of it one is longer than another. ``holds`` may know better how long that is.
        """
        self.orders.append(Order(name, "clk", "a"))
        hold = self.holds.setdefault(name, HOLD + ways.bit_length() // 2)
        net = self.delay(net, hold, f"{name}.h")
        return self.one("dff", name, a=net, clk=clock)

    def skip_one(self, line: str, reset: str, name: str) -> str:
        """All pulses of a line but the first since ``reset``.

        A pulse reads what the one before has set before it sets it itself, a little later.
        """
        read, late = self.split(line, 2, f"{name}.s")
        late = self.delay(late, HOLD, f"{name}.h")
        self.orders.append(Order(name, "clk", "set", own=True))
        return self.one("ndro", name, set=late, reset=reset, clk=read)

    def netlist(self) -> Netlist:
        """What was put together."""
        return Netlist(
            tuple(
                replace(i, nets={port: self._same.get(net, net) for port, net in i.nets.items()})
                for i in self.instances
            )
        )


@dataclass(frozen=True)
class Plan:
    """How one neuron is made; ``depth`` (inputs,) is how many clocks are ahead of each line.

    ``taken`` is ``None`` where it forgets what a step brought. Else it adds up over steps, no
    weight is below 0, and a spike takes so much off: 0 for all that there is, or a power of two
    that is neither more than the threshold nor less than a step brings.
    """

    unit: Unit
    depth: Integers
    taken: int | None = None

    @cached_property
    def vetoed(self) -> bool:
        """Whether any positive line fires it, and any negative one keeps it silent.

        Negative lines must not be of an earlier layer than positive ones: they have the last word.
        """
        if self.taken is not None:
            return False
        plus, minus = self.unit.weight > 0, self.unit.weight < 0
        if not plus.any() or not minus.any() or self.unit.threshold != 1:
            return False
        strong = -self.unit.weight[minus].max() >= self.unit.weight[plus].sum()
        return bool(strong and self.depth[minus].min() >= self.depth[plus].max())

    @property
    def constant(self) -> bool:
        """Whether it always or never fires, whatever comes: it takes no cell."""
        return self.taken is None and (self.unit.never or self.unit.always)

    @property
    def count(self) -> int:
        """Pulses that fire it, those of steps without an inhibitory pulse among them."""
        weight = self.unit.weight
        return self.unit.threshold - int(weight[weight < 0].sum())

    @property
    def reads(self) -> int:
        """Clock lines that read and clear it."""
        if self.taken is not None:
            return 1
        return 2 if self.vetoed else self.count

    @property
    def inverts(self) -> int:
        """Clock lines ahead of those, one for each line that counts where it has no pulse."""
        return 0 if self.vetoed else int((self.unit.weight < 0).sum())

    @property
    def copies(self) -> list[int]:
        """Copies that it takes of each input line."""
        if self.vetoed:
            return [int(w != 0) for w in self.unit.weight]
        return [int(w) if w > 0 else int(w < 0) for w in self.unit.weight]

    @property
    def pulses(self) -> int:
        """Pulses that it may have to count in a step, or to hold."""
        if self.taken is not None:
            return max(int(self.unit.weight.sum()), self.unit.threshold - self.taken)
        return sum(self.copies) if self.vetoed else int(np.abs(self.unit.weight).sum())


def neuron(
    build: Builder,
    plan: Plan,
    lines: Sequence[Sequence[str]],
    reads: Sequence[str],
    inverts: Sequence[str],
    slot: int,
    name: str,
) -> str:
    """The cells of one neuron, and the net that it fires on.

    ``lines`` are as many copies of its input lines as the plan says, in the order of their depth
    and so in that in which their pulses come; ``reads`` and ``inverts`` its clock lines; ``slot``
    JTLs are between two lines.
    """
    weight = plan.unit.weight.tolist()
    plus = [net for w, nets in zip(weight, lines, strict=True) if w > 0 for net in nets]
    minus = [(-w, nets[0]) for w, nets in zip(weight, lines, strict=True) if w < 0]
    if plan.vetoed:
        ones = build.serial(plus, slot, f"{name}.in")
        others = build.serial([net for _, net in minus], slot, f"{name}.no")
        # Behind the last of the ones, of which each is a slot and a merger behind the one before.
        others = build.delay(others, (slot + _MERGER) * len(plus) + slot, f"{name}.w")
        # What was read is cleared.
        clear = build.delay(reads[1], slot, f"{name}.c")
        reset = build.one("merger", f"{name}.r", a=others, b=clear)
        # The others have the last word; the clock reads before it clears.
        build.orders.append(Order(f"{name}.ndro", "set", "reset"))
        build.orders.append(Order(f"{name}.ndro", "clk", "reset", own=True))
        return build.one("ndro", f"{name}.ndro", set=ones, reset=reset, clk=reads[0])
    for i, ((w, net), clock) in enumerate(zip(minus, inverts, strict=True)):
        without = build.one("not", f"{name}.not{i}", a=net, clk=clock)
        plus += build.split(without, w, f"{name}.not{i}.s")
    line = build.serial(plus, slot, f"{name}.in")
    if plan.taken is not None:
        return _adding_up(build, plan, line, reads[0], name)
    for k in range(plan.count - 1):
        line = build.skip_one(line, reads[k], f"{name}.skip{k}")
    return build.one("dff", f"{name}.dff", a=line, clk=reads[-1])


def _adding_up(build: Builder, plan: Plan, line: str, read: str, name: str) -> str:
    """A neuron that keeps what it counted until it fires; ``line`` has all its pulses."""
    if plan.taken:
        for k in range(plan.unit.threshold - plan.taken):
            # Nothing drives its reset.
            line = build.skip_one(line, build.net(), f"{name}.skip{k}")
        for k in range(plan.taken.bit_length() - 1):
            line = build.one("tff", f"{name}.tff{k}", a=line)
        return build.one("dff", f"{name}.dff", a=line, clk=read)
    held = plan.unit.threshold - 1
    clear = build.net()
    resets = build.split(clear, held, f"{name}.c") if held else []
    for k, reset in enumerate(resets):
        line = build.skip_one(line, reset, f"{name}.skip{k}")
    fire = build.one("dff", f"{name}.dff", a=line, clk=read)
    if not held:
        return fire
    out = build.net()
    build.cell("splitter", f"{name}.f", {"a": fire, "q": out, "r": clear})
    return out
