r"""When packets arrive, from the loads of links: an estimate, without simulation.

Over a window of W cycles let the port out o (a link, or a core) carry :math:`n_o` packets of
:math:`S_o` cycles each, of which the share :math:`p_{io}` comes in by port i. Its load is
:math:`\rho_o = n_o S_o / W`, and a packet that asks for it waits on average

.. math::
    w_o = \frac{\rho_o S_o}{2 (1 - \rho_o)} \Bigl(1 - \sum_i p_{io}^2\Bigr),

the wait of M/D/1 less what packets that came one after the other through one port do not do to each
other; for N equal ports that is (N - 1) / N (Karol, Hluchyj and Morgan, 1987). As the ports in take
turns, it is at most :math:`(N - 1) S_o`. Behind the first
packet of a buffer the others wait, too. A packet holds the buffer i for
:math:`x = S_o + w_o` cycles; those behind it came at least :math:`S_i` apart, so

.. math::
    v_i = \frac{\lambda_i (\langle x^2 \rangle - S_i \langle x \rangle)_+}
               {2 (1 - \lambda_i \langle x \rangle)},
    \qquad \langle x^2 \rangle = \langle S_o^2 + 2 S_o w_o + 2 w_o^2 \rangle.

The line of a core is followed packet by packet, each holding it for its first x. In waits loads
count as at most `FULL`. Above `SATURATED`, s, a backlog grows by :math:`\rho_o / s - 1` cycles a
cycle, which is worked off in later windows; a packet waits for the largest on its way. That links
fill up behind each other is left out: where one is saturated the estimate says so, but not by how
much. What it was compared with: ``bench/noc.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numba
import numpy as np
import numpy.typing as npt

from ...ir.records import Record
from .cycle import Network, Rows
from .fabric import Fabric
from .packets import Arrivals, Packets
from .trees import Ways

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

# Loads above this count as this in waits: near 1 these grow without bound, buffers do not.
FULL: Final = 0.95
# The load at which backlogs begin: buffers whose first packet holds up others do not fill a link.
SATURATED: Final = 0.8


@dataclass(frozen=True, eq=False)
class Error(Record):
    r"""How far the latencies of an estimate are from those of a simulation.

    ``mean`` is :math:`\langle e \rangle / \langle c \rangle - 1` of the latencies e and c of all
    copies, ``copy`` the mean of :math:`|e_j / c_j - 1|` over copies j, ``q95`` its quantile of 95 %
    and ``most`` its largest value. All are 0 without copies.
    """

    mean: float
    copy: float
    q95: float
    most: float


def error(cycle: Arrivals, analytic: Arrivals) -> Error:
    """The error of an estimate, over the copies that arrived in both.

    Copies are matched by packet and core, those of one packet number to one core by order of time.
    """
    a, b = (np.lexsort((x.time, x.core, x.packet)) for x in (cycle, analytic))
    first, second = (
        np.stack([x.packet[o], x.core[o]], axis=1) for x, o in ((cycle, a), (analytic, b))
    )
    if first.shape != second.shape or not np.array_equal(first, second):
        b = b[_matched(second, first)]
        a = a[_matched(first, second)]
    if not a.size:
        return Error(0.0, 0.0, 0.0, 0.0)
    truth, guess = cycle.latency[a].astype(np.float64), analytic.latency[b].astype(np.float64)
    apart = np.abs(guess - truth) / np.maximum(truth, 1)
    mean = float(guess.mean() / truth.mean() - 1) if truth.any() else float(guess.any())
    return Error(mean, float(apart.mean()), float(np.quantile(apart, 0.95)), float(apart.max()))


def _matched(rows: Integers, others: Integers) -> npt.NDArray[np.bool_]:
    """Which of the sorted ``rows`` the sorted ``others`` have, too, each as often."""
    both = np.concatenate([rows, others])
    _, number = np.unique(both, axis=0, return_inverse=True)
    number = number.ravel()
    mine, theirs = number[: rows.shape[0]], number[rows.shape[0] :]
    nth = np.arange(mine.size) - np.searchsorted(mine, mine)
    found: npt.NDArray[np.bool_] = (
        nth < np.bincount(theirs, minlength=number.max(initial=0) + 1)[mine]
    )
    return found


def estimate(fabric: Fabric, ways: Ways, packets: Packets, window: int | None = None) -> Arrivals:
    """When every copy of ``packets`` arrives, about; none is dropped.

    All packets of a route are taken to come from one core, as they do in a mapping.

    Loads are taken over windows of ``window`` cycles from the first packet on; ``None`` is one
    window, for traffic that is even. Takes time in proportion to packets, copies and, in each
    window, nodes of the routes. Raises ``ValueError`` like `Network.send`, and where ``window`` is
    less than 1.
    """
    if window is not None and window < 1:
        raise ValueError(f"window is {window} cycles, {1 - window} below 1")
    network = Network(fabric, ways)
    network.send(packets)
    if fabric.instant or not packets.count:
        return network.run()
    model = _Model(network)
    rows = network.entering
    first = int(rows["sent"][0])
    span = int(rows["sent"][-1]) - first + 1
    length = span if window is None else window
    edges = np.arange(first, first + span, length)
    cuts = np.append(np.searchsorted(rows["sent"], edges), rows.shape[0])
    found = [
        model.window(rows[low:high], int(edge), length)
        for edge, low, high in zip(edges, cuts[:-1], cuts[1:], strict=True)
    ]
    return Arrivals.of(np.concatenate(found, axis=1), np.zeros((4, 0), np.int64))


class _Model:
    """What waits depend on, and backlogs from window to window."""

    def __init__(self, network: Network) -> None:
        ways, fabric = network.ways, network.fabric
        self.tree, self.exit = network.tables
        self.ports = network.ports
        self.ways, self.eject = ways, fabric.eject
        self.each = not fabric.machine.multicast
        self.parent = np.full(ways.link.size, -1, np.int64)
        _parents(self.tree, self.parent)
        self.node_of = np.repeat(np.arange(ways.link.size), np.diff(ways.sink_ptr))
        self.sinks = ways.sinks
        self.span = self.ports.span.astype(np.float64)
        self.backlog = np.zeros(self.ports.core.size)
        self.free = np.zeros(self.ports.core.size)
        self.inject = fabric.inject
        self.last = np.zeros(self.ports.core.size, np.int64)

    def window(self, rows: Rows, begin: int, length: int) -> Integers:
        """Arrivals (4, copies) of the rows sent in the window that begins in cycle ``begin``."""
        total = self.ports.core.size
        nodes, each = self.tree.size, self.ports.each
        # Packets to each node, and to each sink, and the port that they come to a node by.
        passing, ending = np.zeros(nodes), np.zeros(self.exit.size)
        _passing(self.tree, rows, self.each, passing, ending)
        arrive = np.full(nodes, -1, np.int64)
        arrive[rows["node"]] = rows["port"]
        inner = np.flatnonzero(self.parent >= 0)
        arrive[inner] = self.ports.behind[self.tree["way"][inner]]
        used = inner[passing[inner] > 0]
        heard = np.flatnonzero(ending)
        out = np.concatenate([self.tree["way"][used], self.exit[heard]]).astype(np.int64)
        come = np.concatenate([arrive[self.parent[used]], arrive[self.node_of[heard]]])
        flow = np.concatenate([passing[used], ending[heard]])
        pair, which = np.unique(out * each + come % each, return_inverse=True)
        pair_flow = np.bincount(which, flow)
        o = pair // each
        i = o // each * each + pair % each
        # Waits for ports out.
        n = np.bincount(o, pair_flow, total)
        alike = np.bincount(o, pair_flow**2, total) / np.maximum(n, 1) ** 2
        load = n * self.span / length
        rho = np.minimum(load, FULL)
        wait = rho * self.span / (2 * (1 - rho)) * (1 - alike)
        # Round robin: each of the other ports goes first once at most.
        wait = np.minimum(wait, np.maximum(np.bincount(o, minlength=total) - 1, 0) * self.span)
        # Waits behind the first packet of a buffer.
        m = np.bincount(i, pair_flow, total)
        some = np.maximum(m, 1)
        hold = np.bincount(i, pair_flow * (self.span + wait)[o], total) / some
        square = (self.span**2 + 2 * self.span * wait + 2 * wait**2)[o]
        square = np.bincount(i, pair_flow * square, total) / some
        feeder = self.ports.feeder
        linked = feeder >= 0
        apart = np.where(linked, self.span[feeder], 0)
        rate = np.where(linked, n[feeder], 0) / length
        busy = np.minimum(rate * hold, FULL)
        behind = rate * np.maximum(square - apart * hold, 0) / (2 * (1 - busy))
        # Along the ways.
        along, slowest, piled = np.zeros(nodes), np.zeros(nodes), np.zeros(nodes)
        grow = load / SATURATED - 1
        cost = self.ports.hop + wait
        link = self.ports.behind >= 0
        cost[link] += behind[self.ports.behind[link]]
        _along(self.tree, cost, self.span, self.backlog, along, slowest, piled)
        # A backlog falls where the load is below that: no load falls faster than none.
        growth = np.full(nodes, -1.0)
        _along(self.tree, cost, self.span, grow, np.zeros(nodes), np.zeros(nodes), growth)
        # The lines of cores, packet by packet.
        enter = np.empty(rows.shape[0])
        ready = np.empty(rows.shape[0], np.int64)
        lines = self.last, self.free, ready, enter
        _lines(self.tree, self.exit, rows, self.inject, self.span, wait, *lines)
        if self.each:
            row, sink = np.arange(rows.shape[0]), rows["sink"]
        else:
            counts = self.tree["last"][rows["node"]] - self._first(rows)
            row = np.repeat(np.arange(rows.shape[0]), counts)
            offset = np.arange(row.size) - np.repeat(np.cumsum(counts) - counts, counts)
            sink = self._first(rows)[row] + offset
        node = self.node_of[sink]
        gone = rows["sent"][row] - begin
        # What has waited in line for others of its core finds the rest of the backlog.
        stood = enter[row] - ready[row]
        late = np.maximum(piled[node] + growth[node] * gone - stood, 0)
        port = self.exit[sink]
        end = np.maximum(self.backlog[port] + grow[port] * gone, 0)
        wait_out = wait[port] + np.maximum(end - stood - late, 0)
        time = enter[row] + along[node] + late + wait_out + np.maximum(self.eject, slowest[node])
        self.backlog = np.maximum(self.backlog + grow * length, 0)
        core = self.ports.core[port].astype(np.int64)
        when = np.rint(time).astype(np.int64)
        return np.stack([rows["ident"][row], core, when, rows["sent"][row]])

    def _first(self, rows: Rows) -> Integers:
        """The first sink of the route of each row."""
        first: Integers = self.ways.sink_ptr[rows["node"]].astype(np.int64)
        return first


@numba.njit(cache=True)
def _parents(tree: Any, out: Any) -> None:
    for node in range(tree.shape[0]):
        child = node + 1
        while child < tree[node].end:
            out[child] = node
            child = tree[child].end


@numba.njit(cache=True)
def _passing(tree: Any, rows: Any, each: bool, passing: Any, ending: Any) -> None:
    """Packets that come to each node (nodes,) and to each sink (sinks,)."""
    spikes = np.zeros(tree.shape[0])
    for r in range(rows.shape[0]):
        if each:
            ending[rows[r].sink] += 1
        else:
            spikes[rows[r].node] += 1
    root = 0
    while root < tree.shape[0]:
        last = tree[root].end
        first = tree[root - 1].here if root > 0 else 0
        if not each:
            passing[root:last] = spikes[root]
            ending[first : tree[root].last] = spikes[root]
        root = last
    if each:
        before = np.zeros(ending.size + 1)
        for s in range(ending.size):
            before[s + 1] = before[s] + ending[s]
        for node in range(tree.shape[0]):
            low = tree[node - 1].here if node > 0 else 0
            passing[node] = before[tree[node].last] - before[low]


@numba.njit(cache=True)
def _along(
    tree: Any, cost: Any, span: Any, pile: Any, along: Any, slowest: Any, piled: Any
) -> None:
    """Of the way to each node (nodes,): the sum of costs, the largest span, the largest pile.

    Costs, spans and piles are those of ports out (ports,).
    """
    for node in range(tree.shape[0]):
        child = node + 1
        while child < tree[node].end:
            o = tree[child].way
            along[child] = along[node] + cost[o]
            slowest[child] = max(slowest[node], span[o])
            piled[child] = max(piled[node], pile[o])
            child = tree[child].end


@numba.njit(cache=True)
def _lines(
    tree: Any,
    exit: Any,
    rows: Any,
    inject: int,
    span: Any,
    wait: Any,
    last: Any,
    free: Any,
    ready: Any,
    enter: Any,
) -> None:
    """When each packet is at its router, and the first of its line: once the one before has left.

    ``last`` and ``free`` (ports,) are when the last packet of each line was at the router, and when
    it has left; they go on.
    """
    for r in range(rows.shape[0]):
        node, target, port = rows[r].node, rows[r].sink, rows[r].port
        last[port] = max(rows[r].sent, last[port]) + inject
        ready[r] = last[port]
        enter[r] = max(float(ready[r]), free[port])
        hold = 0.0
        if target >= 0 and target < tree[node].here:
            o = exit[target]
            hold = span[o] + wait[o]
        else:
            child = node + 1
            while child < tree[node].end:
                if target < 0 or target < tree[child].last:
                    o = tree[child].way
                    hold = max(hold, span[o] + wait[o])
                    if target >= 0:
                        break
                child = tree[child].end
            if target < 0:
                for s in range(tree[node - 1].here if node > 0 else 0, tree[node].here):
                    hold = max(hold, span[exit[s]] + wait[exit[s]])
        free[port] = enter[r] + hold
