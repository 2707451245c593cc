"""What a compiled network tolerates: groups of elements, margins with their faults, corners."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy.special import ndtri

from spikec.backends.sfq.cells.chance import SOURCE, law
from spikec.backends.sfq.cells.chance import nominal as of_the_cell
from spikec.backends.sfq.cells.netlist import Instance, Netlist
from spikec.backends.sfq.josephson.margins import Trial, kinds, margins
from spikec.backends.sfq.josephson.simulate import Pulses, Simulator
from spikec.backends.sfq.rungs.conditions import Conditions
from spikec.backends.sfq.synthesis.files import read_program
from spikec.backends.sfq.synthesis.synthesise import synthesise
from spikec.backends.sfq.tolerance.stress import orders, trial
from spikec.backends.sfq.tolerance.study import CELLS, ProgramTolerance, check_gap, groups
from spikec.backends.sfq.tolerance.trims import POINTS, synapses
from spikec.boards.process import load_process
from spikec.compiler.artifact import Artifact
from spikec.compiler.backend import GROUPINGS, Gap, ToleranceRequest, find_target
from spikec.compiler.compile import compile_graph
from spikec.compiler.gap import gap_request, patterns
from spikec.compiler.ladder import run_chips, run_rung
from spikec.compiler.passes.quantise import Quantise
from spikec.ir.diagnostics import SpikecError
from spikec.ir.events import Events, Stimulus

from ..networks import TARGET, layered, ordered, quantised

GIVEN = orders(2, 2, 4)
STIMULUS = Stimulus({"in": Events.from_dense(GIVEN.astype(np.int64))})
REACH, RESOLUTION = 0.5, 0.05


def made(**options: object) -> Artifact:
    """Fires with both lines."""
    graph = layered([([[1, 1]], [1.5])])
    return compile_graph(graph, *find_target(TARGET), Quantise(input_max=1), options).artifact()


def request(artifact: Artifact, *conditions: str, seed: int = 1) -> ToleranceRequest:
    wanted = run_rung(artifact, "integer", STIMULUS).recording
    return ToleranceRequest(artifact, STIMULUS, wanted, conditions, seed)


@pytest.fixture(scope="module")
def artifact() -> Artifact:
    return made()


@pytest.fixture(scope="module")
def tolerance(artifact: Artifact) -> ProgramTolerance:
    return ProgramTolerance(request(artifact), load_process(TARGET))


@pytest.fixture(scope="module")
def plain(artifact: Artifact) -> Trial:
    """The same put together by hand."""
    wanted = GIVEN[..., :1] & GIVEN[..., 1:]
    program = read_program(artifact)
    return trial(program, {"in": GIVEN}, {"in": np.zeros(GIVEN.shape)}, {"p0": wanted})


def test_groups_are_as_fine_as_is_asked_for() -> None:
    """Two JTLs and a splitter: each element is in one group of a kind, and in one of a cell."""
    netlist = Netlist(
        (
            Instance("a", "jtl", {"a": "i", "q": "x"}),
            Instance("s", "splitter", {"a": "x", "q": "y", "r": "z"}),
            Instance("b", "jtl", {"a": "y", "q": "o"}),
        )
    )
    chip = kinds(netlist.circuit({}))
    found = {by: groups(netlist, by) for by in GROUPINGS}
    assert found["chip"] == chip
    for one in found.values():
        assert all(one[kind] == chip[kind] for kind in chip)
    every = sorted(name for group in chip.values() for name in group)
    for by in ("cell", "element", "instance"):
        fine = [g for title, g in found[by].items() if title not in chip]
        assert sorted(name for group in fine for name in group) == every
    areas = found["cell"]["jtl areas"]
    assert {name.partition("|")[2] for name in areas} == {"a", "b"}
    assert all(name.startswith("B") for name in areas)
    first = areas[0].partition("|")[0]
    assert found["element"][f"jtl.{first}"] == (f"{first}|a", f"{first}|b")
    assert found["instance"][f"{first}|a"] == (f"{first}|a",)


def test_margins_are_those_of_the_trial(tolerance: ProgramTolerance, plain: Trial) -> None:
    chip = kinds(plain.simulator.circuit)
    wanted = margins(plain, {"bias": chip["bias"]}, reach=REACH, resolution=RESOLUTION)
    ((found, below, above),) = tolerance.margins(["bias"], REACH, RESOLUTION)
    assert found == wanted["bias"]
    assert not found.open_low and -REACH < found.low < -0.1 < 0.1 < found.high
    # Without bias nothing comes, or it comes wrong; on an open side nothing is wrong.
    assert below.startswith(("p0[0] (net ", "a pulse of p0[0] (net ")) and "sample" in below
    assert bool(above) != found.open_high


def test_the_fault_is_the_first_of_the_failing_run(
    tolerance: ProgramTolerance, plain: Trial
) -> None:
    every = {name: np.array([0.3]) for name in kinds(plain.simulator.circuit)["bias"]}
    (said,) = plain.faults(every, 1)
    # Nothing moves: the first sample's first spike is missing.
    step = int(np.flatnonzero(GIVEN[0].all(1))[0])
    assert said.startswith("p0[0] (net ") and f"has no pulse in step {step} of sample 0" in said
    assert plain.faults({}, 1) == [""]


def test_corners_have_shares_of_samples(tolerance: ProgramTolerance, plain: Trial) -> None:
    corners = [
        {"bias": 1.0, "areas": 1.0},
        {"bias": 0.3, "areas": 1.0},
        {"bias": 1.0, "temperature": 4.2},
        {"bias": 0.3, "temperature": 4.2},
    ]
    found = tolerance.right(corners)
    assert found.tolist() == [1.0, 0.0, 1.0, 0.0]
    assert tolerance.right(corners[2:3]).tolist() == found[2:3].tolist()
    # Both may be off where one alone may not.
    assert tolerance.right([{"bias": 0.55, "areas": 1.0}, {"bias": 0.55, "areas": 0.55}]).tolist() \
        == [0.0, 1.0]  # fmt: skip


def test_conditions_are_where_margins_begin(artifact: Artifact) -> None:
    """With half of the bias the circuit fails as it is, and says how."""
    low = ProgramTolerance(request(artifact, "bias=0.3"), load_process(TARGET))
    with pytest.raises(SpikecError, match=r"E1424.*as they are: p0\[0\].* has no pulse"):
        low.margins(["bias"], REACH, RESOLUTION)
    # Twice that is what the condition took.
    assert low.right([{"bias": 1 / 0.3}]).tolist() == [1.0]


def test_a_chip_is_the_one_of_the_seed(artifact: Artifact) -> None:
    """Some work and some do not, and the circuit rung has the same ones."""
    seeds, condition = range(1, 17), "spread=20%"
    right = [
        float(
            ProgramTolerance(request(artifact, condition, seed=seed), load_process(TARGET)).right(
                [{}]
            )[0]
        )
        for seed in seeds
    ]
    wanted = run_rung(artifact, "integer", STIMULUS).recording.spikes["p0"]
    found = run_chips(
        *(artifact, "circuit", STIMULUS, tuple(seeds)),
        populations=["p0"],
        conditions=(condition,),
        memory={},
    )
    works = [share == 1.0 for share in right]
    assert works == [one.recording.spikes["p0"] == wanted for one in found]
    assert set(works) == {False, True}


def test_chance_has_no_margins_without_a_gap() -> None:
    some = made(release=("0.9",))
    with pytest.raises(SpikecError, match="E1491") as caught:
        ProgramTolerance(request(some), load_process(TARGET))
    assert "--gap 0.5" in str(caught.value)


def test_a_gap_is_of_what_remembers_nothing_and_can_be_trimmed(artifact: Artifact) -> None:
    program = read_program(artifact)
    check_gap(program, None)
    check_gap(program, Gap(0.5))
    with pytest.raises(SpikecError, match=r"E0707: --trim .* none"):
        check_gap(program, Gap(0.5, trim=True))
    with pytest.raises(SpikecError, match=r"E1494.*remembers"):
        check_gap(synthesise(quantised(ordered())), Gap(0.5))


def test_synapses_have_a_supply_of_their_own() -> None:
    netlist = read_program(made(release=("0.9",))).netlist
    found = groups(netlist, "chip")
    own = [name for name in found["bias"] if name not in found["bias but synapse.Ib"]]
    assert own == [f"Ib|{i.name}" for i in netlist.instances if i.kind == "synapse"]
    # Both supplies together are the bias of the chip.
    assert tuple(own) == groups(netlist, "element")["synapse.Ib"]


def gapped(*conditions: str, gap: Gap, seed: int = 1) -> ProgramTolerance:
    """Of a neuron that fires with both lines, each through a synapse of 0.97."""
    asked = gap_request(made(release=("0.97",)), patterns(STIMULUS), gap, conditions, seed)
    return ProgramTolerance(asked, load_process(TARGET))


def test_the_margin_of_a_gap() -> None:
    """Its ends are where the gap is, and what is beyond them says between which rates."""
    tolerance = gapped("skew=5ps", gap=Gap(0.5, 24))
    ((found, below, above),) = tolerance.margins(["bias"], 0.3, 0.05)
    assert -0.3 < found.low < 0 < found.high and not found.open_low
    assert below.startswith("gap ") and "p0[0] at 11 fires with " in below
    assert bool(above) != found.open_high
    inside, beyond = tolerance.right([{"bias": 1 + found.low}, {"bias": 0.95 + found.low}]).tolist()
    assert inside >= 0.5 > beyond


def test_a_chip_has_the_gap_of_its_number() -> None:
    """With whatever chips beside it, and as the one whose corners are looked at."""
    gap, words = Gap(0.5, 12), ("spread=5%", "bias=0.95")
    found = gapped(*words, gap=gap).chips((3, 4, 5))
    assert gapped(*words, gap=gap, seed=9).chips((4,)) == found[1:2]
    alone = gapped(*words, gap=gap, seed=4).right([{}])
    assert alone.tolist() == [found[1].gap]
    assert len({one.gap for one in found}) > 1


class Half(Pulses):
    """Of every synapse half of the pulses pass; no neuron fires."""

    def counts(self, after: float = 0.0, sets: int = 1) -> npt.NDArray[np.int64]:
        return np.tile([8, 4], (sets, len(self.probes) // 2))


def test_chips_are_counted_at_nominal_bias_and_with_noise_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """At the corner they have 0.95 of it, and what their synapses were set to."""
    tolerance = gapped("spread=5%", "bias=0.95", gap=Gap(0.5, 12, 0.0, trim=True))
    ran: list[tuple[dict[str, Any], list[int]]] = []

    def run(
        self: Simulator, how: object, *, factors: dict[str, Any], watch: tuple[str, ...],
        seeds: list[int], **rest: Any,
    ) -> Any:  # fmt: skip
        ran.append((factors, seeds))
        none = np.zeros(0, np.int64)
        return SimpleNamespace(pulses=Half(watch, none, none, np.zeros(0), none))

    monkeypatch.setattr(Simulator, "run", run)
    # 20 sets a chip are counted: numbered from 0 on, those of the second were the first's orders.
    numbers = (1, 50_000)
    tolerance.chips(numbers)
    (counted, first), (tried, second) = ran
    assert len(first) == len(set(first)) == 2 * 20 and len(second) == len(set(second)) == 2 * 12
    assert not set(first) & set(second)
    program = tolerance._program
    nominal = Conditions.of(["spread=5%"]).chips(
        program.netlist.circuit({}), load_process(TARGET), numbers
    )
    others = groups(program.netlist, "chip")[CELLS]
    assert others and len(synapses(program)) == 2
    for name in others:
        each = nominal[name]
        assert counted[name][[0, 20]].tolist() == pytest.approx(each.tolist())
        assert tried[name][[0, 12]].tolist() == pytest.approx((0.95 * each).tolist())
    # Half passed at all currents: each is set to their middle and what 0.97 is above it.
    current = law().middle + law().sigma * (POINTS.mean() + ndtri(0.97))
    for one, synapse in synapses(program).items():
        name = f"{SOURCE}|{one}"
        wanted = 0.95 * nominal[name] * current / (of_the_cell() * synapse.factors[SOURCE])
        assert tried[name][[0, 12]].tolist() == pytest.approx(wanted.tolist(), rel=1e-4)
