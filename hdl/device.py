"""A core with its byte link: what a board top wires to a UART and a simulator drives."""

# Amaranth ships no types.
# mypy: disable-error-code="import-untyped", allow-subclassing-any

from __future__ import annotations

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from .core import Core
from .image import CoreImage
from .layouts import TraceSignature, byte_stream
from .link import Link
from .shape import CoreShape


class Device(wiring.Component):
    """Core and link.

    Parameters
    ----------
    shape : capacity and arithmetic
    image : what the memories hold after configuration; nothing without one
    digest : identity that INFO reports, 8 bytes; the image's own unless given

    Members
    -------
    rx, tx : bytes from and to the host, see `protocol`
    trace : every neuron of every step

    Raises `ValueError` if the image is of another shape or the digest has not 8 bytes.
    """

    def __init__(
        self, shape: CoreShape, image: CoreImage | None = None, digest: bytes | None = None
    ) -> None:
        self._core = Core(shape, image, digest)
        self._link = Link(shape)
        super().__init__(
            {
                "rx": In(byte_stream()),
                "tx": Out(byte_stream()),
                "trace": Out(TraceSignature(shape)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the logic."""
        m = Module()
        m.submodules.core = core = self._core
        m.submodules.link = link = self._link
        connect(m, flipped(self.rx), link.rx)
        connect(m, link.tx, flipped(self.tx))
        connect(m, link.events, core.events)
        connect(m, link.requests, core.requests)
        connect(m, core.spikes, link.spikes)
        connect(m, core.done, link.done)
        connect(m, link.access, core.access)
        connect(m, core.response, link.response)
        connect(m, core.trace, flipped(self.trace))
        m.d.comb += link.digest.eq(core.digest)
        return m
