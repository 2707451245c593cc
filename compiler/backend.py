"""Backends: what a target family adds to the compiler, found through entry points.

A backend is one folder and one entry-point line in the group ``spikec.backends``; the line names
a ``Backend``. Importing it must be cheap: heavy packages are imported when a rung or an emission
needs them, and ``requirements`` says which are missing.
"""

from __future__ import annotations

import difflib
import importlib.metadata
import importlib.util
from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from ..boards.board import Target
from ..boards.table import BoardError, did_you_mean
from ..ir.diagnostics import Diagnostic, Location, SpikecError, fail
from ..ir.events import Recording, Stimulus
from ..ir.graph import Graph
from .artifact import Artifact
from .pulses import PulseCheck

if TYPE_CHECKING:
    # The mapper's kernels are loaded where something is mapped: not every verb waits for them.
    from .mapping.axons import Axons
    from .mapping.map import Mapped
    from .profile.circuit import CircuitProfile
    from .profile.distortion import CoSimulated
    from .profile.profile import Profile

GROUP = "spikec.backends"
Progress = Callable[[str, float], None]

# What only targets of one kind can be asked for, and how it is said on the command line.
_OPTIONS: Final[Mapping[str, Mapping[str, str]]] = {
    "fpga": {
        "lanes": "--lanes",
        "units": "--units",
        "core": "--core",
        "cores": "--cores",
        "cycles": "--cycles",
        "step_time": "--step-time",
        "activity": "--activity",
        "clock_hz": "--clock",
        "parity": "--parity",
        "link": "--link",
        "placements": "--placements",
    },
    "chip": {"effort": "--effort", "start": "--start"},
    "loihi": {"split_signs": "--split-signs", "chip": "--chip", "synapses": "--synapses"},
    "crossbar": {"conditions": "--condition"},
    "sfq": {"release": "--release"},
}
_KINDS: Final = {
    "fpga": "board",
    "chip": "chip",
    "loihi": "target in Loihi's arithmetic",
    "crossbar": "crossbar",
    "sfq": "SFQ process",
}


def no_progress(stage: str, share: float) -> None:
    """Progress that nobody watches."""


@dataclass(frozen=True)
class Requirement:
    """Something a backend needs from the environment, and how to get it.

    What only few want is ``optional``: nothing else is worse without it.
    """

    name: str
    purpose: str
    found: str | None
    mend: str
    optional: bool = False


@dataclass(frozen=True)
class Emission:
    """What a backend adds to an artefact: files, facts for the manifest, parts of the report.

    ``mapping`` is what it put where, for a target of several cores that it fills itself.
    """

    files: Mapping[str, bytes]
    facts: Mapping[str, Any]
    report: Mapping[str, Any]
    mapping: tuple[Axons, Mapped] | None = None


@dataclass(frozen=True)
class Run:
    """A request to run one rung of an artefact; ``learning`` is its phase, if it learns.

    ``pace`` asks for the hardware's own pace besides its cycles, ``pulses`` for all pulses of a
    circuit beside the event-level model of its cells. ``conditions`` are ``KEY=VALUE``
    under which analogue hardware runs. ``memory`` is where the backend leaves, for further runs of
    this artefact, what they need again; it changes no result.
    """

    artifact: Artifact
    stimulus: Stimulus
    populations: tuple[str, ...]
    record: tuple[tuple[str, str], ...] = ()
    seed: int = 1
    progress: Progress = no_progress
    learning: bool = True
    pace: bool = False
    pulses: bool = False
    conditions: tuple[str, ...] = ()
    memory: MutableMapping[Any, Any] | None = None


@dataclass(frozen=True)
class Outcome:
    """What a rung gave: the recording, and cycles where the rung counts them.

    ``cycles`` maps a phase to cycles of shape (samples, steps of the hardware); ``clock_hz`` is
    the clock they are counted in. ``pace``, where the rung was asked for it and knows it, has the
    cycles that they take if each step finds its events at hand, (samples, 1 + steps): the first
    step's events, then each step with the events of the next.
    ``link_seconds`` is what the link to the hardware takes for all samples at least. ``told`` is
    what there is to say of the hardware under the conditions of this run. ``pulses``, where they
    were asked for and there are any, are those of the circuit beside its event-level model.
    """

    recording: Recording
    cycles: Mapping[str, npt.NDArray[np.int64]] = field(default_factory=dict)
    clock_hz: float | None = None
    pace: npt.NDArray[np.int64] | None = None
    link_seconds: float | None = None
    told: tuple[Diagnostic, ...] = ()
    pulses: PulseCheck | None = None


@runtime_checkable
class Backend(Protocol):
    """A target family."""

    @property
    def name(self) -> str:
        """Its entry-point name."""
        ...

    @property
    def rungs(self) -> tuple[str, ...]:
        """The rungs it runs; an artefact of its targets offers them besides the common ones."""
        ...

    def targets(self) -> Sequence[Target]:
        """The targets it emits for."""
        ...

    def requirements(self) -> Sequence[Requirement]:
        """What it needs from the environment."""
        ...

    def emit(
        self, graph: Graph, target: Target, options: Mapping[str, Any], progress: Progress
    ) -> Emission:
        """The target's files for a quantised, retimed graph."""
        ...

    def run(self, rung: str, run: Run) -> Outcome:
        """Run one of ``rungs``."""
        ...


@dataclass(frozen=True)
class Deployment:
    """A request to talk to a board that holds an artefact.

    ``port`` is a serial port, ``spi:`` and a device file, or ``sim`` for a simulated board.
    ``program`` sends the bitstream first, ``load`` writes the network over the wire. A network that
    learns goes on from the weights that the board has, unless ``learning`` is off. Without a
    stimulus only the board's identity and, with ``status``, its counters are asked for.
    """

    artifact: Artifact
    port: str
    stimulus: Stimulus | None = None
    populations: tuple[str, ...] = ()
    program: bool = False
    load: bool = False
    status: bool = False
    baud: int | None = None
    progress: Progress = no_progress
    learning: bool = True


@dataclass(frozen=True)
class Deployed:
    """What a board did (None without a stimulus), and what it and the wire say of themselves."""

    outcome: Outcome | None
    facts: Mapping[str, Any]


@runtime_checkable
class Deployer(Protocol):
    """A backend whose targets can be plugged in."""

    def deploy(self, request: Deployment) -> Deployed:
        """Program, connect, run."""
        ...


@dataclass(frozen=True)
class ProfileRequest:
    """A request to say what a stimulus takes of the hardware, before there is any.

    ``model`` names one of the cost models of its chip, ``None`` the usual one. ``tick`` is the
    length of a step in seconds where that is not the hardware's own. ``cooling`` is W at room
    temperature for each W in the cold, where that is not the process's.
    """

    artifact: Artifact
    stimulus: Stimulus
    model: str | None = None
    tick: float | None = None
    cooling: float | None = None
    progress: Progress = no_progress


@dataclass(frozen=True)
class CoSimulationRequest:
    """A request to let spikes arrive when the interconnect delivers them.

    ``tick`` is the length of a step in seconds; ``None``: the chip's own, or until all packets have
    arrived where steps wait. The interconnect is ``slower`` by this factor; with 0 packets take no
    time. ``populations`` are recorded.
    """

    artifact: Artifact
    stimulus: Stimulus
    populations: tuple[str, ...]
    model: str | None = None
    tick: float | None = None
    slower: float = 1.0
    progress: Progress = no_progress


@runtime_checkable
class Profiler(Protocol):
    """A backend that knows what its targets' work costs.

    ``profile_options`` are those of the verb's options that mean something for its targets, of
    ``--model``, ``--tick``, ``--cooling`` and ``--trace``.
    """

    @property
    def profile_options(self) -> tuple[str, ...]:
        """Options of ``spikec profile`` that only some targets take."""
        ...

    def profile(self, request: ProfileRequest) -> Profile | CircuitProfile:
        """Counts, energy and time of every step; E0326 where the model is none of the chip's."""
        ...


@runtime_checkable
class CoSimulator(Protocol):
    """A backend whose targets have an interconnect that can be simulated."""

    def cosimulate(self, request: CoSimulationRequest) -> CoSimulated:
        """The spikes, and what their way does to them; E0326 as `profile`, E0327 without a net."""
        ...


@dataclass(frozen=True)
class Condition:
    """One condition that hardware is run under, as words for programs and for people.

    ``name=text`` says it again, the same for the same value however it was said; ``shown`` is its
    value as a person reads it. ``number`` is what a figure draws it at, ``None`` where it is none,
    on an axis of this ``title`` (with its unit), which may be ``logarithmic``.
    """

    name: str
    text: str
    shown: str
    number: float | None
    title: str
    logarithmic: bool = False

    @property
    def word(self) -> str:
        """``KEY=VALUE``."""
        return f"{self.name}={self.text}"


def key_value(word: str, names: Iterable[str], code: str, of: str = "") -> tuple[str, str]:
    """The name, one of ``names``, and the value's text of a condition said as ``KEY=VALUE``.

    ``code`` for what is none; ``of`` says of what.
    """
    known = tuple(names)
    name, equals, value = (part.strip() for part in word.partition("="))
    name = name.replace("-", "_")
    if not equals or name not in known:
        close = f": '{name}' {did_you_mean(name, known)}" if equals else ""
        hint = f"KEY=VALUE with one of {', '.join(known)}"
        raise fail(code, f"'{word}' is no condition{of}{close}", hint=hint)
    return name, value


def no_value(name: str, value: str, code: str, takes: str) -> SpikecError:
    """The error of a condition's value, which ``takes`` something else."""
    return fail(code, f"'{value}' is no value of {name}", hint=f"it takes {takes}")


@runtime_checkable
class Analogue(Protocol):
    """A backend with rungs that are another chip with each seed, and depend on conditions."""

    @property
    def chips(self) -> tuple[str, ...]:
        """Those of its rungs, the usual one first."""
        ...

    @property
    def drawn(self) -> tuple[str, ...]:
        """Conditions that chips beside each other have unless said otherwise: they differ by it."""
        ...

    def conditions(self, artifact: Artifact, words: Sequence[str]) -> tuple[Condition, ...]:
        """What each of the words says, in their order.

        E1320 or E1490 for words that are none, E1310 where nothing is known of an artefact under
        all of them together. Cheap: nothing is mapped.
        """
        ...


@runtime_checkable
class Batched(Protocol):
    """A backend that runs many chips of an artefact at once for less than one by one."""

    def run_chips(self, rung: str, run: Run, seeds: Sequence[int]) -> Sequence[Outcome]:
        """What `run` gives with each of the seeds, whatever the others are."""
        ...


def find_analogue(artifact: Artifact) -> tuple[Analogue, str]:
    """The backend of an artefact and the rung of its chips; E0306 where it has none."""
    backend = backend_of(artifact)
    if not isinstance(backend, Analogue):
        raise fail(
            "E0306",
            f"'{artifact.manifest.get('target')}' is the same on every chip: nothing of it is "
            "drawn",
            hint="compile for a crossbar or for SFQ circuits ('spikec targets'), whose elements "
            "differ from chip to chip",
        )
    return backend, backend.chips[0]


@dataclass(frozen=True)
class Margin:
    """How far a value may be off, parts of the nominal one: -0.2 and 0.3 for 80 to 130 %.

    Values between ``low`` and ``high`` passed wherever they were tried, and beyond them fail within
    the resolution; ``open_low`` and ``open_high`` say that nothing failed as far as was tried.
    """

    low: float
    high: float
    open_low: bool = False
    open_high: bool = False

    @property
    def least(self) -> float:
        """The smaller of the two distances."""
        return min(-self.low, self.high)


@dataclass(frozen=True)
class Gap:
    r"""What works where chance has a part: the rates of spikes are apart by ``least`` or more.

    .. math:: g = \min_{k \in 1} r_k - \max_{k \in 0} r_k

    over inputs of a step and neurons, 1 those at which the integer rung has a spike; `gap` has all
    of it. Rates are of ``orders`` in which all inputs come, or of fewer where those decide, by
    mistake with a probability of at most ``error``. With ``trim`` the synapses of each chip are
    counted and set first.
    """

    least: float
    orders: int = 100
    error: float = 0.05
    trim: bool = False


@dataclass(frozen=True)
class RateGap:
    """The gap of one circuit after so many ``orders``; ``sure`` where those decide."""

    gap: float
    orders: int
    sure: bool


@dataclass(frozen=True)
class ToleranceRequest:
    """A request to say how far a circuit's values may be off before its spikes are others.

    ``wanted`` is the integer rung's recording of the stimulus. ``conditions`` and ``seed`` are as
    `Run` has them: what is off besides. With a ``gap`` samples of the stimulus are single steps,
    the inputs between which it is.
    """

    artifact: Artifact
    stimulus: Stimulus
    wanted: Recording
    conditions: tuple[str, ...] = ()
    seed: int = 1
    gap: Gap | None = None


class Tolerance(Protocol):
    """A circuit under a stimulus; ``titles`` are of groups of elements that are off together."""

    def margins(
        self, titles: Sequence[str], reach: float, resolution: float
    ) -> Sequence[tuple[Margin, str, str]]:
        """The margin of each group, and what goes wrong first below and above it.

        E1424 where the circuit fails as it is.
        """
        ...

    def right(self, corners: Sequence[Mapping[str, float]]) -> npt.NDArray[np.float64]:
        """The share of samples whose spikes are all as wanted, at each corner; or the gap.

        A corner has factors by titles of groups, and values of conditions.
        """
        ...

    def chips(self, numbers: Sequence[int]) -> Sequence[RateGap]:
        """The gap of each of these chips, whatever the others are; of a request with a gap."""
        ...


@runtime_checkable
class Tolerant(Protocol):
    """A backend whose hardware is circuits of elements with margins."""

    def groups(self, artifact: Artifact, by: str) -> Mapping[str, int]:
        """Elements in each group by its title; ``by`` is one of ``GROUPINGS``."""
        ...

    def check_gap(self, artifact: Artifact, gap: Gap | None) -> None:
        """E1491 where chance decides and there is no gap, E1494 for a gap of what has none.

        E0707 for a trim of a circuit that has nothing to be trimmed.
        """
        ...

    def tolerance(self, request: ToleranceRequest) -> Tolerance:
        """The circuit beside what it should send; codes as `check_gap`."""
        ...


# All of a kind on the chip; those of each kind of cell besides; each element of such a cell; each
# element of each instance.
GROUPINGS: Final = ("chip", "cell", "element", "instance")


def find_tolerant(artifact: Artifact) -> Tolerant:
    """The backend of an artefact, if its circuits have margins; E0306 otherwise."""
    backend = backend_of(artifact)
    if not isinstance(backend, Tolerant):
        raise fail(
            "E0306",
            f"'{artifact.manifest.get('target')}' has no circuits of elements with margins",
            hint="compile for SFQ circuits ('spikec targets')",
        )
    return backend


@runtime_checkable
class Installer(Protocol):
    """A backend that can make what it needs, under the names ``installs``."""

    @property
    def installs(self) -> tuple[str, ...]:
        """What ``spikec doctor --install`` takes."""
        ...

    def install(self, name: str, tell: Callable[[str], None]) -> Path:
        """Make it, unless it is there; where it is. E0602 where that cannot be done."""
        ...


def find_installer(name: str) -> Installer:
    """The backend that installs ``name``; E0707 with the names there are."""
    found: list[Any] = [b for b in backends().values() if isinstance(b, Installer)]
    for backend in found:
        if name in backend.installs:
            installer: Installer = backend
            return installer
    known = ", ".join(sorted(n for b in found for n in b.installs)) or "nothing"
    raise fail("E0707", f"'{name}' is nothing that spikec installs", hint=f"it installs: {known}")


def find_profiler(artifact: Artifact) -> Profiler | None:
    """The backend that knows what an artefact's target costs, if it does."""
    backend = backend_of(artifact)
    return backend if isinstance(backend, Profiler) else None


def find_cosimulator(artifact: Artifact) -> CoSimulator | None:
    """The backend that simulates the interconnect of an artefact's target, if it does."""
    backend = backend_of(artifact)
    return backend if isinstance(backend, CoSimulator) else None


def find_deployer(artifact: Artifact) -> Deployer:
    """The backend that talks to boards of an artefact; E0306 if it has none."""
    backend = backend_of(artifact)
    if not isinstance(backend, Deployer):
        raise fail(
            "E0306",
            f"target '{artifact.manifest.get('target')}' is no board to deploy to",
            hint="compile for a board: 'spikec targets'",
        )
    return backend


def backend_of(artifact: Artifact) -> Any:
    """The backend that emitted an artefact, `None` where it is not installed."""
    return backends().get(str(artifact.manifest.get("backend", "")))


def backends() -> dict[str, Backend]:
    """All installed backends by name, sorted."""
    found = {}
    for point in sorted(importlib.metadata.entry_points(group=GROUP), key=lambda p: p.name):
        found[point.name] = point.load()
    return found


def check_options(target: Target, options: Mapping[str, Any]) -> None:
    """Raise E0707 for an option that only targets of another kind have."""
    # Of a board's cores 1 says nothing, and None as many as are best.
    said = dict(options) | {"cores": None if options.get("cores", 1) == 1 else "said"}
    for kind, words in _OPTIONS.items():
        for name, option in words.items():
            # False is a switch that is off, but 0 an effort.
            value = said.get(name)
            if kind == "chip" and target.kind == "loihi" and said.get("chip") is not None:
                continue
            if kind != target.kind and value is not None and value is not False:
                raise fail(
                    "E0707",
                    f"'{target.name}' is no {_KINDS[kind]}: it takes no {option}",
                    hint=f"compile without {option}, or for a {_KINDS[kind]} ('spikec targets')",
                )


@runtime_checkable
class FileTargets(Protocol):
    """A backend that reads targets from files of the user's own."""

    def read_target(self, path: Path) -> Target:
        """The target that a file describes; ``BoardError`` where it is wrong."""
        ...


def _own_target(path: Path) -> tuple[Backend, Target]:
    """The backend that reads a target from a file, and the target; E0305 where it is wrong."""
    for backend in backends().values():
        if isinstance(backend, FileTargets):
            try:
                return backend, backend.read_target(path)
            except BoardError as error:
                key = error.where.removeprefix(str(path)).removeprefix(": ")
                message = f"{key}: {error.message}" if key else error.message
                raise fail("E0305", message, Location(str(path)), error.hint or None) from None
    raise fail("E0304", "no installed backend reads targets from files", Location(str(path)))


def find_target(name: str) -> tuple[Backend, Target]:
    """The backend and target of this name, or of the file of a chip (``.toml``).

    E0304 with the nearest names where there is none, E0305 for a file that is wrong.
    """
    if name.endswith(".toml"):
        return _own_target(Path(name))
    known: dict[str, tuple[Backend, Target]] = {}
    for backend in backends().values():
        for target in backend.targets():
            known[target.name] = (backend, target)
    if name not in known:
        near = sorted(difflib.get_close_matches(name, known, n=3, cutoff=0.75))
        near = near or difflib.get_close_matches(name, known, n=1)
        meant = " or ".join(f"'{one}'" for one in near)
        hint = f"did you mean {meant}?" if near else f"known: {', '.join(sorted(known))}"
        raise fail("E0304", f"there is no target '{name}'", hint=hint)
    return known[name]


def find_rung(name: str, owner: str) -> Backend:
    """The backend that runs rung ``name`` for artefacts of backend ``owner``; E0306 otherwise."""
    installed = backends()
    if owner in installed and name in installed[owner].rungs:
        return installed[owner]
    for backend in installed.values():
        if name in backend.rungs and not backend.targets():
            return backend
    offered = rungs_of(owner)
    raise fail(
        "E0306",
        f"this artefact has no rung '{name}'",
        hint=f"it has: {', '.join(offered)}",
    )


def rungs_of(owner: str) -> tuple[str, ...]:
    """The rungs of artefacts of backend ``owner``, from the top of the ladder down."""
    installed = backends()
    common = [r for b in installed.values() if not b.targets() for r in b.rungs]
    own = installed[owner].rungs if owner in installed else ()
    targets = installed[owner].targets() if owner in installed else ()
    # A program keeps real numbers.
    integer = () if targets and all(t.kind == "program" for t in targets) else ("integer",)
    return tuple(dict.fromkeys([*common, *integer, *own]))


def installed_version(package: str) -> str | None:
    """The version of an installed distribution, ``None`` when it is absent."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def need(module: str, extra: str, purpose: str) -> None:
    """Raise E0601 unless ``module`` can be imported."""
    if importlib.util.find_spec(module) is None:
        raise fail(
            "E0601",
            f"{purpose} needs the package '{module}'",
            hint=f"pip install 'spikec[{extra}]'",
        )
