"""What a script gets wrong is a coded error that names the script's file and line."""

import runpy
import subprocess
import sys
from pathlib import Path

import pytest

import spikec.pynn as sim
from spikec.ir.diagnostics import SpikecError

from .twins import theirs

BEGIN = """\
import numpy
import spikec.pynn as sim
sim.setup(timestep=0.1, max_delay=10.0)
"""
CELLS = """\
cells = sim.Population(4, sim.IF_curr_exp(), label='cells')
source = sim.Population(4, sim.SpikeSourceArray(spike_times=[1.0]), label='source')
"""
JOINED = (
    CELLS + "joined = sim.Projection("
    "source, cells, sim.OneToOneConnector(), sim.StaticSynapse(weight=1.0))\n"
)


def join(connector: str = "OneToOneConnector()", synapse: str = "", rest: str = "") -> str:
    return f"sim.Projection(source, cells, sim.{connector}, sim.StaticSynapse({synapse}){rest})"


def stdp(rule: str = "", weights: str = "AdditiveWeightDependence()") -> str:
    return (
        "sim.Projection(source, cells, sim.OneToOneConnector(), sim.STDPMechanism("
        f"timing_dependence=sim.SpikePairRule({rule}), weight_dependence=sim.{weights}, weight=0.1,"
        " dendritic_delay_fraction=0.0))"
    )


# What comes before, the line that is wrong, the code, and a part of the message.
CASES = {
    "cell with a typing error": ("", "sim.IF_cur_exp", "E1001", "IF_curr_exp"),
    "cell that there is not": ("", "sim.HH_cond_exp()", "E1001", "does not have"),
    "cell of another module": (
        "import pyNN.brian2 as other\n",
        "sim.Population(3, other.IF_curr_exp())",
        "E1001",
        "pyNN.brian2",
    ),
    "synapse of another module": (
        CELLS + "import pyNN.brian2 as other\n",
        "sim.Projection(source, cells, sim.OneToOneConnector(), other.StaticSynapse())",
        "E1001",
        "pyNN.brian2",
    ),
    "synapse that there is not": ("", "sim.ElectricalSynapse()", "E1001", "does not have"),
    "connector with a typing error": ("", "sim.AllToAlConnector()", "E1001", "AllToAllConnector"),
    "no connector": (CELLS, "sim.Projection(source, cells, 'all')", "E1001", "'all'"),
    "compartment": (
        CELLS,
        join("OneToOneConnector(location_selector='soma')"),
        "E1001",
        "compartment",
    ),
    "power of a weight": (
        CELLS,
        stdp(weights="GutigWeightDependence(mu_plus=0.5)"),
        "E1001",
        "0.5",
    ),
    "parameter of a cell": ("", "sim.IF_curr_exp(tau_mm=3.0)", "E1002", "tau_m"),
    "parameter that is a word": ("", "sim.IF_curr_exp(tau_m='abc')", "E1002", "tau_m"),
    "parameters of other cells": (
        "",
        "sim.Population(3, sim.IF_curr_exp(tau_m=[1.0, 2.0]))",
        "E1002",
        "shape (2,)",
    ),
    "time constant": (
        "",
        "sim.Population(2, sim.IF_curr_exp(tau_m=-3.0))",
        "E1002",
        "tau_m of IF_curr_exp is -3 ms",
    ),
    "time constant that is set": (CELLS, "cells.set(tau_m=0.0)", "E1002", "it must be positive"),
    "capacity": (CELLS, "cells.set(cm=numpy.nan)", "E1002", "cm of IF_curr_exp is nan"),
    "refractory period": (CELLS, "cells.set(tau_refrac=-1.0)", "E1002", "tau_refrac"),
    "bits of a weight": ("", "sim.setup(rung='integer', weight_bits=100)", "E1002", "weight_bits"),
    "option that is a word": ("", "sim.setup(rung='integer', weight_bits='8')", "E1002", "setup"),
    "option with a typing error": ("", "sim.setup(runng='integer')", "E1002", "runng"),
    "no cells": ("", "sim.Population(0, sim.IF_curr_exp())", "E1002", "0 cells"),
    "view of cells there are not": (CELLS, "cells[[9]]", "E1002", "a view of 'cells'"),
    "form of attributes": (JOINED, "joined.get('weight', format='foo')", "E1002", "format"),
    "data before a run": (CELLS, "cells.get_data()", "E1005", "nothing has run"),
    "file that cannot be": (
        CELLS + "cells.record('v'); sim.run(1.0)\n",
        "cells.write_data('x.foo')",
        "E1005",
        "foo",
    ),
    "parameter that is set": (CELLS, "cells.set(tau_mm=3.0)", "E1002", "tau_mm"),
    "parameter that is read": (CELLS, "cells.get('tau_mm')", "E1002", "tau_mm"),
    "parameter of one cell": (CELLS, "cells[0].tau_mm", "E1002", "tau_mm"),
    "parameter of a synapse": ("", "sim.StaticSynapse(wight=3.0)", "E1002", "wight"),
    "distances with a typing error": ("", "sim.StaticSynapse(weight='f(d)')", "E1002", "weight"),
    "parameter of a rule": ("", "sim.SpikePairRule(tauplus=3.0)", "E1002", "tauplus"),
    "parameter of resources": ("", "sim.TsodyksMarkramSynapse(UU=3.0)", "E1002", "UU"),
    "parameter of a current": ("", "sim.DCSource(amp=3.0)", "E1002", "amp"),
    "initial value": (CELLS, "cells.initialize(x=3.0)", "E1002", "'x'"),
    "times that fall": (
        "",
        "sim.StepCurrentSource(times=[3.0, 2.0], amplitudes=[1.0, 1.0])",
        "E1002",
        "rise",
    ),
    "spike times that fall": (
        "",
        "sim.Population(2, sim.SpikeSourceArray(spike_times=[3.0, 1.0]))",
        "E1002",
        "from 3 to 1 ms",
    ),
    "current that is no number": ("", "sim.DCSource(amplitude=float('nan'))", "E1002", "amplitude"),
    "times that are no numbers": (
        "",
        "sim.StepCurrentSource(times=[1.0, float('nan')], amplitudes=[1.0, 2.0])",
        "E1002",
        "times",
    ),
    "current of two numbers": ("", "sim.DCSource(amplitude=[1.0, 2.0])", "E1002", "DCSource"),
    "current into a number": (CELLS, "sim.DCSource().inject_into(5)", "E1007", "5"),
    "spike time that is no number": (
        "",
        "sim.Population(2, sim.SpikeSourceArray(spike_times=[1.0, float('nan')]))",
        "E1002",
        "source 0",
    ),
    "spike time that is a word": (
        "",
        "sim.SpikeSourceArray(spike_times=['a'])",
        "E1002",
        "'a'",
    ),
    "rate": ("", "sim.Population(3, sim.SpikeSourcePoisson(rate=2e4))", "E1002", "2 spikes a step"),
    "rate that is set": (
        "noise = sim.Population(3, sim.SpikeSourcePoisson(rate=20.0))\n",
        "noise.set(rate=-1.0)",
        "E1002",
        "-1 Hz",
    ),
    "rules of single synapses": (
        CELLS,
        stdp("A_plus=sim.RandomDistribution('uniform', (0.1, 0.2))"),
        "E1002",
        "A_plus",
    ),
    "size": ("", "sim.Population(-2, sim.IF_curr_exp())", "E1002", "negative"),
    "time step": ("", "sim.setup(timestep=0.0)", "E1002", "0.0 ms"),
    "time step that is a word": ("", "sim.setup(timestep='short')", "E1002", "'short'"),
    "no time step": ("", "sim.setup(timestep=None)", "E1002", "None"),
    "endless time step": ("", "sim.setup(timestep=float('inf'))", "E1002", "inf ms"),
    "seed that is a word": ("", "sim.setup(seed='x')", "E1002", "seed"),
    "seed below zero": ("", "sim.setup(seed=-1)", "E1002", "seed"),
    "longest delay that is a word": ("", "sim.setup(max_delay='long')", "E1002", "'long'"),
    "endless run": ("", "sim.run(float('inf'))", "E1002", "inf"),
    "run until a word": ("", "sim.run_until('late')", "E1002", "'late'"),
    "run for nothing": ("", "sim.run(None)", "E1002", "None"),
    "dialect": ("", "sim.setup(dialect='nest')", "E1002", "spinnaker"),
    "rung": ("", "sim.setup(rung='moon')", "E1002", "golden"),
    "delays of setup": ("", "sim.setup(min_delay=2.0, max_delay=1.0)", "E1002", "min_delay"),
    "time that is past": ("sim.run(5.0)\n", "sim.run_until(3.0)", "E1002", "until 3 ms"),
    "attribute that is set": (JOINED, "joined.set(wight=1.0)", "E1002", "wight"),
    "attribute that is read": (JOINED, "joined.get('wight', format='list')", "E1002", "wight"),
    "short delay": (CELLS, join(synapse="delay=0.01"), "E1003", "0.01 ms"),
    "long delay": (CELLS, join(synapse="delay=11.0"), "E1003", "10 ms"),
    "endless delay": (CELLS, join(synapse="delay=float('inf')"), "E1003", "inf ms"),
    "delay that is no number": (CELLS, join(synapse="delay=float('nan')"), "E1003", "nan ms"),
    "delay beyond any count": (
        "sim.setup(timestep=0.1)\n" + CELLS,
        join(synapse="delay=1e9"),
        "E1003",
        "1e+09 ms",
    ),
    "short delay that is set": (JOINED, "joined.set(delay=0.0)", "E1003", "0 ms"),
    "sign": (CELLS, join(synapse="weight=1.0", rest=", receptor_type='inhibitory'"), "E1004", ""),
    "sign at random": (
        CELLS,
        join("FixedProbabilityConnector(0.9)", "weight=-1.0", ", receptor_type='excitatory'"),
        "E1004",
        "",
    ),
    "sign that is set": (JOINED, "joined.set(weight=-1.0)", "E1004", ""),
    "variable": (CELLS, "cells.record('w')", "E1005", "isyn_exc"),
    "variable of a source": (CELLS, "source.record('v')", "E1005", "spikes"),
    "sampling": (CELLS, "cells.record('v', sampling_interval=0.25)", "E1005", "0.25 ms"),
    "parameter in a run": (CELLS + "sim.run(5.0)\n", "cells.set(tau_m=5.0)", "E1006", "at 5 ms"),
    "weight in a run": (JOINED + "sim.run(5.0)\n", "joined.set(weight=2.0)", "E1006", "weight"),
    "population in a run": (
        CELLS + "sim.run(5.0)\n",
        "sim.Population(3, sim.IF_curr_exp())",
        "E1006",
        "at 5 ms",
    ),
    "current into a source": (CELLS, "sim.DCSource().inject_into(source)", "E1007", "spike source"),
    "probability below zero": ("", "sim.FixedProbabilityConnector(-0.5)", "E1007", "-0.5"),
    "probability that is a word": ("", "sim.FixedProbabilityConnector('x')", "E1007", "'x'"),
    "number below zero": ("", "sim.FixedNumberPreConnector(-2)", "E1007", "-2"),
    "expression that does not parse": (
        "",
        "sim.DistanceDependentProbabilityConnector('d+')",
        "E1007",
        "'d+'",
    ),
    "expression with an unknown name": (
        CELLS,
        join("DistanceDependentProbabilityConnector('foo(d)')"),
        "E1007",
        "foo",
    ),
    "expression that is no probability": (
        CELLS,
        join("IndexBasedProbabilityConnector('(i+j)%3==0')"),
        "E1007",
        "IndexBasedProbabilityConnector",
    ),
    "dendritic part above one": (
        "",
        "sim.STDPMechanism(sim.SpikePairRule(), sim.AdditiveWeightDependence(), "
        "dendritic_delay_fraction=2.0)",
        "E1002",
        "STDPMechanism",
    ),
    "plastic synapse without a window": (
        "",
        "sim.STDPMechanism(weight_dependence=sim.AdditiveWeightDependence())",
        "E1002",
        "timing_dependence",
    ),
    "pre cells that are none": (
        CELLS,
        "sim.Projection(None, cells, sim.OneToOneConnector())",
        "E1007",
        "None",
    ),
    "pre cells of an earlier network": (
        CELLS + "sim.setup()\nnew = sim.Population(4, sim.IF_curr_exp())\n",
        "sim.Projection(source, new, sim.OneToOneConnector())",
        "E1007",
        "setup()",
    ),
    "receptor": (CELLS, join(rest=", receptor_type='gaba'"), "E1007", "gaba"),
    "synapses of a source": (
        CELLS,
        "sim.Projection(cells, source, sim.OneToOneConnector())",
        "E1007",
        "'source' takes no synapses",
    ),
    "listed post cell": (
        CELLS,
        join("FromListConnector([(0, 9, 1.0, 1.0)])"),
        "E1007",
        "cell 9 of 'cells'",
    ),
    "listed pre cell": (CELLS, join("FromListConnector([(9, 0, 1.0, 1.0)])"), "E1007", "9"),
    "array of another shape": (
        CELLS,
        join("ArrayConnector(numpy.ones((2, 2), bool))"),
        "E1007",
        "(2, 2)",
    ),
    "file that is not there": (CELLS, join("FromFileConnector('nowhere')"), "E1007", "nowhere"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_mistake_is_named_with_its_line(case: str, tmp_path: Path) -> None:
    assert theirs  # pyNN.brian2 is imported where its warnings are quiet
    before, line, code, part = CASES[case]
    script = tmp_path / "script.py"
    script.write_text(f"{BEGIN}{before}{line}\n")
    with pytest.raises(SpikecError) as caught:
        runpy.run_path(str(script))
    (found,) = caught.value.diagnostics
    assert found.code == code
    assert part in found.message + str(found.hint)
    assert found.where.file == str(script)
    assert found.where.line == (BEGIN + before).count("\n") + 1


def test_two_refractory_periods_are_named_where_they_were_given(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        f"{BEGIN}cells = sim.Population(2, sim.IF_curr_exp())\n"
        "cells[0:1].set(tau_refrac=3.0)\nsim.run(5.0)\nsim.capture()\n"
    )
    with pytest.raises(SpikecError) as caught:
        runpy.run_path(str(script))
    (found,) = caught.value.diagnostics
    assert (found.code, found.where.line) == ("E1002", 5)


def test_a_refused_line_changes_nothing() -> None:
    sim.setup(timestep=0.1)
    cells = sim.Population(2, sim.IF_curr_exp(), label="cells")
    noise = sim.Population(2, sim.SpikeSourcePoisson(rate=20.0), label="noise")
    joined = sim.Projection(
        noise, cells, sim.OneToOneConnector(), sim.StaticSynapse(weight=1.0, delay=0.5)
    )
    before = sim.capture()
    for wrong in (
        lambda: noise.set(rate=1e6),
        lambda: joined.set(weight=-1.0),
        lambda: joined.set(delay=0.0),
        lambda: sim.Population(-1, sim.IF_curr_exp()),
        lambda: sim.Projection(
            noise, cells, sim.OneToOneConnector(), sim.StaticSynapse(weight=1.0, delay=0.0)
        ),
    ):
        with pytest.raises(SpikecError):
            wrong()
    assert sim.capture() == before
    assert list(noise.get("rate", simplify=False)) == [20.0, 20.0]


def test_without_pynn_it_is_told_how_to_get_it() -> None:
    script = "import sys; sys.modules['pyNN'] = None; import spikec.pynn"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 1
    assert "E0601" in done.stderr and "pip install 'spikec[pynn]'" in done.stderr
