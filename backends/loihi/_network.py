"""A spiking network in Loihi's arithmetic, built with Lava and run.

    python network.py [--stimulus stimulus.npz] [--out recording.npz] [--states] [--hardware]

Needs lava-nc 0.10, which needs Python 3.10, and numpy. README.md says what is in this folder.
"""

import argparse
import json
import os
import signal
import sys
import tempfile
import threading
from pathlib import Path

import numpy as np
from lava.magma.core.decorator import implements, requires
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort, PyOutPort, PyRefPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort, OutPort, RefPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.resources import CPU
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2HwCfg, Loihi2SimCfg
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from lava.proc.conv.process import Conv
from lava.proc.dense.process import DelayDense, Dense
from lava.proc.lif.process import LIF
from lava.proc.sparse.process import DelaySparse, Sparse
from lava.utils.weightutils import SignMode
from scipy.sparse import csr_matrix

CRASHED = 70  # the exit status where a process of Lava ended by itself
HERE = Path(__file__).resolve().parent


class Events(AbstractProcess):
    """Sends ``value`` from the lines ``index``, both from ``starts[t]`` to ``starts[t + 1]``."""

    def __init__(self, size, index, value, starts):
        super().__init__(size=size, index=index, value=value, starts=starts)
        self.s_out = OutPort(shape=(size,))


@implements(proc=Events, protocol=LoihiProtocol)
@requires(CPU)
class EventsModel(PyLoihiProcessModel):
    """On the host."""

    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32)

    def run_spk(self):
        """Send one step; Lava counts them from one."""
        given = self.proc_params
        now = slice(*given["starts"][self.time_step - 1 : self.time_step + 1])
        spikes = np.zeros(given["size"], np.int32)
        spikes[given["index"][now]] = given["value"][now]
        self.s_out.send(spikes)


class Recorder(AbstractProcess):
    """Writes what a population sends in each step to a file of shape (steps, size)."""

    def __init__(self, size, paths):
        super().__init__(size=size, paths=paths)
        self.spikes = InPort(shape=(size,))


class Writer(PyLoihiProcessModel):
    """What recorders do on the host."""

    spikes: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)

    def __init__(self, proc_params):
        super().__init__(proc_params)
        paths = proc_params["paths"]
        self.files = {key: np.load(path, mmap_mode="r+") for key, path in paths.items()}

    def run_spk(self):
        """Write one step; Lava counts them from one."""
        self.files["spikes"][self.time_step - 1] = self.spikes.recv()


@implements(proc=Recorder, protocol=LoihiProtocol)
@requires(CPU)
class RecorderModel(Writer):
    """On the host."""


class StateRecorder(AbstractProcess):
    """Writes u and v, too, as they are behind each step."""

    def __init__(self, size, paths):
        super().__init__(size=size, paths=paths)
        self.spikes = InPort(shape=(size,))
        self.u, self.v = RefPort(shape=(size,)), RefPort(shape=(size,))


@implements(proc=StateRecorder, protocol=LoihiProtocol)
@requires(CPU)
class StateRecorderModel(Writer):
    """On the host."""

    u: PyRefPort = LavaPyType(PyRefPort.VEC_DENSE, int)
    v: PyRefPort = LavaPyType(PyRefPort.VEC_DENSE, int)

    def post_guard(self):
        """Take part in the phase behind a step."""
        return True

    def run_post_mgmt(self):
        """Write one step."""
        self.files["u"][self.time_step - 1] = self.u.read()
        self.files["v"][self.time_step - 1] = self.v.read()


class Network:
    """The Lava processes of a network for ``total`` steps, recorders and inputs included."""

    def __init__(self, description, data, events, total, wanted, states, place, hardware):
        self.facts = description
        self.hardware = hardware
        self.lifs, self.biases, self.connections, self.files = {}, {}, [], {}
        nodes, bits = {}, {}
        for node in description["inputs"]:
            name = node["name"]
            nodes[name] = Events(node["size"], *events[name])
            # Counts travel as graded spikes, of as many bits as the largest has.
            most = int(events[name][1].max(initial=1))
            bits[name] = most.bit_length() if most > 1 else 0
        for number, node in enumerate(description["populations"]):
            name, own = node["name"], f"populations/{number}/"
            if hardware and any(data[own + key].ndim for key in ("du", "dv", "vth")):
                sys.exit(f"{name!r}: on a chip all neurons of a population share du, dv and vth")
            bias = np.broadcast_to(data[own + "bias_mant"], node["size"]).astype(np.int32)
            self.biases[name] = bias
            self.lifs[name] = nodes[name] = LIF(
                shape=(node["size"],),
                du=number_or_array(data[own + "du"]),
                dv=number_or_array(data[own + "dv"]),
                vth=number_or_array(data[own + "vth"]),
                bias_mant=0 * bias if node["lag"] else bias,
                bias_exp=np.broadcast_to(data[own + "bias_exp"], node["size"]).astype(np.int32),
                name=f"population{number}",
            )
        for number, link in enumerate(description["connections"]):
            graded = bits.get(link["pre"], 0)
            connection, taken, given = self.connect(link, data, f"connections/{number}/", graded)
            sent = nodes[link["pre"]].s_out
            if link["pre"] not in self.lifs and hardware:
                sent = to_chip(sent)
            taken(sent)
            given(self.lifs[link["post"]].a_in)
            self.connections.append(connection)
        # One process of each part of the network that nothing joins to the others.
        self.roots = [self.lifs[name] for name in description["parts"]]
        for number, node in enumerate(description["populations"]):
            if node["name"] in wanted or states:
                self.record(node, place / str(number), total, states)

    def record(self, node, place, total, states):
        """Record a population for ``total`` steps, in files that begin with ``place``."""
        name, size = node["name"], node["size"]
        paths = {}
        for key in ("spikes", "u", "v") if states else ("spikes",):
            paths[key] = f"{place}.{key}.npy"
            dtype = np.int8 if key == "spikes" else np.int32
            shape = (total, size)
            np.lib.format.open_memmap(paths[key], mode="w+", dtype=dtype, shape=shape).flush()
            self.files[key, name] = paths[key]
        lif = self.lifs[name]
        recorder = StateRecorder(size, paths) if states else Recorder(size, paths)
        (from_chip(lif.s_out) if self.hardware else lif.s_out).connect(recorder.spikes)
        if states:
            recorder.u.connect_var(lif.u)
            recorder.v.connect_var(lif.v)

    def connect(self, link, data, own, graded):
        """A connection process, and what ties it to its source and to its population."""
        exponent = link["exponent"]
        common = {
            "weight_exp": exponent,
            "num_weight_bits": link["bits"],
            "num_message_bits": graded,
            "sign_mode": SignMode[link["sign"].upper()],
        }
        weight = data[own + "weight"].astype(np.int32)
        kind = link["kind"]
        if kind == "conv":
            # Lava's model of a convolution on a CPU leaves the exponent out.
            if not self.hardware:
                weight, exponent = weight << exponent, 0
            x, y, z = link["input_shape"]
            conv = Conv(
                weight=weight,
                weight_exp=exponent,
                input_shape=(x, y, z),
                padding=tuple(link["padding"]),
                stride=tuple(link["stride"]),
                dilation=tuple(link["dilation"]),
                groups=link["groups"],
                num_weight_bits=link["bits"],
                num_message_bits=graded,
            )
            # Neurons are numbered by channel, row, column; Lava's axes are column, row, channel.
            return (
                conv,
                lambda port: port.reshape((z, y, x)).transpose((2, 1, 0)).connect(conv.s_in),
                lambda port: conv.a_out.transpose((2, 1, 0)).flatten().connect(port),
            )
        if kind == "dense":
            made = Dense(weights=weight, **common)
        elif kind == "delay_dense":
            made = DelayDense(weights=weight, delays=data[own + "delay"].astype(int), **common)
        else:
            where = (data[own + "post"], data[own + "pre"])
            weights = csr_matrix((weight, where), shape=tuple(link["shape"]))
            if kind == "sparse":
                made = Sparse(weights=weights, **common)
            else:
                delays = csr_matrix(
                    (data[own + "delay"].astype(int), where), shape=tuple(link["shape"])
                )
                most = int(delays.max())
                made = DelaySparse(weights=weights, delays=delays, max_delay=most, **common)
        return made, lambda port: port.connect(made.s_in), lambda port: made.a_out.connect(port)

    def run(self, select, samples, steps, lags):
        """Run all samples; ``lags`` begins with 0, and the last one is the largest."""
        over = threading.Event()
        threading.Thread(target=watch, args=(self.roots, over), daemon=True).start()
        try:
            for sample in range(samples):
                if sample:
                    self.clear()
                for begin, end in zip(lags, [*lags[1:], lags[-1] + steps]):
                    if begin:
                        self.wake(begin)
                    if end > begin:
                        for root in self.roots:
                            root.run(condition=RunSteps(num_steps=end - begin), run_cfg=select)
        finally:
            over.set()
            for root in self.roots:
                root.stop()

    def wake(self, lag):
        """Give the populations of a lag their bias: until then they are at rest."""
        for node in self.facts["populations"]:
            bias = self.biases[node["name"]]
            if node["lag"] == lag and bias.any():
                self.lifs[node["name"]].bias_mant.set(bias)

    def clear(self):
        """Back to rest, with nothing on its way."""
        for node in self.facts["populations"]:
            lif, bias = self.lifs[node["name"]], self.biases[node["name"]]
            if node["lag"] and bias.any():
                lif.bias_mant.set(0 * bias)
            lif.u.set(np.zeros(lif.u.shape, np.int32))
            lif.v.set(np.zeros(lif.v.shape, np.int32))
        for connection in self.connections:
            buffer = connection.a_buf if isinstance(connection, Conv) else connection.a_buff
            buffer.set(np.zeros(buffer.shape, np.int32))


def watch(roots, over):
    """Leave when a process of Lava has ended by itself: the others would wait for it for ever."""
    while not over.wait(0.5):
        for root in roots:
            machinery = getattr(root.runtime, "_messaging_infrastructure", None)
            for process in list(machinery.actors) if machinery is not None else ():
                try:
                    if process.is_alive() or over.is_set():
                        continue
                    failure, status = process.exception, process.exitcode
                except ValueError:  # it was closed just now
                    continue
                if failure is not None:
                    print(failure[1], file=sys.stderr)
                how = signal.Signals(-status).name if status and status < 0 else "itself"
                print(f"a process of Lava ended by {how}", file=sys.stderr, flush=True)
                for other in machinery.actors:
                    other.kill()
                machinery.smm.shutdown()
                os._exit(CRASHED)


def number_or_array(values):
    """A parameter as Lava takes it: one number, or one for each neuron."""
    return int(values) if values.ndim == 0 else values.astype(np.int64)


def to_chip(port):
    """Spikes from the host to the neuron cores."""
    from lava.proc import embedded_io

    adapter = embedded_io.spike.PyToNxAdapter(shape=port.shape)
    port.connect(adapter.inp)
    return adapter.out


def from_chip(port):
    """Spikes from the neuron cores to the host."""
    from lava.proc import embedded_io

    adapter = embedded_io.spike.NxToPyAdapter(shape=port.shape)
    port.connect(adapter.inp)
    return adapter.out


def events_of(stimulus, name, size, samples, steps, length):
    """Lines, what they send, and where each step of all samples, of ``length`` each, begins."""
    if f"{name}.index" not in stimulus:
        sys.exit(f"the stimulus has nothing for input {name!r}")
    sample, step, index, value = (
        stimulus[f"{name}.{part}"] for part in ("sample", "step", "index", "value")
    )
    if (value < 0).any() or (value != np.rint(value)).any():
        sys.exit(f"input {name!r} holds values that are no counts of spikes")
    if index.size and not 0 <= index.min() <= index.max() < size:
        sys.exit(f"input {name!r} has lines 0 to {size - 1}")
    place = sample.astype(np.int64) * length + step
    order = np.argsort(place, kind="stable")
    starts = np.searchsorted(place[order], np.arange(samples * length + 1))
    return index[order], value[order].astype(np.int32), starts


def run(folder, stimulus, out, populations=None, states=False, hardware=False):
    """Run every sample of a stimulus from rest, and write what was recorded.

    ``populations`` are those whose spikes are recorded, the outputs unless named; with ``states``
    so are u and v of all populations. ``hardware`` takes a Loihi 2 chip.
    """
    if hardware and states:
        sys.exit("u and v are recorded in simulation only")
    description = json.loads((folder / "network.json").read_text(encoding="utf-8"))
    with np.load(folder / "network.npz", allow_pickle=False) as file:
        data = dict(file)
    with np.load(stimulus, allow_pickle=False) as file:
        spikes = dict(file)
    samples, steps = int(spikes["samples"]), int(spikes["steps"])
    lags = sorted({0, *(p["lag"] for p in description["populations"])})
    length = steps + lags[-1]
    events = {
        node["name"]: events_of(spikes, node["name"], node["size"], samples, steps, length)
        for node in description["inputs"]
    }
    known = [p["name"] for p in description["populations"]]
    wanted = description["outputs"] if populations is None else populations
    for name in wanted:
        if name not in known:
            sys.exit(f"there is no population {name!r}; there are {', '.join(known)}")
    select = Loihi2HwCfg() if hardware else Loihi2SimCfg(select_tag="fixed_pt")
    with tempfile.TemporaryDirectory(dir=Path(out).resolve().parent) as place:
        total = samples * length
        network = Network(description, data, events, total, wanted, states, Path(place), hardware)
        network.run(select, samples, steps, lags)
        write(out, description, network.files, wanted, samples, steps, length)


def write(out, description, files, wanted, samples, steps, length):
    """A file of spikes and states, every population without the steps before its lag."""
    arrays = {"rung": "lava", "dt": description["dt"]}
    late = {p["name"]: p["lag"] for p in description["populations"]}
    for (what, name), path in files.items():
        values = np.load(path).reshape(samples, length, -1)
        values = values[:, late[name] : late[name] + steps]
        if what != "spikes":
            arrays[f"states/{name}/{what}"] = values.astype(np.int64)
            continue
        if name not in wanted:
            continue
        found = np.nonzero(values)
        arrays[f"spikes/{name}/shape"] = values.shape
        for part, column in zip(("sample", "step", "index"), found):
            arrays[f"spikes/{name}/{part}"] = column.astype(np.int32)
        arrays[f"spikes/{name}/value"] = np.ones(found[0].size, np.int64)
    np.savez_compressed(out, **arrays)


def main():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stimulus", type=Path, default=HERE / "stimulus.npz")
    parser.add_argument("--out", type=Path, default=Path("recording.npz"))
    parser.add_argument("--populations", help="comma-separated; default: those of the outputs")
    parser.add_argument("--states", action="store_true", help="record u and v in every step")
    parser.add_argument("--hardware", action="store_true", help="run on a Loihi 2 chip")
    given = parser.parse_args()
    names = None if given.populations is None else json.loads(given.populations)
    # Lava's processes are stopped on the way out.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    run(HERE, given.stimulus, given.out, names, given.states, given.hardware)


if __name__ == "__main__":
    main()
