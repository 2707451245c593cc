"""First partitions by other partitioners, which `refine` then makes better and legal."""

from __future__ import annotations

from typing import Any, Final, Literal, get_args

import numpy as np
import numpy.typing as npt

from ...ir.diagnostics import fail
from ..backend import need
from .coarsen import edges
from .hypergraph import Hypergraph

Array = npt.NDArray[Any]
Start = Literal["own", "metis", "mtkahypar"]
STARTS: Final[tuple[str, ...]] = get_args(Start)[1:]

# METIS counts edges in whole numbers, and adds them up in 32 bits.
_MOST_EDGES: Final = 1 << 30


def seeded(graph: Hypergraph, parts: int, most: int, by: Start, seed: int) -> Array:
    """The part of each vertex, by METIS or mt-KaHyPar, of about ``most`` neurons at most.

    METIS minimises the edges that are cut and not packets; mt-KaHyPar, in its deterministic
    setting, minimises packets. Neither knows any limit but that of neurons. E0601 where the
    package is not installed, E0707 where there is nothing of that name.
    """
    match by:
        case "metis":
            return _metis(graph, parts, most, seed)
        case "mtkahypar":
            return _mtkahypar(graph, parts, most, seed)
        case _:
            raise fail(
                "E0707", f"there is no partitioner '{by}'", hint=f"one of {', '.join(STARTS)}"
            )


def _metis(graph: Hypergraph, parts: int, most: int, seed: int) -> Array:
    need("pymetis", "metis", "a partition that starts from METIS")
    import pymetis

    # Rated by spikes and not by axons: this is the partition itself.
    ptr, other, rated = edges(graph._replace(axons=graph.weight))
    scale = min(_MOST_EDGES / max(float(rated.sum()), 1.0), 1000.0)
    options = pymetis.Options(seed=seed, ufactor=_slack(graph, parts, most))
    found = pymetis.part_graph(
        parts,
        pymetis.CSRAdjacency(ptr, other),
        vweights=graph.size,
        eweights=np.maximum(np.rint(rated * scale), 1).astype(np.int64),
        options=options,
    )
    return np.asarray(found.vertex_part, np.int32)


def _slack(graph: Hypergraph, parts: int, most: int) -> int:
    """How much larger than the mean a part may be, in thousandths."""
    return max(int(1000 * (most * parts / float(graph.size.sum()) - 1)), 1)


def _mtkahypar(graph: Hypergraph, parts: int, most: int, seed: int) -> Array:
    need("mtkahypar", "mtkahypar", "a partition that starts from mt-KaHyPar")
    import mtkahypar

    library = mtkahypar.initialize(1)
    mtkahypar.set_seed(seed)
    context = library.context_from_preset(mtkahypar.PresetType.DETERMINISTIC)
    slack = _slack(graph, parts, most) / 1000
    context.set_partitioning_parameters(parts, slack, mtkahypar.Objective.KM1)
    context.set_individual_target_block_weights([most] * parts)
    context.logging = False
    # It takes lists of lists only, and no net of a single pin.
    wide = np.flatnonzero(np.diff(graph.ptr) > 1)
    pins, ptr = graph.pins.tolist(), graph.ptr.tolist()
    nets = [pins[ptr[e] : ptr[e + 1]] for e in wide.tolist()]
    weights = np.maximum(graph.weight[wide], 1).tolist()
    made = library.create_hypergraph(
        context, graph.vertices, len(nets), nets, graph.size.tolist(), weights
    )
    return np.asarray(made.partition(context).get_partition(), np.int32)
