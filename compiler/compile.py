"""Compilation: from an explicit graph to an artefact."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from ..boards.board import Target
from ..boards.machine import Machine
from ..ir.diagnostics import Diagnostics, Location, SpikecError, fail
from ..ir.events import Events, Stimulus
from ..ir.graph import Graph
from ..ir.neurons import LoihiATRLIF, LoihiDelta, LoihiNeuron, LoihiSigma
from ..ir.text import digest, text
from .artifact import Artifact
from .backend import Backend, Emission, Progress, check_options, no_progress
from .integer.executor import Executor
from .integer.population import spiking_populations
from .passes.base import Pass, run_pipeline
from .passes.legalise import Legalise
from .passes.loihi import LoihiNumbers, loihi_errors, tell_signs
from .passes.quantise import LayerError, Quantise, layer_errors
from .passes.relay import RelayDelays
from .passes.retime import Retime, output_shift

if TYPE_CHECKING:
    # The mapper's kernels are loaded where something is mapped: not every verb waits for them.
    from .mapping.axons import Axons
    from .mapping.map import Mapped
    from .mapping.seeds import Start

NETWORK, QUANTISED, MAPPING = "network.spk", "quantised.spk", "mapping.json"
EFFORTS = (0, 1, 2)
# What says that a network does not fit a machine: a limit, a delay, tables, keys.
_UNFIT: Final = frozenset({"E0302", "E0307", "E0315", "E0316"})


@dataclass(frozen=True)
class MappingOptions:
    """What a mapping depends on beside the network and the machine.

    ``start`` is whose first partition was refined. The rates were counted over ``samples`` of
    ``steps``; both are 0 where every source counts one.
    """

    effort: int
    seed: int
    start: Start
    samples: int
    steps: int

    @property
    def window(self) -> int | None:
        """Steps in which the rates were counted, ``None`` where they were not."""
        return self.samples * self.steps or None


@dataclass(frozen=True)
class Compilation:
    """Every stage of one compilation.

    ``source`` is the explicit graph, ``retimed`` the legal real one with lags and relays,
    ``quantised`` the integer one. For a target of several cores ``axons`` is what was mapped, with
    its rates, ``mapping`` the result, and ``mapping_options`` what it depends on, unless the
    backend has its own way to fill them.
    """

    source: Graph
    retimed: Graph
    quantised: Graph
    target: Target
    backend: str
    options: Quantise
    errors: tuple[LayerError, ...]
    emission: Emission
    diagnostics: Diagnostics = field(default_factory=Diagnostics)
    axons: Axons | None = None
    mapping: Mapped | None = None
    mapping_options: MappingOptions | None = None

    def manifest(self) -> dict[str, Any]:
        """The facts of this compilation, without files.

        Nothing here depends on how long anything took: the same input gives the same bytes.
        """
        facts = {
            "name": self.source.name,
            "backend": self.backend,
            "target": self.target.name,
            "dialect": self.source.dialect,
            "dt": self.source.dt,
            "source_digest": digest(self.source),
            "quantise": {k: _plain(v) for k, v in asdict(self.options).items()},
            "layers": [asdict(layer) for layer in self.errors],
            "output_shift": output_shift(self.quantised),
            "emission": dict(self.emission.facts),
            "diagnostics": [d.as_dict() for d in self.diagnostics],
        }
        if self.mapping is not None:
            from .mapping.to_json import mapping_facts

            options = {} if self.mapping_options is None else asdict(self.mapping_options)
            facts["mapping"] = options | mapping_facts(self.mapping, self.window, self.axons)
        return facts

    def artifact(self, more: Mapping[str, bytes] | None = None) -> Artifact:
        """The artefact, with ``more`` files (a report) in it."""
        files = {
            NETWORK: text(self.source).encode(),
            QUANTISED: text(self.quantised).encode(),
            **self._mapping_files(),
            **self.emission.files,
            **(more or {}),
        }
        return Artifact(files, self.manifest())

    def _mapping_files(self) -> dict[str, bytes]:
        if self.axons is None or self.mapping is None:
            return {}
        from .mapping.to_json import mapping_json

        return {MAPPING: mapping_json(self.axons, self.mapping, self.window)}

    @property
    def window(self) -> int | None:
        """Steps in which the rates of the mapping were counted, ``None`` where they were not."""
        return None if self.mapping_options is None else self.mapping_options.window


def pipeline(
    options: Quantise,
    target: Target | None = None,
    split_signs: bool = False,
    calibration: Stimulus | None = None,
    graph: Graph | None = None,
) -> list[Pass]:
    """The passes from an explicit graph to a quantised one, in the arithmetic of a target.

    ``split_signs`` and ``calibration`` are `LoihiNumbers`'. A ``graph`` that is in Loihi's
    arithmetic stays in it.
    """
    numbers: Pass = options
    if target is not None and _on_loihi(target, graph):
        numbers = LoihiNumbers(options.weight_bits, options.input_max, split_signs, calibration)
    return [Legalise(), Retime(), RelayDelays(), numbers]


def _on_loihi(target: Target, graph: Graph | None) -> bool:
    """Whether numbers are to be Loihi's: for its simulation, and for the chip if they are so."""
    if target.kind == "loihi" or graph is None or not target.loihi_words:
        return target.kind == "loihi"
    neurons = [population.neuron for population in graph.populations]
    return any(isinstance(neuron, LoihiNeuron) for neuron in neurons)


def compile_graph(
    graph: Graph,
    backend: Backend,
    target: Target,
    options: Quantise,
    backend_options: Mapping[str, Any] | None = None,
    *,
    found: Diagnostics | None = None,
    progress: Progress = no_progress,
    after: Callable[[str, Graph], None] | None = None,
    calibration: Stimulus | None = None,
) -> Compilation:
    """Compile ``graph`` for ``target``; raises ``SpikecError`` when it cannot be done exactly.

    A target that is a machine of cores is mapped to, with options ``effort`` (0 to 2) and
    ``start``, and the seed of ``options``; so is the machine ``chip`` in the options of a program
    that is simulated, and where that does not fit it is a warning (W0328). The spikes that each
    source sends under ``calibration`` are what packets are weighed by; without it every source
    counts one. What only targets of another kind have is E0707. ``input_max`` of ``options`` is no
    larger than what lines of the target count to.
    """
    check_options(target, backend_options or {})
    if target.kind == "program":
        raise fail(
            "E0304",
            f"'{target.name}' keeps real numbers, and nothing is quantised for it",
            hint="it is compiled by compile_program",
        )
    found = Diagnostics() if found is None else found
    stages: dict[str, Graph] = {}

    def keep(name: str, result: Graph) -> None:
        stages[name] = result
        progress(name, 1.0)
        if after is not None:
            after(name, result)

    if target.input_most is not None:
        options = replace(options, input_max=min(options.input_max, target.input_most))
    source = portable(graph)
    on_loihi = _on_loihi(target, source)
    if on_loihi:
        _check_formats(options, target)
    split_signs = bool((backend_options or {}).get("split_signs"))
    passes = pipeline(options, target, split_signs, calibration, source)
    quantised = run_pipeline(passes, source, target, found, keep)
    measure = loihi_errors if on_loihi else layer_errors
    errors = tuple(measure(stages[RelayDelays.NAME], quantised))
    if on_loihi:
        tell_signs(quantised, errors, found)
    every = {
        "input_max": options.input_max,
        "calibration": calibration,
        "found": found,
        **(backend_options or {}),
    }
    axons = mapped = mapping_options = None
    chip: Machine | None = every.get("chip")
    if every.get("synapses") and chip is None:
        raise fail("E0707", "--synapses says how a chip stores them", hint="give --chip, too")
    machine = target.machine or chip
    if machine is not None:
        from .mapping.map import map_network
        from .mapping.network import axons_of

        _check_width(options.weight_bits, target)
        mapping_options = _mapping_options(every, options.seed, calibration)
        rates = None if calibration is None else _rates(quantised, calibration, progress)
        wanted = every.get("synapses") or ""
        _check_models(quantised, machine)
        axons = axons_of(quantised, machine, options.weight_bits, rates, wanted)
        try:
            mapped = map_network(
                axons,
                machine,
                effort=mapping_options.effort,
                seed=mapping_options.seed,
                start=mapping_options.start,
                window=mapping_options.window,
                progress=progress,
                found=found,
            )
        except SpikecError as error:
            if chip is None or not _unfit(error):
                raise
            for one in error.diagnostics:
                found.add("W0328", one.message, one.where, one.hint)
            axons = mapping_options = None
        every["mapping"] = mapped
    emission = backend.emit(quantised, target, every, progress)
    if emission.mapping is not None:
        axons, mapped = emission.mapping
    return Compilation(
        source,
        stages[RelayDelays.NAME],
        quantised,
        target,
        backend.name,
        options,
        errors,
        emission,
        found,
        axons,
        mapped,
        mapping_options,
    )


def _check_models(graph: Graph, machine: Machine) -> None:
    """E0301 for neurons, or spikes with a value, that only a chip of programs for neurons has."""
    found = Diagnostics()
    for population in () if machine.programmable else graph.populations:
        neuron = population.neuron
        graded = isinstance(neuron, LoihiSigma | LoihiDelta)
        if graded or isinstance(neuron, LoihiATRLIF):
            what = "sends values" if graded else "takes its threshold off at a spike"
            found.add(
                "E0301",
                f"'{population.name}' {what}, which neurons of '{machine.name}' do not do",
                population.at,
                "Loihi 2 has such neurons: loihi2 in place of it",
            )
    found.raise_errors()


def _unfit(error: SpikecError) -> bool:
    """Whether all that is wrong is that the network is too large for the machine."""
    return {one.code for one in error.diagnostics if one.code[0] == "E"} <= _UNFIT


def _check_formats(options: Quantise, target: Target) -> None:
    """E0707 for options that Loihi leaves no choice of."""
    usual = Quantise(
        weight_bits=options.weight_bits, input_max=options.input_max, seed=options.seed
    )
    for name, value in asdict(options).items():
        if value != getattr(usual, name):
            option = "--" + name.replace("_", "-")
            raise fail(
                "E0707",
                f"'{target.name}' takes no {option}: Loihi's formats are what they are",
                hint=f"compile without {option}; --weight-bits is 2 to 8",
            )


def _check_width(weight_bits: int, target: Target) -> None:
    """E0402 for weights of more bits than the chip's have."""
    widest = None if target.machine is None else target.machine.encoding.widest
    if widest is not None and weight_bits > widest.value:
        raise fail(
            "E0402",
            f"a weight of '{target.name}' has {widest.value:g} bits at most "
            f"({widest.obtained}: {widest.source}), not {weight_bits}: "
            f"{weight_bits - widest.value:g} too many",
            hint=f"compile with --weight-bits {widest.value:g}",
        )


def _mapping_options(
    options: Mapping[str, Any], seed: int, calibration: Stimulus | None
) -> MappingOptions:
    """What the user said, else the usual."""
    effort = 1 if options.get("effort") is None else options["effort"]
    if effort not in EFFORTS:
        raise fail("E0707", f"--effort is 0, 1 or 2, not {effort}")
    counted = (0, 0) if calibration is None else (calibration.samples, calibration.steps)
    return MappingOptions(int(effort), seed, options.get("start") or "own", *counted)


def _rates(
    quantised: Graph, calibration: Stimulus, progress: Progress
) -> dict[str, npt.NDArray[np.int64]]:
    """Spikes of every neuron and line under a stimulus, by node; readouts send none."""
    spiking = spiking_populations(quantised)
    recording = Executor(quantised).run(
        calibration, populations=spiking, progress=lambda share: progress("rates", share)
    )
    rates = {p.name: np.zeros(p.size, np.int64) for p in quantised.populations}
    rates |= {name: _counts(recording.spikes[name]) for name in spiking}
    return rates | {name: _counts(events) for name, events in calibration.inputs.items()}


def _counts(events: Events) -> npt.NDArray[np.int64]:
    total = np.zeros(events.size, np.int64)
    np.add.at(total, events.index, events.value.astype(np.int64))
    return total


def portable(graph: Graph) -> Graph:
    """The graph with folders cut from its locations: the same in whichever folder it was read."""

    def cut(at: Location) -> Location:
        return at if at.file is None else replace(at, file=PurePath(at.file).name)

    return replace(
        graph,
        inputs=tuple(replace(n, at=cut(n.at)) for n in graph.inputs),
        populations=tuple(replace(n, at=cut(n.at)) for n in graph.populations),
        projections=tuple(replace(n, at=cut(n.at)) for n in graph.projections),
        outputs=tuple(replace(n, at=cut(n.at)) for n in graph.outputs),
    )


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, str) else value
