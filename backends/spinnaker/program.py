"""The text of a PyNN program: one script that builds a network, runs it and records spikes."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from ...ir.plasticity import Dependence
from .cells import MILLI, Cell
from .checks import delay_slots, delay_stages, neurons_per_core, scales
from .model import Network
from .simulators import SIMULATORS, SPINNAKER
from .synapses import Rule, Synapses

SCRIPT, DATA, STIMULUS, README = "network.py", "network.npz", "stimulus.npz", "README.md"

_WIDTH: Final = 99

_HEAD: Final = '''\
"""{title}

    python network.py {simulators} [--out recording.npz] [--stimulus stimulus.npz]

Needs PyNN 0.13, numpy and the simulator. README.md says what is in this folder.
"""

import argparse
import importlib
import sys
from pathlib import Path

import numpy as np
from pyNN.parameters import Sequence

HERE = Path(__file__).resolve().parent
DT = {dt}  # ms
MODULES = {{
{modules}
}}
'''

_TIMING: Final = '''

def refractory(simulator, steps):
    """tau_refrac (ms) that holds a membrane for so many steps: Brian2 counts that of the spike."""
    return DT * (steps + (simulator == "brian2" and steps > 0))


def setup(sim, simulator):
    """A fresh simulation with steps of DT."""
    options = {}
    if simulator == "brian2":
        import brian2

        brian2.prefs.codegen.target = "numpy"  # needs no compiler
    if simulator == "nest":
        options["spike_precision"] = "on_grid"  # spikes are in steps, as everywhere else
    sim.setup(timestep=DT, min_delay=DT, **options)
'''

_TRAINS: Final = '''

def trains(simulator, stimulus, name, size, sample):
    """When each of the sources of an input spikes, in ms."""
    chosen = stimulus[f"{name}.sample"] == sample
    step, index = stimulus[f"{name}.step"][chosen], stimulus[f"{name}.index"][chosen]
    if (stimulus[f"{name}.value"][chosen] != 1).any():
        sys.exit(f"input {name!r}: a source of PyNN spikes at most once in a step")
    if simulator == "nest":
        if (step == 0).any():
            sys.exit(f"input {name!r}: NEST sends no spike in the first step of a run")
        # NEST stamps a spike with the end of its step, and rounds a time up to the next one.
        step = step + 1 - 1e-5
    times = [step[index == source] * DT for source in range(size)]
    if size == 1:
        return list(times[0])
    return [list(t) if simulator == "spinnaker" else Sequence(t) for t in times]
'''

_CURRENTS: Final = '''

def inject(sim, cells, stimulus, name, line, sample, factor):
    """Inject into cells what a line of an input holds; one unit of it is so many nA."""
    chosen = (stimulus[f"{name}.sample"] == sample) & (stimulus[f"{name}.index"] == line)
    current = np.zeros(int(stimulus["steps"]) + 1)
    current[stimulus[f"{name}.step"][chosen]] = stimulus[f"{name}.value"][chosen] * factor
    begins = np.flatnonzero(np.diff(current, prepend=0.0))
    if begins.size:
        source = sim.StepCurrentSource(times=begins * DT, amplitudes=current[begins])
        source.inject_into(cells)
'''

_CONNECT: Final = '''

def connect(sim, cells, data, name, pre, post, receptor, synapse):
    """A projection whose synapses are rows of data: pre, post, weight, delay in steps."""
    rows = data[f"synapses/{name}"].copy()
    rows[:, 3] *= DT
    columns = ["weight", "delay", *data.get(f"columns/{name}", [])]
    connector = sim.FromListConnector(rows, column_names=columns)
    return sim.Projection(
        cells[pre], cells[post], connector, synapse, receptor_type=receptor, label=name
    )
'''

_RULE: Final = '''

def stdp(
    sim, simulator, weights, a_plus, a_minus, tau_plus, tau_minus, w_min, w_max,
    dendritic_delay_fraction,
):
    """Pair STDP; amplitudes are shares of w_max, but to sPyNNaker additive ones are weights."""
    share = w_max if simulator == "spinnaker" and weights == "AdditiveWeightDependence" else 1.0
    return sim.STDPMechanism(
        timing_dependence=sim.SpikePairRule(
            tau_plus=tau_plus, tau_minus=tau_minus, A_plus=a_plus * share, A_minus=a_minus * share
        ),
        weight_dependence=getattr(sim, weights)(w_min=w_min, w_max=w_max),
        dendritic_delay_fraction=dendritic_delay_fraction,
    )
'''

_SPIKES: Final = '''

def spikes_of(simulator, cells, steps):
    """Step and neuron of every spike, in order."""
    late = 1 if simulator == "nest" else 0  # NEST stamps a spike with the end of its step
    step, index = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for train in cells.get_data("spikes").segments[0].spiketrains:
        found = np.rint(train.rescale("ms").magnitude / DT).astype(np.int64) - late
        step.append(found)
        index.append(np.full(found.size, int(train.annotations["source_index"])))
    step, index = np.concatenate(step), np.concatenate(index)
    order = np.lexsort((index, step))
    step, index = step[order], index[order]
    return step[step < steps], index[step < steps]
'''

_LEARNED: Final = '''

def learned(projection, rows):
    """The weights of a projection, in the order of its rows."""
    matrix = projection.get("weight", format="array")
    pre, post = rows[:, 0].astype(int), rows[:, 1].astype(int)
    return matrix[pre, post]
'''

_MAIN: Final = """

def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("simulator", choices=sorted(MODULES))
    parser.add_argument("--stimulus", type=Path, default=HERE / "stimulus.npz")
    parser.add_argument("--out", type=Path, help="write what was recorded, as an .npz")
    arguments = parser.parse_args()
    simulator = arguments.simulator
    if simulator in REFUSED:
        sys.exit(f"{{simulator}} cannot run this network: {{REFUSED[simulator]}}")
    if not arguments.stimulus.exists():
        sys.exit(f"there is no {{arguments.stimulus}}: name a stimulus with --stimulus")
    sim = importlib.import_module(MODULES[simulator])
    with np.load(HERE / "network.npz", allow_pickle=False) as file:
        data = dict(file)
    with np.load(arguments.stimulus, allow_pickle=False) as file:
        stimulus = dict(file)
    samples, steps = int(stimulus["samples"]), int(stimulus["steps"])
    found = {{name: [] for name in SIZES}}
    for sample in range(samples):
        setup(sim, simulator)
        cells, projections = build(sim, simulator, data, stimulus, sample)
        for name in SIZES:
            cells[name].record("spikes")
        sim.run(steps * DT)
        for name in SIZES:
            step, index = spikes_of(simulator, cells[name], steps)
            found[name].append((np.full(step.size, sample), step, index))
{learn}        sim.end()
    recording = {{"rung": simulator, "dt": {dt}}}
    seconds = samples * steps * DT / 1000
    for name, size in SIZES.items():
        sample, step, index = (np.concatenate(part) for part in zip(*found[name]))
        recording[f"spikes/{{name}}/shape"] = [samples, steps, size]
        for column, values in (("sample", sample), ("step", step), ("index", index)):
            recording[f"spikes/{{name}}/{{column}}"] = values.astype(np.int32)
        recording[f"spikes/{{name}}/value"] = np.ones(step.size, np.int64)
        print(f"{{name}}: {{step.size}} spikes, {{step.size / size / seconds:.2f}} Hz a neuron")
{weights}    if arguments.out:
        np.savez_compressed(arguments.out, **recording)
        print(f"wrote {{arguments.out}}")


if __name__ == "__main__":
    main()
"""


def _number(value: float) -> str:
    return repr(float(value))


def _numbers(values: Any, key: str, data: dict[str, Any]) -> str:
    """A number, or where the array of them is in the data."""
    array = np.asarray(values)
    if array.ndim == 0:
        return _number(float(array))
    data[key] = array.astype(np.float64)
    return f"data[{_quoted(key)}]"


def _quoted(name: str) -> str:
    text = ascii(name)
    return f'"{text[1:-1]}"' if text[0] == "'" and '"' not in text else text


def _wrapped(words: str) -> str:
    """A string on lines of its own."""
    lines = textwrap.wrap(words, _WIDTH - 14, drop_whitespace=False, break_on_hyphens=False)
    return "(\n" + "".join(f"        {_quoted(line)}\n" for line in lines) + "    )"


def script(network: Network, refused: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
    """The program, and the arrays that it reads from ``network.npz``.

    ``refused`` says of each simulator that cannot run the network why.
    """
    data: dict[str, Any] = {}
    graph = network.graph
    dt = graph.dt / MILLI
    dt = float(f"{dt:.12g}")
    parts = [
        _HEAD.format(
            title=title(network),
            simulators="|".join(SIMULATORS),
            dt=_number(dt),
            modules="\n".join(f'    "{s.name}": "{s.module}",' for s in SIMULATORS.values()),
        )
    ]
    parts.append("# Simulators that cannot run this network, and why.\n")
    if refused:
        rows = "".join(f"    {_quoted(k)}: {_wrapped(v)},\n" for k, v in refused.items())
        parts.append(f"REFUSED = {{\n{rows}}}\n")
    else:
        parts.append("REFUSED = {}\n")
    rows = "".join(f"    {_quoted(p.name)}: {p.size},\n" for p in graph.populations)
    parts.append(
        f"# Populations that are recorded, and how many neurons they have.\nSIZES = {{\n{rows}}}\n"
    )
    learning = [s for s in network.synapses if s.rule is not None]
    if learning:
        rows = "".join(
            f"    {_quoted(s.name)}: ({s.shape}, {_number(s.unit)}),\n" for s in learning
        )
        parts.append(
            "# Projections that learn: the shape that weights are written in, and their unit.\n"
            f"LEARNING = {{\n{rows}}}\n"
        )
    if SPINNAKER not in refused:
        parts.append(_cores(network))
    parts.append(_TIMING)
    if network.sources:
        parts.append(_TRAINS)
    if network.injections:
        parts.append(_CURRENTS)
    parts.append(_CONNECT)
    if learning:
        parts.append(_RULE)
    parts.append(_build(network, data, SPINNAKER not in refused))
    parts.append(_SPIKES)
    if learning:
        parts.append(_LEARNED)
    learn = weights = ""
    if learning:
        learn = (
            "        for name in LEARNING:  # the next sample goes on from here\n"
            '            rows = data[f"synapses/{name}"]\n'
            "            rows[:, 2] = learned(projections[name], rows)\n"
        )
        weights = (
            "    for name, (shape, unit) in LEARNING.items():\n"
            '        values = data[f"synapses/{name}"][:, 2] * unit\n'
            '        recording[f"weights/{name}"] = values.reshape(1, *shape)\n'
        )
    parts.append(_MAIN.format(dt=_number(graph.dt), learn=learn, weights=weights))
    return "".join(parts), data


def title(network: Network) -> str:
    """One line that says what the network is."""
    graph = network.graph
    synapses = sum(s.weight.size for s in network.synapses)
    name = graph.name.encode("ascii", "replace").decode().replace('"', "'").replace("\\", "/")
    return (
        f"{name}: {len(graph.populations)} populations, {graph.neurons:,} neurons, "
        f"{synapses:,} synapses."
    )


def _cores(network: Network) -> str:
    rows = "".join(
        f"    {_quoted(name)}: {neurons_per_core(network, name)},\n" for name in network.cells
    )
    return f"# SpiNNaker: how many neurons one core takes.\nNEURONS_PER_CORE = {{\n{rows}}}\n"


def _build(network: Network, data: dict[str, Any], cores: bool) -> str:
    lines = [
        "",
        "",
        "def build(sim, simulator, data, stimulus, sample):",
        '    """The populations and the projections, by name."""',
        "    cells, projections = {}, {}",
    ]
    for name in network.sources:
        size = network.graph.node(name).size
        lines += [
            f"    cells[{_quoted(name)}] = sim.Population(",
            f"        {size},",
            "        sim.SpikeSourceArray(",
            "            spike_times="
            f"trains(simulator, stimulus, {_quoted(name)}, {size}, sample),",
            "        ),",
            f"        label={_quoted(name)},",
            "    )",
        ]
    for name, cell in network.cells.items():
        lines += _population(name, cell, data)
    if cores:
        lines += [
            '    if simulator == "spinnaker":',
            "        for name, count in NEURONS_PER_CORE.items():",
            "            cells[name].set_max_atoms_per_core(count)",
        ]
    for synapses in network.synapses:
        lines += _projection(synapses, data)
    for injection in network.injections:
        source = injection.source
        post = injection.post
        size = network.graph.population(source.post).size
        key = f"cells/{source.name}/{injection.line}/{injection.factor!r}"
        chosen = ""
        if post.size == 1 < size:
            chosen = f"[{int(post[0])} : {int(post[0]) + 1}]"
        elif post.size < size:
            data[key] = post
            chosen = f"[data[{_quoted(key)}]]"
        lines += [
            "    inject(",
            "        sim,",
            f"        cells[{_quoted(source.post)}]{chosen},",
            "        stimulus,",
            f"        {_quoted(source.pre)},",
            f"        line={injection.line},",
            "        sample=sample,",
            f"        factor={_number(injection.factor)},",
            "    )",
        ]
    lines.append("    return cells, projections")
    return "\n".join(lines) + "\n"


def _population(name: str, cell: Cell, data: dict[str, Any]) -> list[str]:
    lines = [
        f"    cells[{_quoted(name)}] = sim.Population(",
        f"        {cell.population.size},",
        f"        sim.{cell.name}(",
    ]
    for parameter, value in cell.parameters.items():
        written = _numbers(value, f"parameters/{name}/{parameter}", data)
        lines.append(f"            {parameter}={written},")
    if cell.refractory is not None:
        lines.append(f"            tau_refrac=refractory(simulator, {cell.refractory}),")
    lines.append("        ),")
    started = [
        f'"{variable}": {_numbers(value, f"initial/{name}/{variable}", data)}'
        for variable, value in cell.initial.items()
    ]
    lines += [
        f"        initial_values={{{', '.join(started)}}},",
        f"        label={_quoted(name)},",
        "    )",
    ]
    return lines


def _projection(synapses: Synapses, data: dict[str, Any]) -> list[str]:
    source = synapses.source
    columns = [synapses.pre, synapses.post, synapses.weight, synapses.steps]
    rows = np.stack([np.asarray(c, np.float64) for c in columns], axis=1)
    if synapses.short_term is not None:
        data[f"columns/{synapses.name}"] = np.array(list(synapses.short_term))
        more = [
            np.broadcast_to(values, synapses.weight.shape)
            for values in synapses.short_term.values()
        ]
        rows = np.column_stack([rows, *more])
    data[f"synapses/{synapses.name}"] = rows
    name, pre, post, receptor = (
        _quoted(word) for word in (synapses.name, source.pre, source.post, synapses.receptor)
    )
    synapse = _synapse(synapses)
    head = f"    projections[{name}] = connect("
    if len(synapse) == 1:
        short = f"{head}sim, cells, data, {name}, {pre}, {post}, {receptor}, {synapse[0]})"
        if len(short) <= _WIDTH:
            return [short]
    return [
        head,
        "        sim,",
        "        cells,",
        "        data,",
        f"        {name},",
        f"        pre={pre},",
        f"        post={post},",
        f"        receptor={receptor},",
        f"        synapse={synapse[0]}" + ("," if len(synapse) == 1 else ""),
        *(f"        {line}" for line in synapse[1:]),
        "    )",
    ]


def _synapse(synapses: Synapses) -> list[str]:
    """The lines of a synapse, from its own margin."""
    if synapses.rule is not None:
        return _stdp(synapses.rule)
    if synapses.short_term is not None:
        return ["sim.TsodyksMarkramSynapse()"]
    return ["sim.StaticSynapse()"]


def _stdp(rule: Rule) -> list[str]:
    name = {
        (False, False): "AdditiveWeightDependence",
        (True, True): "MultiplicativeWeightDependence",
        (False, True): "AdditivePotentiationMultiplicativeDepression",
    }[
        rule.potentiation is Dependence.MULTIPLICATIVE,
        rule.depression is Dependence.MULTIPLICATIVE,
    ]
    return [
        "stdp(",
        "    sim,",
        "    simulator,",
        f'    "{name}",',
        f"    a_plus={_number(rule.a_plus)},",
        f"    a_minus={_number(rule.a_minus)},",
        f"    tau_plus={_number(rule.tau_plus)},",
        f"    tau_minus={_number(rule.tau_minus)},",
        f"    w_min={_number(rule.w_min)},",
        f"    w_max={_number(rule.w_max)},",
        f"    dendritic_delay_fraction={_number(rule.fraction)},",
        "),",
    ]


# -- data ----------------------------------------------------------------------------------------


def archive(arrays: Mapping[str, Any]) -> bytes:
    """An ``.npz`` without pickles, of the same bytes each time."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


# -- the page ------------------------------------------------------------------------------------


def readme(
    network: Network, refused: Mapping[str, str], differs: Mapping[str, Sequence[str]]
) -> str:
    """What the folder is, and what each simulator makes of it."""
    graph = network.graph
    learning = any(s.rule is not None for s in network.synapses)
    lines = [
        f"# {graph.name}",
        "",
        title(network),
        "",
        "    python network.py brian2 --out recording.npz",
        "    python network.py nest --out recording.npz",
        "    python network.py spinnaker --out recording.npz",
        "",
        "| file | what it is |",
        "|---|---|",
        "| `network.py` | the network, for PyNN 0.13 |",
        "| `network.npz` | its synapses (rows of pre, post, weight, delay in steps), and "
        "parameters that differ from neuron to neuron |",
        "| `stimulus.npz` | when inputs spike, in steps; any other by `--stimulus` |",
        "",
        "`recording.npz` has the spikes of every population: `spikes/NAME/step`, `index`, "
        "`sample`, `value` and `shape` (samples, steps, neurons)"
        + ("; `weights/NAME` what a projection has learnt." if learning else "."),
        "",
        "## Simulators",
        "",
    ]
    for simulator in SIMULATORS.values():
        if simulator.name in refused:
            lines.append(f"* **{simulator.title}** cannot run it: {refused[simulator.name]}.")
            continue
        said = "; ".join(differs.get(simulator.name, ()))
        lines.append(f"* **{simulator.title}** runs it" + (f". {said}." if said else "."))
    lines += ["", "## Populations", "", "| population | neurons | cell |", "|---|---|---|"]
    for name, cell in network.cells.items():
        lines.append(f"| {name} | {cell.population.size} | {cell.name} |")
    if SPINNAKER not in refused:
        lines += ["", "## On SpiNNaker", ""]
        lines += _spinnaker_table(network)
    return "\n".join(lines) + "\n"


def _spinnaker_table(network: Network) -> list[str]:
    lines = [
        "| population | neurons a core | delay slots | delay stages |",
        "|---|---|---|---|",
    ]
    for name in network.cells:
        count = neurons_per_core(network, name)
        lines.append(f"| {name} | {count} | {delay_slots(count)} | {delay_stages(network, name)} |")
    found = scales(network)
    if found:
        lines += [
            "",
            "Weights have 16 bits. One unit of them depends on the sum that may arrive in one step "
            "(sPyNNaker's own rule); weights below half a unit are lost.",
            "",
            "| population | receptor | most in one step | shift | one unit |",
            "|---|---|---|---|---|",
        ]
    for (name, receptor), scale in found.items():
        lines.append(
            f"| {name} | {receptor} | {scale.most:.4g} | {scale.shift} | {scale.unit:.4g} |"
        )
    return lines
