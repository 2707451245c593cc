"""Lava-DL files as its trainer writes them, and what a network of them does, in plain loops."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

Layer = dict[str, Any]
Ints = npt.NDArray[np.int64]

NEURON: Layer = {
    "type": "CUBA",
    "iDecay": 1024,
    "vDecay": 128,
    "vThMant": 20,
    "refDelay": 1,
    "gradedSpike": False,
}


def neuron(**changes: Any) -> Layer:
    """A neuron with some fields changed, or removed by None."""
    return {k: v for k, v in {**NEURON, **changes}.items() if v is not None}


def dense(weight: npt.ArrayLike, **more: Any) -> Layer:
    values = np.asarray(weight, np.float32)
    own = {"type": "dense", "shape": [len(values)], "weight": values, "neuron": neuron()}
    return {k: v for k, v in {**own, **more}.items() if v is not None}


def conv(weight: npt.ArrayLike, shape: Sequence[int], kind: str = "conv", **more: Any) -> Layer:
    values = np.asarray(weight, np.float32)
    own: Layer = {
        "type": kind,
        "shape": list(shape),
        "weight": values,
        "kernelSize": values.shape[2:4],
        "stride": [1, 1],
        "padding": [0, 0],
        "dilation": [1, 1],
        "neuron": neuron(),
    }
    if kind == "conv":
        own["groups"] = 1
    return {k: v for k, v in {**own, **more}.items() if v is not None}


def given(*shape: int, **more: Any) -> Layer:
    return {"type": "input", "shape": list(shape), **more}


def drawn(r: np.random.Generator) -> list[Layer]:
    """A network of every kind of layer, for an input of (2, 5, 6)."""

    def cell() -> Layer:
        kind = str(r.choice(["CUBA", "LOIHI"]))
        decays = {"iDecay": r.integers(1, 4097), "vDecay": r.integers(0, 4096)}
        return neuron(type=kind, vThMant=r.integers(1, 60), **decays)

    def bias(size: int) -> dict[str, Any]:
        return {"bias": r.integers(-9, 20, size)} if r.random() < 0.5 else {}

    def late(size: int) -> dict[str, Any]:
        return {"delay": r.integers(0, 6, size)} if r.random() < 0.5 else {}

    step = int(r.choice([1, 2, 6]))
    kernel = r.integers(-9, 20, (3, 2, 2, 3)) * step
    first = conv(kernel, (3, 4, 4), neuron=cell(), **bias(3), **late(3))
    pool = conv([[[[step * 9, step * 9]]]], (3, 4, 2), "pool", stride=[1, 2], neuron=cell())
    last = dense(r.integers(-9, 20, (4, 24)) * step, neuron=cell(), **bias(4))
    return [given(2, 5, 6), first, {**pool, **late(3)}, last]


def write(path: Path, layers: Sequence[Layer] | Mapping[str, Layer]) -> Path:
    """The file; layers are numbered from 0 unless they come with their names."""
    named = layers if isinstance(layers, Mapping) else {str(k): x for k, x in enumerate(layers)}
    with h5py.File(path, "w") as file:
        file["simulation/Ts"] = 1
        group = file.create_group("layer")
        for name, layer in named.items():
            _fill(group.create_group(name), layer)
    return path


def _fill(group: Any, fields: Mapping[str, Any]) -> None:
    for name, value in fields.items():
        if isinstance(value, Mapping):
            _fill(group.create_group(name), value)
        elif name == "type" and isinstance(value, str):
            group.create_dataset("type", (1,), "S10", [value.encode()])
        else:
            group[name] = value


# -- what such a network does --------------------------------------------------------------------


def outputs(layers: Sequence[Layer], x: Ints) -> list[Ints]:
    """The spikes of each layer that has a neuron, (steps, neurons), all of them from step 0 on."""
    made: list[Ints] = []
    for layer in layers:
        match layer["type"]:
            case "input":
                if "neuron" not in layer:
                    continue
                less = abs(int(np.ravel(layer.get("weight", 64))[0]))
                x = _fire(layer, x, at_once=True, less=less)
            case "flatten":
                x = x.reshape(len(x), -1)
                continue
            case "dense":
                rows = int(np.prod(layer["shape"]))
                weight = np.asarray(layer["weight"]).reshape(rows, -1)
                x = _fire(layer, x.reshape(len(x), -1) @ weight.astype(np.int64).T)
            case _:
                x = _fire(layer, np.array([_slide(layer, frame) for frame in x]))
        made.append(x.reshape(len(x), -1))
        x = _held(layer, x)
    return made


def _fire(layer: Layer, sums: Ints, at_once: bool = False, less: int = 0) -> Ints:
    cell, shape = layer["neuron"], sums.shape[1:]

    def each(value: Any) -> Ints:
        flat = np.asarray(value).astype(np.int64).ravel()
        if flat.size == np.prod(shape):
            return flat.reshape(shape)
        wide = flat.reshape(-1, *(1,) * (len(shape) - 1)) if flat.size == shape[0] else flat
        return np.broadcast_to(wide, shape)

    decay = np.full(shape, 4096) if at_once else each(cell["iDecay"])
    bias = 64 * (each(layer.get("bias", 0)) - less)
    u, v, spikes = np.zeros(shape, np.int64), np.zeros(shape, np.int64), np.zeros_like(sums)
    for t, a in enumerate(sums):
        u = _cut(u * (4096 - decay)) + 64 * a
        v = _cut(v * (4096 - each(cell["vDecay"]))) + u + bias
        spikes[t] = v > 64 * each(cell["vThMant"])
        v = np.where(spikes[t] > 0, 0, v)
    return spikes


def _cut(x: Ints) -> Ints:
    return np.asarray(np.sign(x) * (np.abs(x) >> 12))


def _held(layer: Layer, spikes: Ints) -> Ints:
    """The spikes of each channel so many steps later as its delay says."""
    steps = np.asarray(layer.get("delay", 0)).astype(np.int64).ravel()
    steps = np.broadcast_to(steps, (spikes.shape[1],))
    late = np.zeros_like(spikes)
    for channel, n in enumerate(steps):
        late[n:, channel] = spikes[: len(spikes) - n, channel]
    return late


def _slide(layer: Layer, image: Ints) -> Ints:
    """The sums under every window of one image, (C, H, W) to (C', H', W')."""
    kernel = np.asarray(layer["weight"]).astype(np.int64)
    kernel = kernel.reshape(kernel.shape[:4])
    groups = int(layer.get("groups", 1))
    if layer["type"] == "pool":
        groups = len(image)
        more = [image.shape[1 + k] % kernel.shape[2 + k] for k in (0, 1)]
        image = np.pad(image, ((0, 0), (0, more[0]), (0, more[1])))
        kernel = np.repeat(kernel, groups, axis=0)
    (down, right), (sy, sx), (dy, dx) = layer["padding"], layer["stride"], layer["dilation"]
    image = np.pad(image, ((0, 0), (down, down), (right, right)))
    out, depth, high, wide = kernel.shape
    rows = (image.shape[1] - dy * (high - 1) - 1) // sy + 1
    columns = (image.shape[2] - dx * (wide - 1) - 1) // sx + 1
    sums = np.zeros((out, rows, columns), np.int64)
    for o in range(out):
        first = o // (out // groups) * depth
        for i in range(depth):
            for y in range(rows):
                for x in range(columns):
                    part = image[first + i, y * sy :: dy, x * sx :: dx][:high, :wide]
                    sums[o, y, x] += int(np.sum(part * kernel[o, i]))
    return sums
