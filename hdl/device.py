"""A core, or several, with its link: what a board top wires to a UART and a simulator drives."""

from __future__ import annotations

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from .cluster import Cluster
from .cluster_image import ClusterImage, DeviceImage, device_contents
from .cluster_shape import DeviceShape
from .core import Core
from .layouts import TraceSignature, byte_stream
from .link import Link
from .parallel import ParallelCore
from .protocol import DEFAULT_LINK, LinkOptions
from .shape import ParallelShape


def device_members(shape: DeviceShape) -> dict[str, wiring.Member]:
    """Ports of a device."""
    return {
        "rx": In(byte_stream()),
        "tx": Out(byte_stream()),
        "trace": Out(TraceSignature(shape)),
    }


def core_of(
    shape: DeviceShape, image: DeviceImage | None = None, digest: bytes | None = None
) -> Core | ParallelCore | Cluster:
    """The core, or cores, of a shape: the one place that knows of which kinds there are.

    Raises `ImageError` if the image is of another shape or the digest has not 8 bytes.
    """
    image, digest = device_contents(shape, image, digest)
    if isinstance(image, ClusterImage):
        return Cluster(image.shape, image, digest)
    if isinstance(image.shape, ParallelShape):
        return ParallelCore(image.shape, image, digest)
    return Core(image.shape, image, digest)


class Device(wiring.Component):
    """Core, or cluster of cores, and link.

    Parameters
    ----------
    shape : capacity and arithmetic
    image : what the memories hold after configuration; nothing without one
    digest : identity that INFO reports, 8 bytes; the image's own unless given
    link : clock and buffers

    A device without an image, or with weights in memory that starts with anything (``huge``), is
    unconfigured until a host has loaded one.

    Members
    -------
    rx, tx : bytes from and to the host, see `framing` and `protocol`
    trace : every neuron of every step

    Raises `ImageError` if the image is of another shape or the digest has not 8 bytes.
    """

    def __init__(
        self,
        shape: DeviceShape,
        image: DeviceImage | None = None,
        digest: bytes | None = None,
        link: LinkOptions = DEFAULT_LINK,
    ) -> None:
        self.shape = shape
        self._link = link
        self._configured = image is not None and shape.weight_storage != "huge"
        self._image, self._digest = device_contents(shape, image, digest)
        super().__init__(device_members(shape))

    def elaborate(self, platform: object) -> Module:
        """Build the logic."""
        m = Module()
        m.submodules.core = core = core_of(self.shape, self._image, self._digest)
        m.submodules.link = link = Link(self.shape, self._configured, self._link)
        connect(m, flipped(self.rx), link.rx)
        connect(m, link.tx, flipped(self.tx))
        connect(m, link.events, core.events)
        connect(m, link.requests, core.requests)
        connect(m, core.spikes, link.spikes)
        connect(m, core.done, link.done)
        connect(m, link.access, core.access)
        connect(m, core.response, link.response)
        connect(m, core.trace, flipped(self.trace))
        if self.shape.learning is not None:
            m.d.comb += core.learn.eq(link.learn)
        if self.shape.parity:
            m.d.comb += link.unsound.eq(core.unsound)
        return m
