"""What several cores are loaded with: their images, and which of their spikes go where."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import starmap

import numpy as np

from .cluster_shape import CORE_SHIFT, ROUTES, ClusterShape, DeviceShape
from .image import CoreImage, ImageError, Integers, contents
from .protocol import DIGEST_BYTES, Write
from .shape import Memory


@dataclass(frozen=True, eq=False)
class ClusterImage:
    """Contents of all configuration memories of a cluster.

    ``images`` has one of each core's shape; ``routes`` (I + N,) the cores each source goes to, bit
    k for core k, never the one that the source is a neuron of.

    Raises `ImageError` if an image has another shape or a route does not exist.
    """

    shape: ClusterShape
    images: tuple[CoreImage, ...]
    routes: Integers

    def __post_init__(self) -> None:
        shape = self.shape
        if tuple(image.shape for image in self.images) != shape.cores:
            raise ImageError("the images are made for other cores")
        routes = np.array(self.routes, np.int64)
        if routes.shape != (shape.sources,):
            raise ImageError(f"routes must have shape ({shape.sources},), not {routes.shape}")
        wrong = np.flatnonzero((routes < 0) | (routes >> len(shape.cores) != 0))
        if wrong.size:
            raise ImageError(f"source {wrong[0]} goes to cores {routes[wrong[0]]:#b}")
        for number, (base, core) in enumerate(zip(shape.bases, shape.cores, strict=True)):
            first = shape.inputs + base
            back = np.flatnonzero(routes[first : first + core.neurons] >> number & 1)
            if back.size:
                raise ImageError(f"neuron {back[0]} of core {number} goes to its own core")
        routes.setflags(write=False)
        object.__setattr__(self, "routes", routes)

    @classmethod
    def empty(cls, shape: ClusterShape) -> ClusterImage:
        """An image that does nothing."""
        images = tuple(CoreImage.empty(core) for core in shape.cores)
        return cls(shape, images, np.zeros(shape.sources, np.int64))

    def table(self, node: int) -> Integers:
        """The routes of a core's neurons, or of the input lines (node = number of cores)."""
        shape = self.shape
        if node == len(shape.cores):
            return self.routes[: shape.inputs]
        first = shape.inputs + shape.bases[node]
        return self.routes[first : first + shape.cores[node].neurons]

    @cached_property
    def digest(self) -> bytes:
        """Eight bytes that name shape and contents."""
        state = hashlib.sha256(repr(self.shape).encode())
        for image in self.images:
            state.update(image.digest)
        state.update(self.routes.astype("<i8").tobytes())
        return state.digest()[:DIGEST_BYTES]

    def frames(self) -> Iterator[Write]:
        """The WRITE frames that load this image into any device of its shape, digest last."""
        for node in range(len(self.images) + 1):
            number = node << CORE_SHIFT
            if node < len(self.images):
                for write in self.images[node].frames():
                    if write.memory != Memory.DIGEST:
                        yield Write(number | write.memory, write.address, write.data)
            yield from starmap(
                Write,
                (
                    (number | ROUTES, address, bytes((int(word),)))
                    for address, word in enumerate(self.table(node))
                ),
            )
        yield Write(Memory.DIGEST, 0, self.digest)


DeviceImage = CoreImage | ClusterImage


def device_contents(
    shape: DeviceShape, image: DeviceImage | None, digest: bytes | None
) -> tuple[DeviceImage, bytes]:
    """What a device of ``shape`` starts with: the image or an empty one, and its identity.

    Raises `ImageError` if the image is of another shape or the digest has not 8 bytes.
    """
    if isinstance(shape, ClusterShape):
        if image is None:
            image = ClusterImage.empty(shape)
        if image.shape != shape:
            raise ImageError(f"the image is made for {image.shape}, not for {shape}")
        digest = image.digest if digest is None else digest
        if len(digest) != DIGEST_BYTES:
            raise ImageError(f"a digest has {DIGEST_BYTES} bytes, not {len(digest)}")
        return image, digest
    if isinstance(image, ClusterImage):
        raise ImageError(f"the image is made for {image.shape}, not for {shape}")
    return contents(shape, image, digest)
