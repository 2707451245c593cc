"""SpiNNaker's arithmetic in Python's integers, after what its C code means, type by type.

It shares nothing with the kernels. C's types are functions that cut a value to their width; a
history of post spikes is a list that is searched as the C code does, by an index into it.
"""

from __future__ import annotations

from dataclasses import dataclass, field


def i32(x: int) -> int:
    x &= 0xFFFFFFFF
    return x - (1 << 32) if x >> 31 else x


def i16(x: int) -> int:
    x &= 0xFFFF
    return x - (1 << 16) if x >> 15 else x


def accum_times_accum(a: int, b: int) -> int:
    """The middle 32 of the 64 bits of a signed product: SMULL, then two shifts and an OR."""
    product = (a * b) & ((1 << 64) - 1)
    low, high = product & 0xFFFFFFFF, product >> 32
    return i32((low >> 15) | (high << 17))


def decayed(x: int, factor: int) -> int:
    """An s16.15 times an u0.32: the upper 32 of the 64 bits."""
    return i32((x * factor) >> 32)


@dataclass
class Neuron:
    v: int
    v_rest: int
    v_reset: int
    threshold: int
    i_offset: int
    r: int
    exp_tc: int
    refractory: int
    decay: tuple[int, int]
    init: tuple[int, int]
    shift: tuple[int, int]
    inputs: list[int] = field(default_factory=lambda: [0, 0])
    refract_timer: int = 0

    def tick(self, buffers: tuple[list[int], list[int]]) -> bool:
        """``buffers`` are the words that arrive at each receptor, in any order."""
        for k, words in enumerate(buffers):
            ring = 0
            for word in words:
                ring += word
                if ring & 0x10000:
                    ring = 0xFFFF
            self.inputs[k] = i32(self.inputs[k] + decayed(i32(ring << self.shift[k]), self.init[k]))
        if self.refract_timer <= 0:
            current = i32(i32(self.inputs[0] - self.inputs[1]) + self.i_offset)
            alpha = i32(accum_times_accum(current, self.r) + self.v_rest)
            self.v = i32(alpha - accum_times_accum(self.exp_tc, i32(alpha - self.v)))
        else:
            self.refract_timer -= 1
        spike = self.v >= self.threshold
        if spike:
            self.v, self.refract_timer = self.v_reset, self.refractory
        self.inputs = [decayed(x, d) for x, d in zip(self.inputs, self.decay, strict=True)]
        return spike


def fixed_mul16(a: int, b: int) -> int:
    return (i16(a) * i16(b)) >> 11


def lookup(ticks: int, table: list[int]) -> int:
    ticks &= 0xFFFFFFFF  # uint32_t: what is negative is beyond the table
    return table[ticks] if ticks < len(table) else 0


@dataclass
class Synapse:
    """One plastic synapse, with the pre history of its row and the post history of its column."""

    word: int
    delay: int
    plus: list[int]
    minus: list[int]
    a_plus: int
    a_minus: int
    w_min: int
    w_max: int
    shift: int
    last_pre: tuple[int, int] = (0, 0)  # time, trace
    history: list[tuple[int, int]] = field(default_factory=lambda: [(0, 0)])

    def post(self, time: int) -> None:
        last_time, last_trace = self.history[-1]
        faded = i16(fixed_mul16(last_trace, lookup(time - last_time, self.minus)))
        if len(self.history) == 16:
            del self.history[1]
        self.history.append((time, i16(faded + 2048)))

    def pre(self, time: int) -> int:
        """The word that is sent."""
        last_time, last_trace = self.last_pre
        faded = fixed_mul16(last_trace, lookup(time - last_time, self.plus))
        self.last_pre = time, i16(faded + 2048)
        begin = last_time - self.delay if last_time >= self.delay else 0
        end = time - self.delay if time >= self.delay else 0
        weight = self._potentiated(last_time, last_trace, begin, end)
        if self._previous:
            post_time, post_trace = self.history[self._previous]
            since = time - (post_time + self.delay)
            trace = fixed_mul16(post_trace, lookup(since, self.minus))
            weight = i32(weight - accum_times_accum(self.a_minus, trace << 4))
            weight = max(weight, self.w_min)
        self.word = (weight >> self.shift) & 0xFFFF
        return self.word

    def catch_up(self) -> None:
        """The end of a sample: as by a pre spike after all post spikes, without its depression."""
        last_time, last_trace = self.last_pre
        begin = last_time - self.delay if last_time >= self.delay else 0
        weight = self._potentiated(last_time, last_trace, begin, 1 << 31)
        self.word = (weight >> self.shift) & 0xFFFF

    def _potentiated(self, last_time: int, last_trace: int, begin: int, end: int) -> int:
        weight = i32(self.word << self.shift)
        # post_events_get_window_delayed: backwards from behind the end.
        event = end_event = len(self.history)
        while True:
            if event < len(self.history) and self.history[event][0] > end:
                end_event = event
            following = event
            event -= 1
            if not (self.history[event][0] > begin and event != 0):
                break
        self._previous = event
        for e in range(following, end_event):
            since = (self.history[e][0] + self.delay - last_time) & 0xFFFFFFFF
            if since > 0:
                trace = fixed_mul16(last_trace, lookup(since, self.plus))
                weight = i32(weight + accum_times_accum(self.a_plus, trace << 4))
                weight = min(weight, self.w_max)
            self._previous = e
        return weight
