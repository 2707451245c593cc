"""The rules of `spikec.compiler.noc.cycle` in plain Python: every router in every cycle."""

from collections import deque
from dataclasses import dataclass, field

from spikec.boards.machine import STEPS, Machine
from spikec.compiler.mapping.mapping import Routes
from spikec.compiler.noc.fabric import Fabric
from spikec.compiler.noc.packets import Packets

Row = tuple[int, int, int, int]
# A port: ("link", router, link number) or ("core", router, core number) or ("host", router, 0).
Port = tuple[str, int, int]


def links_of(m: Machine) -> dict[tuple[int, int], tuple[int, int]]:
    """(router, link) -> (router at its end, link of that router that leads straight back)."""
    found = {}
    if m.topology == "tree":
        levels = [list(range(m.routers[0]))]
        for children in reversed(m.arity):
            below = levels[-1]
            first = below[-1] + 1
            levels.append(list(range(first, first + len(below) // children)))
            for i, node in enumerate(below):
                parent = first + i // children
                found[node, 0] = (parent, 1 + i % children)
                found[parent, 1 + i % children] = (node, 0)
        return found
    width, height = m.grid
    steps = STEPS[m.topology]
    for y in range(height):
        for x in range(width):
            for d, (dx, dy) in enumerate(steps):
                a, b = x + dx, y + dy
                if not m.cyclic and not (0 <= a < width and 0 <= b < height):
                    continue
                a, b = a % width, b % height
                if (x, y) in m.absent or (a, b) in m.absent:
                    continue
                back = steps.index((-dx, -dy)) if (-dx, -dy) in steps else 0
                found[x + y * width, d] = (a + b * width, back)
    return found


@dataclass
class Tree:
    """A node of a route: its router, the cores there, and children by link."""

    router: int
    cores: list[int] = field(default_factory=list)
    children: list[tuple[int, "Tree"]] = field(default_factory=list)

    def sinks(self) -> list[int]:
        return self.cores + [s for _, child in self.children for s in child.sinks()]

    def only(self, core: int) -> "Tree":
        """The way to one core."""
        if core in self.cores:
            return Tree(self.router, [core])
        (link, child) = next((d, c) for d, c in self.children if core in c.sinks())
        return Tree(self.router, [], [(link, child.only(core))])


def tree_of(routes: Routes, r: int, m: Machine) -> Tree:
    links = links_of(m)
    root = Tree(int(routes.origin[r]))
    at = {root.router: root}
    for k in range(routes.link_ptr[r], routes.link_ptr[r + 1]):
        a, b = int(routes.start[k]), int(routes.end[k])
        d = min(d for (router, d), (end, _) in links.items() if (router, end) == (a, b))
        at[b] = Tree(b)
        at[a].children.append((d, at[b]))
    for core in routes.sink[routes.sink_ptr[r] : routes.sink_ptr[r + 1]].tolist():
        at[core // m.cores_per_router].cores.append(core)
    return root


@dataclass(eq=False)
class Packet:
    """A copy in one buffer: ``tail`` is when its last flit is in."""

    ident: int
    sent: int
    tree: Tree
    tail: int
    asks: list[Port] = field(default_factory=list)
    leaves: list[int] = field(default_factory=list)
    first_in: int = -1


class Simulator:
    def __init__(self, fabric: Fabric) -> None:
        self.f, m = fabric, fabric.machine
        self.links = links_of(m)
        self.buffers: dict[Port, deque[Packet]] = {}
        self.reserved: dict[Port, int] = {}
        self.turn: dict[Port, int] = {}
        self.taken_until: dict[Port, int] = {}
        self.flying: list[tuple[int, Port, Packet]] = []
        self.landing: list[Row] = []
        self.arrived: list[Row] = []
        self.dropped: list[Row] = []
        self.flits: dict[tuple[int, int], int] = {}
        self.busy: dict[tuple[int, int], int] = {}
        self.stall: dict[tuple[int, int], int] = {}
        self.peak: dict[tuple[int, int], int] = {}
        self.degree = 1 + max(d for _, d in self.links) if self.links else 1
        # Cycles gone through.
        self.now = 0
        self.routers = m.router_count
        if m.topology == "tree":
            self.routers = 1 + max(r for r, _ in self.links)
        if m.topology != "tree":
            self.degree = len(STEPS[m.topology])

    def ports_in(self, router: int) -> list[Port]:
        per = self.f.machine.cores_per_router
        links = [("link", router, d) for d in range(self.degree)]
        cores = [("core", router, router * per + c) for c in range(per)]
        return [*links, *cores, ("host", router, 0)]

    def cost(self, router: int, d: int) -> tuple[int, int]:
        """(cycles of the hop, cycles the link is taken by a flit)."""
        m, f = self.f.machine, self.f
        end = self.links[router, d][0]
        if m.topology == "tree":
            return f.hop_x, f.gap
        if m.chip_of(router) != m.chip_of(end):
            return f.chip_hop, f.chip_gap
        dx, dy = STEPS[m.topology][d]
        return max(f.hop_x if dx else 0, f.hop_y if dy else 0), f.gap

    def run(self, routes: Routes, packets: Packets, cycles: int) -> None:
        """Until nothing is on the way any more, or for so many cycles."""
        entering = self.entering(routes, packets)
        last = max((when for when, _, _ in entering), default=-1)
        for t in range(cycles):
            if t > last and not self.busy_still:
                break
            self.now = t + 1
            # What is in, and what has left.
            self.arrived += [row for row in self.landing if row[2] == t]
            self.landing = [row for row in self.landing if row[2] != t]
            for port, packet in [(p, q) for when, p, q in self.flying if when == t]:
                self.buffers.setdefault(port, deque()).append(packet)
            self.flying = [item for item in self.flying if item[0] != t]
            for _, port, packet in [item for item in entering if item[0] == t]:
                self.buffers.setdefault(port, deque()).append(packet)
            for port, queue in self.buffers.items():
                done = queue and queue[0].first_in >= 0 and not queue[0].asks
                if done and max(queue[0].leaves) <= t:
                    queue.popleft()
                    self.reserved[port] = self.reserved.get(port, 0) - 1
                if queue and queue[0].first_in < 0:
                    first = queue[0]
                    first.first_in = t
                    first.tail = max(first.tail, t) if port[0] != "link" else first.tail
                    router = port[1]
                    first.asks = [("link", router, d) for d, _ in first.tree.children]
                    first.asks += [("core", router, c) for c in first.tree.cores]
            # What is granted: decided for all ports before anything changes.
            grants = []
            for router in range(self.routers):
                ins = self.ports_in(router)
                for out in ins[:-1]:
                    asking = [
                        i
                        for i, port in enumerate(ins)
                        if self.buffers.get(port) and out in self.buffers[port][0].asks
                    ]
                    if not asking:
                        continue
                    goes = self.taken_until.get(out, 0) <= t
                    if out[0] == "link":
                        end, back = self.links[router, out[2]]
                        room = self.f.buffer // self.f.flits
                        goes = goes and self.reserved.get(("link", end, back), 0) < room
                        if not goes or len(asking) > 1:
                            key = (router, out[2])
                            self.stall[key] = self.stall.get(key, 0) + 1
                    if goes:
                        turn = self.turn.get(out, 0)
                        i = min(asking, key=lambda i: (i - turn) % len(ins))
                        self.turn[out] = (i + 1) % len(ins)
                        grants.append((out, self.buffers[ins[i]][0]))
            for out, packet in grants:
                self.grant(t, out, packet)
            # What is dropped.
            for queue in self.buffers.values():
                if self.f.drop_after is None or not queue or not queue[0].asks:
                    continue
                first = queue[0]
                if t < first.first_in + self.f.drop_after:
                    continue
                for out in first.asks:
                    lost = [out[2]]
                    if out[0] == "link":
                        lost = next(c for d, c in first.tree.children if d == out[2]).sinks()
                    self.dropped += [(first.ident, core, t, first.sent) for core in lost]
                first.asks = []
                first.leaves.append(max(t + 1, first.tail))

    def grant(self, t: int, out: Port, packet: Packet) -> None:
        f = self.f
        packet.asks.remove(out)
        if out[0] == "core":
            finish = max(t + f.eject, packet.tail)
            self.landing.append((packet.ident, out[2], finish, packet.sent))
        else:
            link = (out[1], out[2])
            hop, gap = self.cost(*link)
            finish = max(t + f.flits * gap, packet.tail)
            end, back = self.links[link]
            goal: Port = ("link", end, back)
            tree = next(c for d, c in packet.tree.children if d == out[2])
            copy = Packet(packet.ident, packet.sent, tree, finish + hop)
            self.flying.append((t + hop, goal, copy))
            self.reserved[goal] = self.reserved.get(goal, 0) + 1
            self.flits[link] = self.flits.get(link, 0) + f.flits
            self.busy[link] = self.busy.get(link, 0) + finish - t
            self.peak[link] = max(self.peak.get(link, 0), self.reserved[goal] * f.flits)
        self.taken_until[out] = finish
        packet.leaves.append(finish)

    def entering(self, routes: Routes, packets: Packets) -> list[tuple[int, Port, Packet]]:
        m = self.f.machine
        last: dict[Port, int] = {}
        found = []
        for time, r, core, ident in zip(
            packets.time.tolist(),
            packets.route.tolist(),
            packets.core.tolist(),
            packets.packet.tolist(),
            strict=True,
        ):
            whole = tree_of(routes, r, m)
            trees = [whole]
            if not m.multicast:
                trees = [whole.only(core) for core in whole.sinks()]
            port: Port = ("core", whole.router, core) if core >= 0 else ("host", whole.router, 0)
            for tree in trees if whole.sinks() else []:
                last[port] = max(time, last.get(port, 0)) + self.f.inject
                found.append((last[port], port, Packet(ident, time, tree, last[port])))
        return found

    @property
    def busy_still(self) -> bool:
        return bool(self.flying or self.landing or any(self.buffers.values()))
