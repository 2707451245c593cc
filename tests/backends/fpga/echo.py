"""The smallest design with a device's streams: every byte comes back."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped


class Echo(wiring.Component):
    """Bytes of ``rx`` on ``tx``."""

    def __init__(self) -> None:
        super().__init__({"rx": In(stream.Signature(8)), "tx": Out(stream.Signature(8))})

    def elaborate(self, platform: Any) -> Module:
        """Build the logic."""
        m = Module()
        connect(m, flipped(self.rx), flipped(self.tx))
        return m
