"""Machines to map onto, of every topology."""

from typing import Any

from spikec.boards.machine import CoreLimits, Encoding, Machine, Topology
from spikec.boards.quantity import Quantity


def quantity(value: float, unit: str = "hops") -> Quantity:
    return Quantity(value, unit, "made up for a test", "recalled")


def machine(
    topology: Topology = "mesh",
    routers: tuple[int, int] = (4, 4),
    chips: tuple[int, int] = (1, 1),
    cores: int = 1,
    **others: Any,
) -> Machine:
    if isinstance(others.get("chip_link"), int | float):
        others["chip_link"] = quantity(others["chip_link"])
    return Machine(
        name="machine",
        title="Machine",
        topology=topology,
        chips=chips,
        routers=routers,
        cores_per_router=cores,
        core=CoreLimits(),
        encoding=Encoding(quantity(64, "bits"), quantity(8, "bits")),
        **others,
    )


def loihi(columns: int, rows: int) -> Machine:
    """Chips of 8 x 4 routers with four cores each, one packet for each target core."""
    return machine("mesh", (8, 4), (columns, rows), 4, chip_link=4)


# A board of 48 chips: the hexagon that is left of 8 x 8 places.
ABSENT = frozenset((x, y) for x in range(8) for y in range(8) if x - y > 4 or y - x > 3)


def spinnaker_board() -> Machine:
    return machine("triads", (8, 8), cores=16, multicast=True, absent=ABSENT)


def spinnaker(columns: int, rows: int) -> Machine:
    """A torus of chips with a diagonal, 16 cores for the application on each."""
    return machine("triads", (columns, rows), cores=16, multicast=True, wraps=True)


def tree(*arity: int, cores: int = 1) -> Machine:
    leaves = 1
    for children in arity:
        leaves *= children
    return machine("tree", (leaves, 1), cores=cores, arity=arity)


ALL: dict[str, Machine] = {
    "mesh": machine("mesh", (5, 3)),
    "mesh-1": machine("mesh", (1, 1), cores=4),
    "mesh-chips": machine("mesh", (3, 2), (2, 3), chip_link=4),
    "mesh-half": machine("mesh", (3, 2), (2, 2), chip_link=2.5),
    "mesh-holes": machine("mesh", (4, 4), absent=frozenset({(1, 1), (2, 1)})),
    "mesh-wraps": machine("mesh", (4, 3), wraps=True),
    "torus": machine("torus", (5, 4)),
    "torus-thin": machine("torus", (2, 1), (1, 3)),
    "torus-chips": machine("torus", (3, 2), (3, 2), chip_link=3),
    "triads": machine("triads", (5, 4), multicast=True),
    "triads-torus": machine("triads", (6, 5), wraps=True, multicast=True),
    "triads-chips": machine("triads", (3, 3), (2, 2), chip_link=3, multicast=True),
    "triads-board": spinnaker_board(),
    "ring": machine("ring", (7, 1)),
    "ring-chips": machine("ring", (3, 1), (2, 1), chip_link=2),
    "tree": tree(3, 2, 2),
    "tree-flat": tree(5),
}
