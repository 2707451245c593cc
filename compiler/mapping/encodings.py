r"""The bits that the synapses of each projection take in each core, and the format of the fewest.

A row is what an axon has of one projection in one core: its n synapses, sorted by the place i of
their targets among the neurons of that population in that core, of which there are N. With
:math:`B(n, r, s)` the bits of `Formats` for a row of n synapses cut into blocks,

======================  ==========================================================================
an index for each       :math:`\sum_{\mathrm{rows}} B(n, 0, x)`, x the width of N places
an index for each run   :math:`\sum_{\mathrm{rows}} \sum_{\mathrm{runs}} B(n_{run}, x, 0)`
no index                :math:`\sum_{\mathrm{rows}} B(N, 0, 0)`
shared rows             the first sum over distinct rows, x as wide as the longest row reaches
======================  ==========================================================================

Rows are one where targets have the same distances and synapses the same places in the kernel of a
convolution; weights that happen to be equal are not looked for. All but the first format need that
no pair of neurons is joined twice, the last one that all delays are the same.

Source: nengo-loihi, nengo_loihi/block.py and conv.py, for what it has; boards/chips/loihi1.toml.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from ...boards.machine import Formats, Machine, SynapseFormat
from .axons import Axons, Bundle
from .limits import Load, caps_of, formats_of
from .mapping import Encodings, EncodingUse, Mapping

Array = npt.NDArray[Any]
Integers = npt.NDArray[np.int64]

# More than any core has; sums of a few stay within 64 bits.
_ILLEGAL: Final = 1 << 60


def encoding_uses(axons: Axons, mapping: Mapping) -> tuple[EncodingUse, ...]:
    """All formats in use, by projection and then in the machine's order."""
    found, formats = mapping.encodings, formats_of(axons, mapping.machine)
    if found is None or formats is None:
        return ()
    uses = []
    for number, bundle in enumerate(axons.bundles):
        synapses = np.bincount(mapping.part[bundle.target], minlength=mapping.parts)
        for kind, one in enumerate(formats.every):
            cores = found.format[number] == kind
            if cores.any():
                bits = int(found.bits[number, cores].sum())
                uses.append(
                    EncodingUse(
                        *(bundle.name, one.name, one.obtained),
                        *(int(np.count_nonzero(cores)), int(synapses[cores].sum()), bits),
                    )
                )
    return tuple(uses)


class _Rules(NamedTuple):
    """Bits of a head, of a word, and synapses of a block."""

    head: int
    word: int
    block: int


def encode(axons: Axons, machine: Machine, part: Array) -> Encodings | None:
    """The format of each bundle in each part that takes the fewest bits, the first of equals.

    That of `Axons.format` is taken wherever it is legal. ``part`` (neurons,) is the part of each
    neuron. ``None`` where the network is not counted in formats. Linear in synapses but for sorting
    each row, with a few bytes for each row of a shared kernel.
    """
    formats = formats_of(axons, machine)
    if formats is None:
        return None
    parts = int(part.max(initial=-1)) + 1
    shape = (len(axons.bundles), parts)
    chosen, bits = np.full(shape, -1, np.int32), np.zeros(shape, np.int64)
    for number, bundle in enumerate(axons.bundles):
        every = bits_of(axons, bundle, machine, part)
        best = every.argmin(axis=0)
        for wanted, one in enumerate(formats.every):
            if one.name == axons.format:
                best[every[wanted] < _ILLEGAL] = wanted
        taken = every[best, np.arange(parts)]
        chosen[number] = np.where(taken > 0, best, -1)
        bits[number] = taken
    return Encodings(tuple(one.name for one in formats.every), chosen, bits)


def bits_of(axons: Axons, bundle: Bundle, machine: Machine, part: Array) -> Integers:
    """Bits of a bundle in each format and part (formats, parts): 0 where a part has none of it.

    A format that is not legal takes 2^60.
    """
    formats = machine.encoding.formats
    assert formats is not None
    parts = int(part.max(initial=-1)) + 1
    first, end = _targets(axons, bundle)
    place, size = _places(part[first:end], parts)
    width = widths(formats.index_widths, size)
    each = weight_bits(formats, bundle) + delay_bits(formats, bundle)
    rules = _Rules(int(formats.head.value), machine.encoding.word, int(formats.block.value))
    own = part[first:end].astype(np.int32)
    by_index, rows, twice = _count_rows(
        bundle.ptr, bundle.target, first, own, place, size, width, each, rules
    )
    out = np.empty((len(formats.every), parts), np.int64)
    for number, one in enumerate(formats.every):
        match one.index:
            case "synapse":
                out[number] = by_index[0]
            case "run":
                out[number] = by_index[1]
            case "none":
                out[number] = by_index[2]
        if one.shared:
            if bundle.window is None or bundle.delay.ndim:
                out[number] = _ILLEGAL
            else:
                found = _rows_of_kernel(
                    *(bundle.ptr, bundle.target, first, own, place),
                    *(bundle.window.numbers, int(rows.sum())),
                )
                out[number] = _shared(found, parts, each, formats, rules)
        if one.shared or one.index != "synapse":
            out[number, twice] = _ILLEGAL
    out[:, rows == 0] = 0
    return out


def widths(there_are: Sequence[int], places: Array) -> Integers:
    """The least width that tells ``places`` apart, of those that there are or, beyond, exactly."""
    needed = np.zeros(np.shape(places), np.int64)
    for bits in range(1, 63):
        needed += np.asarray(places) > 1 << (bits - 1)
    known = np.array(there_are, np.int64)
    at = np.searchsorted(known, needed)
    return np.where(at < known.size, known[np.minimum(at, known.size - 1)], needed)


def weight_bits(formats: Formats, bundle: Bundle) -> int:
    """The width in which the weights of a bundle are stored."""
    return int(widths(formats.weight_widths, np.array(1 << bundle.weight_bits)))


def delay_bits(formats: Formats, bundle: Bundle) -> int:
    """The bits of a synapse's delay: none where no spike is held back."""
    return int(formats.delay.value) if bundle.delay.max(initial=0) > 1 else 0


def plans(axons: Axons, machine: Machine) -> list[list[Load]]:
    """What each bundle takes of memory at most, as `Load`, in ways to plan a partition with.

    Each bundle counts in the format that takes least in all cores together, or the one that is
    wanted; in the last way this counts too little at most where another format has to be taken, in
    the first the rows of a kernel are taken to lie as in a rectangle.
    """
    formats = formats_of(axons, machine)
    assert formats is not None
    caps = caps_of(machine)
    surely, hopefully = [], []
    for bundle in axons.bundles:
        first, end = _targets(axons, bundle)
        lengths = np.diff(bundle.ptr)
        most = min(end - first, caps.neurons)
        cores = -(-(end - first) // max(most, 1))
        bounds = []
        wanted = [one for one in formats.every if one.name == axons.format and not one.shared]
        for one in wanted or formats.every:
            if not one.shared:
                load = _bound(formats, one, bundle, most, machine.encoding.word)
                bits = load.synapse * int(lengths.sum()) + load.target * (end - first)
                bounds.append((bits + cores * int(np.sum(load.axon)), load))
        least, load = min(bounds, key=lambda bound: bound[0])
        surely.append(load)
        kernels = not wanted and any(one.shared for one in formats.every)
        if kernels and bundle.window and not bundle.delay.ndim:
            shared = _rectangle(formats, bundle, most, machine.encoding.word)
            if cores * shared.kernel < least and shared.kernel <= caps.bits // 2:
                load = shared
        hopefully.append(load)
    same = all(a is b for a, b in zip(surely, hopefully, strict=True))
    return [surely] if same else [hopefully, surely]


def _bound(formats: Formats, one: SynapseFormat, bundle: Bundle, most: int, word: int) -> Load:
    """What a bundle takes at most in a format that shares nothing, however neurons are parted."""
    each = weight_bits(formats, bundle) + delay_bits(formats, bundle)
    width = int(widths(formats.index_widths, np.array(most)))
    head, block = int(formats.head.value), int(formats.block.value)
    head += width if one.index == "run" else 0
    each += width if one.index == "synapse" else 0
    # What a full block takes beside its synapses, and a last one that is not full.
    beside = -(-head // word) * word if block * each % word == 0 else head + word - 1
    synapse, axon = each - (-beside // block), head + word - 1
    lengths = np.diff(bundle.ptr)
    match one.index:
        case "synapse":
            return Load(synapse, 0, np.where(lengths > 0, axon, 0), 0)
        case "run":
            # Neurons that are next to each other are so in a core, too.
            return Load(synapse, 0, axon * _runs(bundle.ptr, bundle.target), 0)
        case "none":
            # A row has a weight for whatever neuron of the population is there.
            rows = int(np.count_nonzero(lengths))
            return Load(0, rows * synapse, np.where(lengths > 0, axon, 0), 0)


def _rectangle(formats: Formats, bundle: Bundle, most: int, word: int) -> Load:
    """What a kernel takes in a core whose neurons are a rectangle of the plane, at its borders too.

    With k taps over a stride an axis has 2 k - 1 kinds of places, of 1 to k taps, k^2 altogether.
    """
    window = bundle.window
    assert window is not None
    each = weight_bits(formats, bundle) + delay_bits(formats, bundle)
    each += int(widths(formats.index_widths, np.array(most)))
    y, x = -(-window.kernel_y // window.stride_y), -(-window.kernel_x // window.stride_x)
    channels = (bundle.ptr.size - 1) // (window.in_y * window.in_x)
    rows = channels * (2 * y - 1) * (2 * x - 1) * window.stride_y * window.stride_x
    bits = bundle.kernel * y * x * (each + 1) + rows * (int(formats.head.value) + word - 1)
    return Load(0, 0, np.zeros(bundle.ptr.size - 1, np.int64), bits)


def _targets(axons: Axons, bundle: Bundle) -> tuple[int, int]:
    """The numbers of the population that a bundle leads to; 0 and 0 of one without synapses."""
    if not bundle.target.size:
        return 0, 0
    node = axons.node_of(int(bundle.target[0]))
    return node.first, node.end


def _places(part: Array, parts: int) -> tuple[Array, Integers]:
    """The place of each neuron of a population among those of its part, and how many these are."""
    size = np.bincount(part, minlength=parts)
    order = np.argsort(part, kind="stable")
    place = np.empty(part.size, np.int32)
    place[order] = np.arange(part.size) - np.repeat(np.cumsum(size) - size, size)
    return place, size


def _shared(
    found: tuple[Array, ...], parts: int, each: int, formats: Formats, rules: _Rules
) -> Integers:
    """Bits of the distinct rows in each part."""
    part, key, count, reach = found
    if not part.size:
        return np.zeros(parts, np.int64)
    span = np.zeros(parts, np.int64)
    np.maximum.at(span, part, reach)
    width = widths(formats.index_widths, span)
    order = np.lexsort((key, part))
    fresh = np.ones(order.size, np.bool_)
    fresh[1:] = (np.diff(part[order]) != 0) | (key[order][1:] != key[order][:-1])
    one = order[fresh]
    bits = _row_bits(count[one], each + width[part[one]], rules)
    return np.bincount(part[one], bits, parts).astype(np.int64)


def _row_bits(count: Integers, each: Integers, rules: _Rules) -> Integers:
    """B(n, 0, s) of rows with ``count`` synapses of ``each`` bits."""
    full, rest = np.divmod(count, rules.block)
    whole = _words(rules.head + rules.block * each, rules.word)
    last = np.where(rest > 0, _words(rules.head + rest * each, rules.word), 0)
    return np.asarray(full * whole + last)


def _words(bits: Any, word: int) -> Any:
    return -(-bits // word) * word


@numba.njit(cache=True)
def _blocks(n: Any, head: Any, each: Any, word: Any, block: Any) -> Any:
    bits = np.int64(0)
    if n >= block:
        bits += n // block * ((head + block * each + word - 1) // word * word)
    if n % block:
        bits += (head + n % block * each + word - 1) // word * word
    return bits


@numba.njit(cache=True)
def _runs(ptr: Any, target: Any) -> Any:
    """How many runs of neighbours each row has, in the network's own numbers."""
    out = np.zeros(ptr.size - 1, np.int64)
    for r in range(ptr.size - 1):
        row = np.sort(target[ptr[r] : ptr[r + 1]])
        for k in range(row.size):
            if k == 0 or row[k] > row[k - 1] + 1:
                out[r] += 1
    return out


@numba.njit(cache=True)
def _sorted_row(ptr: Any, target: Any, first: Any, part: Any, place: Any, r: Any) -> Any:
    """Part and place of each synapse of a row as one number, ascending."""
    keys = np.empty(ptr[r + 1] - ptr[r], np.int64)
    for k in range(keys.size):
        v = target[ptr[r] + k] - first
        keys[k] = np.int64(part[v]) << 32 | np.int64(place[v])
    keys.sort()
    return keys


@numba.njit(cache=True)
def _count_rows(
    ptr: Any, target: Any, first: Any, part: Any, place: Any, size: Any, width: Any, each: Any,
    rules: Any,
) -> Any:  # fmt: skip
    """Bits with an index a synapse, a run, none (3, parts); rows; whether a pair is twice."""
    parts = size.size
    bits = np.zeros((3, parts), np.int64)
    rows = np.zeros(parts, np.int64)
    twice = np.zeros(parts, np.bool_)
    head, word, block = rules
    for r in range(ptr.size - 1):
        keys = _sorted_row(ptr, target, first, part, place, r)
        begin = 0
        while begin < keys.size:
            p = keys[begin] >> 32
            end, start = begin + 1, begin
            while end < keys.size and keys[end] >> 32 == p:
                if keys[end] == keys[end - 1]:
                    twice[p] = True
                if keys[end] > keys[end - 1] + 1:
                    bits[1, p] += _blocks(end - start, head + width[p], each, word, block)
                    start = end
                end += 1
            bits[1, p] += _blocks(end - start, head + width[p], each, word, block)
            bits[0, p] += _blocks(end - begin, head, each + width[p], word, block)
            bits[2, p] += _blocks(size[p], head, each, word, block)
            rows[p] += 1
            begin = end
    return bits, rows, twice


@numba.njit(cache=True)
def _stir(h: Any, x: Any) -> Any:
    """A number of 64 bits that depends on all that was stirred in, and on the order (murmur3)."""
    h = (h ^ np.uint64(x)) * np.uint64(0xFF51AFD7ED558CCD)
    h = (h ^ (h >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
    return h ^ (h >> np.uint64(29))


@numba.njit(cache=True)
def _rows_of_kernel(
    ptr: Any, target: Any, first: Any, part: Any, place: Any, window: Any, rows: Any
) -> Any:
    """The part, a key, the synapses and the reach of each row; rows with one key are alike."""
    in_y, in_x, out_y, out_x, stride_y, stride_x = window[:6]
    out_part, key = np.empty(rows, np.int64), np.empty(rows, np.uint64)
    count, reach = np.empty(rows, np.int64), np.empty(rows, np.int64)
    n = 0
    for r in range(ptr.size - 1):
        length = ptr[r + 1] - ptr[r]
        keys, at = np.empty(length, np.int64), np.empty(length, np.int64)
        for k in range(length):
            at[k] = target[ptr[r] + k] - first
            keys[k] = np.int64(part[at[k]]) << 32 | np.int64(place[at[k]])
        order = np.argsort(keys)
        channel, y, x = r // (in_y * in_x), r // in_x % in_y, r % in_x
        begin = 0
        while begin < length:
            low = keys[order[begin]]
            p = low >> 32
            h = _stir(np.uint64(0x9E3779B97F4A7C15), channel)
            end = begin
            while end < length and keys[order[end]] >> 32 == p:
                v = at[order[end]]
                h = _stir(h, keys[order[end]] - low)
                h = _stir(h, v // (out_y * out_x))
                h = _stir(h, y - v // out_x % out_y * stride_y)
                h = _stir(h, x - v % out_x * stride_x)
                end += 1
            out_part[n], key[n] = p, h
            count[n], reach[n] = end - begin, keys[order[end - 1]] - low + 1
            n += 1
            begin = end
    return out_part, key, count, reach
