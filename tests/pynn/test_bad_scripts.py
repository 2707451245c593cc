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
    "cell there is not": (CELLS, "cells[99]", "E1002", "cell 99 in 'cells'; it has 4, 0 to 3"),
    "cell of a view there is not": (CELLS, "cells[0:2][-3]", "E1002", "it has 2, 0 to 1"),
    "cell of an assembly there is not": (CELLS, "(cells + source)[8]", "E1002", "8, 0 to 7"),
    "cells of a range": (CELLS, "cells[range(2)]", "E1002", "a list of numbers"),
    "cell by its name": (CELLS, "cells['first']", "E1002", "'first' chooses no cells"),
    "view of cells there are not": (CELLS, "cells[[9]]", "E1002", "cell 9 in 'cells'"),
    "view of half cells": (CELLS, "cells[[0.5]]", "E1002", "[0.5]"),
    "view without cells": (CELLS, "cells[4:]", "E1002", "without cells"),
    "view that is sliced by words": (CELLS, "cells['a':]", "E1002", "a slice of 'cells'"),
    "view with a short mask": (
        CELLS,
        "sim.PopulationView(cells, numpy.array([True, False]))",
        "E1002",
        "a mask of 2 values for 'cells', which has 4 cells",
    ),
    "view of a number": (CELLS, "sim.PopulationView(cells, 2)", "E1002", "made of 2"),
    "view of an assembly": (
        CELLS,
        "sim.PopulationView(cells + source, [0])",
        "E1002",
        "an assembly",
    ),
    "view of nothing": (CELLS, "sim.PopulationView(None, [0])", "E1008", "None"),
    "assembly of a number": ("", "sim.Assembly(5)", "E1008", "5 is no population"),
    "assembly of an assembly": (CELLS, "sim.Assembly(cells + source)", "E1002", "join"),
    "assembly with an option": (CELLS, "sim.Assembly(cells, name='both')", "E1002", "name"),
    "cells and a number": (CELLS, "cells + 5", "E1008", "'cells' + 5"),
    "assembly and a number": (CELLS, "(cells + source) + 5", "E1008", "+ 5"),
    "assembly and a number in place": (
        CELLS + "both = cells + source\n",
        "both += 5",
        "E1008",
        "+ 5",
    ),
    "record of no cells": ("", "sim.Assembly(label='all').record('v')", "E1002", "'all'"),
    "data of no cells": ("", "sim.Assembly(label='all').get_data()", "E1002", "'all'"),
    "sample of a word": (CELLS, "cells.sample('x')", "E1002", "'x'"),
    "sample below zero": (CELLS, "cells.sample(-1)", "E1002", "-1"),
    "sample by no generator": (CELLS, "cells.sample(2, rng=5)", "E1002", "a sample"),
    "nearest to a word": (CELLS, "cells.nearest('here')", "E1002", "'here'"),
    "positions of other cells": (
        CELLS,
        "cells.positions = numpy.zeros((3, 9))",
        "E1002",
        "(3, 9), not (3, 4)",
    ),
    "position on a plane": (CELLS, "cells[0].position = (1.0, 2.0)", "E1002", "(1.0, 2.0)"),
    "structure that is none": (CELLS, "cells.structure = 5", "E1002", "5"),
    "structure of a population": (
        "",
        "sim.Population(3, sim.IF_curr_exp(), structure=5)",
        "E1002",
        "structure",
    ),
    "label that is a number": ("", "sim.Population(3, sim.IF_curr_exp(), label=5)", "E1002", "str"),
    "size that is a word": ("", "sim.Population('x', sim.IF_curr_exp())", "E1002", "IF_curr_exp"),
    "cells that are a number": ("", "sim.Population(3, 5)", "E1001", "int"),
    "cells that are a class": ("", "sim.Population(3, sim.IF_curr_exp)", "E1002", "IF_curr_exp()"),
    "parameter of a population": (
        "",
        "sim.Population(3, sim.IF_curr_exp(), tau_m=5.0)",
        "E1002",
        "sim.IF_curr_exp(tau_m=...)",
    ),
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
    "parameters that are a number": (CELLS, "cells.get(5)", "E1002", "'cells'"),
    "parameter of one cell that is set": (CELLS, "cells[0].tau_mm = 3.0", "E1002", "tau_mm"),
    "initial value that is a word": (
        CELLS,
        "cells.initialize(v='x')",
        "E1002",
        "v of 'cells' cannot start with 'x'",
    ),
    "initial values of other cells": (
        CELLS,
        "cells[0:2].initialize(v=[1.0, 2.0, 3.0])",
        "E1002",
        "a list of 2 numbers",
    ),
    "initial value that is no number": (CELLS, "cells.initialize(v=numpy.nan)", "E1002", "nan"),
    "initial value of one cell": (CELLS, "cells[0].set_initial_value('x', 3.0)", "E1002", "'x'"),
    "initial value of nothing": ("", "sim.initialize(None, v=3.0)", "E1008", "None"),
    "parameters of nothing": ("", "sim.set(5, tau_m=3.0)", "E1008", "5"),
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
    "endless current": ("", "sim.DCSource(amplitude=float('inf'))", "E1002", "inf"),
    "current that stops before its start": (
        "",
        "sim.DCSource(start=5.0, stop=3.0)",
        "E1002",
        "stops at 3 ms, before its start at 5 ms",
    ),
    "noise below zero": ("", "sim.NoisyCurrentSource(stdev=-1.0)", "E1002", "-1 nA"),
    "currents that are words": (
        "",
        "sim.StepCurrentSource(times=[1.0], amplitudes=['x'])",
        "E1002",
        "StepCurrentSource",
    ),
    "time that is no list": (
        "",
        "sim.StepCurrentSource(times=5.0, amplitudes=5.0)",
        "E1002",
        "lists",
    ),
    "parameter of a current that is set": (
        "source = sim.DCSource()\n",
        "source.amplitud = 3.0",
        "E1002",
        "amplitud",
    ),
    "parameter of a current that is read": ("", "sim.DCSource().amplitud", "E1002", "amplitud"),
    "current that is set to a word": (
        "source = sim.DCSource()\n",
        "source.amplitude = 'x'",
        "E1002",
        "amplitude",
    ),
    "data of a current before a run": ("", "sim.DCSource().get_data()", "E1005", "nothing has run"),
    "current into a list": ("", "sim.DCSource().inject_into([5])", "E1007", "5"),
    "current into a compartment": (
        CELLS,
        "sim.DCSource().inject_into(cells, location='soma')",
        "E1001",
        "'soma'",
    ),
    "number as a current": (CELLS, "cells.inject(5)", "E1007", "5"),
    "number as a current of one cell": (CELLS, "cells[0].inject(5)", "E1007", "5"),
    "current of an earlier network": (
        "drive = sim.DCSource()\nsim.setup()\nnew = sim.Population(4, sim.IF_curr_exp())\n",
        "drive.inject_into(new)",
        "E1008",
        "DCSource",
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
    "spike times before the start": (
        "",
        "sim.Population(2, sim.SpikeSourceArray(spike_times=[-1.0, 2.0]))",
        "E1002",
        "-1 ms",
    ),
    "spike times that are a number": (CELLS, "source.set(spike_times=5.0)", "E1002", "a list"),
    "endless start": ("", "sim.Population(2, sim.SpikeSourcePoisson(start=1e999))", "E1002", "inf"),
    "duration below zero": (
        "",
        "sim.Population(2, sim.SpikeSourcePoisson(duration=-5.0))",
        "E1002",
        "-5 ms",
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
    "weights that cannot be": (
        CELLS,
        stdp(weights="AdditiveWeightDependence(w_min=1.0, w_max=0.5)"),
        "E1002",
        "w_max of AdditiveWeightDependence is 0.5, below its w_min of 1",
    ),
    "weights that cannot be any more": (
        CELLS + "learnt = " + stdp() + "\n",
        "learnt.set(w_max=-1.0)",
        "E1002",
        "-1, below",
    ),
    "powers of a weight that are not alike": (
        CELLS,
        stdp(weights="GutigWeightDependence(mu_plus=0.0, mu_minus=0.3)"),
        "E1001",
        "the powers 0 (additive) and 1 (multiplicative)",
    ),
    "window of no width": (CELLS, stdp("tau_plus=0.0"), "E1002", "tau_plus of STDPMechanism is 0"),
    "window that is no number": (CELLS, stdp("A_plus=numpy.nan"), "E1002", "nan"),
    "dendritic part that is set": (
        CELLS + "learnt = " + stdp() + "\n",
        "learnt.set(dendritic_delay_fraction=3.0)",
        "E1002",
        "0 to 1",
    ),
    "voltage dependence": (
        "",
        "sim.STDPMechanism(sim.SpikePairRule(), sim.AdditiveWeightDependence(), "
        "voltage_dependence=5)",
        "E1002",
        "voltage_dependence=5",
    ),
    "share of resources": (
        CELLS,
        "sim.Projection(source, cells, sim.OneToOneConnector(), sim.TsodyksMarkramSynapse(U=2.0))",
        "E1002",
        "U of TsodyksMarkramSynapse is 2; it must be 0 to 1",
    ),
    "recovery of resources": (
        CELLS,
        "sim.Projection("
        "source, cells, sim.OneToOneConnector(), sim.TsodyksMarkramSynapse(tau_rec=0.0))",
        "E1002",
        "tau_rec of TsodyksMarkramSynapse is 0 ms",
    ),
    "size": ("", "sim.Population(-2, sim.IF_curr_exp())", "E1002", "negative"),
    "time step": ("", "sim.setup(timestep=0.0)", "E1002", "0.0 ms"),
    "time step that is a word": ("", "sim.setup(timestep='short')", "E1002", "'short'"),
    "no time step": ("", "sim.setup(timestep=None)", "E1002", "None"),
    "endless time step": ("", "sim.setup(timestep=float('inf'))", "E1002", "inf ms"),
    "seed that is a word": ("", "sim.setup(seed='x')", "E1002", "seed"),
    "seed below zero": ("", "sim.setup(seed=-1)", "E1002", "seed"),
    "longest delay that is a word": ("", "sim.setup(max_delay='long')", "E1002", "'long'"),
    "longest delay below the step": ("", "sim.setup(max_delay=0.01)", "E1002", "the step of 0.1"),
    "shortest delay that is a word": ("", "sim.setup(min_delay='short')", "E1002", "'short'"),
    "shortest delay that is no number": ("", "sim.setup(min_delay=float('nan'))", "E1002", "nan"),
    "longer than any run": ("", "sim.run(1e30)", "E1002", "1e+31 steps"),
    "callbacks that are a number": ("", "sim.run(5.0, callbacks=5)", "E1002", "callbacks are 5"),
    "callbacks that cannot be called": ("", "sim.run(5.0, callbacks=[5])", "E1002", "[5]"),
    "callback without a next time": (
        "",
        "sim.run(5.0, callbacks=[lambda t: None])",
        "E1002",
        "at 0 ms returned None",
    ),
    "callback that stays": ("", "sim.run_until(5.0, callbacks=[lambda t: t])", "E1002", "a step"),
    "note of a reset": ("", "sim.reset('x')", "E1002", "'x'"),
    "stimulus of a word": ("", "sim.stimulus('long')", "E1002", "'long'"),
    "stimulus below zero": ("", "sim.stimulus(-3.0)", "E1002", "-3.0 ms"),
    "files of a word": ("", "sim.save('net', 'long')", "E1002", "'long'"),
    "files without a name": ("", "sim.save(5, 5.0)", "E1002", "5"),
    "distribution": ("", "sim.RandomDistribution('unifrm', (0, 1))", "E1002", "unifrm"),
    "seed of a generator": ("", "sim.NumpyRNG(-1)", "E1002", "NumpyRNG"),
    "axes of a space": ("", "sim.Space(axes='q')", "E1002", "'q'"),
    "endless run": ("", "sim.run(float('inf'))", "E1002", "inf"),
    "run until a word": ("", "sim.run_until('late')", "E1002", "'late'"),
    "run for nothing": ("", "sim.run(None)", "E1002", "None"),
    "dialect": ("", "sim.setup(dialect='nest')", "E1002", "spinnaker"),
    "rung": ("", "sim.setup(rung='moon')", "E1002", "golden"),
    "delays of setup": ("", "sim.setup(min_delay=2.0, max_delay=1.0)", "E1002", "min_delay"),
    "time that is past": ("sim.run(5.0)\n", "sim.run_until(3.0)", "E1002", "until 3 ms"),
    "attribute that is set": (JOINED, "joined.set(wight=1.0)", "E1002", "wight"),
    "attribute that is read": (JOINED, "joined.get('wight', format='list')", "E1002", "wight"),
    "synapse there is not": (JOINED, "joined[99]", "E1002", "no synapse 99; it has 4, 0 to 3"),
    "synapse by a word": (JOINED, "joined['x']", "E1002", "'x'"),
    "end of a synapse that is set": (
        JOINED,
        "joined[0].presynaptic_index = 3",
        "E1002",
        "presynaptic_index",
    ),
    "weight that is a word": (JOINED, "joined[0].weight = 'x'", "E1002", "weight of a synapse"),
    "weight that is no number": (CELLS, join(synapse="weight=numpy.nan"), "E1002", "nan"),
    "endless weight that is set": (JOINED, "joined.set(weight=float('inf'))", "E1002", "inf"),
    "attribute that is a number": (JOINED, "joined.get(5, format='list')", "E1002", "projection"),
    "file that is a number": (JOINED, "joined.save('weight', 5)", "E1005", "to 5"),
    "delay below that of setup": (
        "sim.setup(timestep=0.1, min_delay=1.0)\n" + CELLS,
        join(synapse="delay=0.5"),
        "E1003",
        "0.5 ms, below the min_delay of 1 ms",
    ),
    "delay that is set below that of setup": (
        "sim.setup(timestep=0.1, min_delay=1.0)\n" + JOINED,
        "joined.set(delay=0.5)",
        "E1003",
        "min_delay",
    ),
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
    "sampling by a word": (CELLS, "cells.record('v', sampling_interval='x')", "E1005", "x ms"),
    "sampling by no number": (
        CELLS,
        "cells.record('v', sampling_interval=numpy.nan)",
        "E1005",
        "nan ms",
    ),
    "variable that is a number": (CELLS, "cells.record(5)", "E1005", "'cells'"),
    "variable of a compartment": (CELLS, "cells.record('v', locations='soma')", "E1001", "'soma'"),
    "record of a number": ("", "sim.record('v', 5, 'v.pkl')", "E1008", "5"),
    "data with a typing error": (
        CELLS + "cells.record('spikes'); sim.run(1.0)\n",
        "cells.get_data('spkes')",
        "E1005",
        "it has spikes",
    ),
    "data of a number": (
        CELLS + "cells.record('spikes'); sim.run(1.0)\n",
        "cells.get_data(5)",
        "E1005",
        "'cells'",
    ),
    "counts without a record": (
        CELLS + "cells.record('v'); sim.run(1.0)\n",
        "cells.get_spike_counts()",
        "E1005",
        "record('spikes')",
    ),
    "counts of several without a record": (
        CELLS + "cells.record('v'); sim.run(1.0)\n",
        "(cells + source).mean_spike_count()",
        "E1005",
        "record('spikes')",
    ),
    "counts of no cells": ("", "sim.Assembly(label='all').get_spike_counts()", "E1002", "'all'"),
    "file at the end": (
        CELLS + "cells.record('v', to_file='v.foo'); sim.run(1.0)\n",
        "sim.end()",
        "E1005",
        "foo",
    ),
    "cells of an earlier network that are set": (
        CELLS + "sim.setup()\n",
        "cells.set(tau_m=3.0)",
        "E1008",
        "before setup()",
    ),
    "cells of an earlier network that start": (
        CELLS + "sim.setup()\n",
        "cells.initialize(v=-60.0)",
        "E1008",
        "before setup()",
    ),
    "cells of an earlier network that are recorded": (
        CELLS + "sim.setup()\n",
        "cells.record('v')",
        "E1008",
        "before setup()",
    ),
    "data of an earlier network": (
        CELLS + "cells.record('v'); sim.setup(); sim.run(1.0)\n",
        "cells.get_data()",
        "E1008",
        "before setup()",
    ),
    "synapses of an earlier network": (
        JOINED + "sim.setup()\n",
        "joined.set(weight=2.0)",
        "E1008",
        "before setup()",
    ),
    "learnt weights of an earlier network": (
        CELLS + "learnt = " + stdp() + "\nsim.setup(); sim.run(1.0)\n",
        "learnt.get('weight', format='list')",
        "E1008",
        "before setup()",
    ),
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
    "probability above one": ("", "sim.FixedProbabilityConnector(1.5)", "E1007", "1.5; it is 0 to"),
    "generator that is a number": (
        "",
        "sim.FixedProbabilityConnector(0.5, rng=5)",
        "E1007",
        "rng=5",
    ),
    "option of a connector": ("", "sim.OneToOneConnector(weights=3.0)", "E1007", "weights"),
    "cells that are joined to themselves": (
        "",
        "sim.AllToAllConnector(allow_self_connections=5)",
        "E1007",
        "allow_self_connections=5",
    ),
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
        "E1008",
        "None",
    ),
    "pre cells of an earlier network": (
        CELLS + "sim.setup()\nnew = sim.Population(4, sim.IF_curr_exp())\n",
        "sim.Projection(source, new, sim.OneToOneConnector())",
        "E1008",
        "setup()",
    ),
    "pre cells of another simulator": (
        CELLS
        + "import pyNN.brian2 as other; other.setup()\n"
        + "alien = other.Population(4, other.IF_curr_exp(), label='alien')\n",
        "sim.Projection(alien, cells, sim.OneToOneConnector())",
        "E1008",
        "'alien' is of pyNN.brian2",
    ),
    "pre cells that are none yet": (
        CELLS,
        "sim.Projection(sim.Assembly(label='all'), cells, sim.AllToAllConnector())",
        "E1002",
        "'all' has no cells",
    ),
    "space that is none": (CELLS, join(rest=", space=5"), "E1002", "space"),
    "synapses of no projection": (CELLS, join("CloneConnector(None)"), "E1007", "not of None"),
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
    "listed cell between two": (
        CELLS,
        join("FromListConnector([(0, 1.5, 1.0, 1.0)])"),
        "E1007",
        "cell 1.5 of 'cells'",
    ),
    "listed cell that is no number": (
        CELLS,
        join("FromListConnector([(float('nan'), 1, 1.0, 1.0)])"),
        "E1007",
        "cell nan of 'source'",
    ),
    "listed cell that is a word": (
        CELLS,
        join("FromListConnector([(0, 'a', 1.0, 1.0)])"),
        "E1007",
        "they are numbers",
    ),
    "cell between two in a file": (
        CELLS + "numpy.savetxt('half.txt', [[0, 1.5, 1.0, 1.0], [0, 1, 1.0, 1.0]])\n",
        join("FromFileConnector('half.txt')"),
        "E1007",
        "cell 1.5 of 'cells'",
    ),
    "array of weights": (
        CELLS,
        join("ArrayConnector(0.5 * numpy.ones((4, 4)))"),
        "E1007",
        "StaticSynapse(weight=array)",
    ),
    "array of another shape": (
        CELLS,
        join("ArrayConnector(numpy.ones((2, 2), bool))"),
        "E1007",
        "(2, 2)",
    ),
    "file that is no name": (CELLS, join("FromFileConnector(5)"), "E1007", "5"),
    "file that is not there": (CELLS, join("FromFileConnector('nowhere')"), "E1007", "nowhere"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_mistake_is_named_with_its_line(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
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
