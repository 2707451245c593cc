"""Records what the released programs of sPyNNaker compute, into spinnaker_vectors.json.

    pip download --no-deps 'sPyNNaker==1!7.4.1' && unzip spynnaker-*.whl && pip install unicorn
    python tests/compiler/integer/record_spinnaker.py spynnaker/pyNN/model_binaries

The two programs are images of ARM code for the cores of SpiNNaker. Their functions are run one by
one in an emulator of the instruction set, with memory laid out as their source does it; addresses
are those of this one release. Nothing is kept but numbers that went in and came out.
"""

from __future__ import annotations

import json
import random
import struct
import sys
from pathlib import Path
from typing import Any

STOP = 0xFF00
MEMORY = 0x400000
FIELDS = ("v", "v_rest", "r", "exp_tc", "i_offset", "threshold", "excitatory", "inhibitory")


class Program:
    """One image: its code at 0, its data at 0x400000, addresses as in the file."""

    def __init__(self, path: Path) -> None:
        import unicorn  # type: ignore[import-not-found]  # none of our dependencies
        from unicorn import arm_const

        self._registers = arm_const
        data = path.read_bytes()
        head = struct.unpack("<16I", data[:64])
        self._data, self._code = data, head[2]
        self.core = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_ARM)
        self.core.mem_map(0, 0x10000)
        self.core.mem_map(MEMORY, 0x20000)
        self.core.mem_write(0, data[head[2] : head[2] + head[3]])
        self.core.mem_write(head[5], data[head[6] : head[6] + head[7]])

    def run(self, begin: int, end: int | None = None, **registers: int) -> None:
        """From one place in the file to another, or until the function returns."""
        for name, value in {"LR": STOP, **registers}.items():
            number = getattr(self._registers, f"UC_ARM_REG_{name}")
            self.core.reg_write(number, value & 0xFFFFFFFF)
        self.core.emu_start(begin - self._code, STOP if end is None else end - self._code)

    def register(self, name: str) -> int:
        return int(self.core.reg_read(getattr(self._registers, f"UC_ARM_REG_{name}")))

    def write(self, at: int, form: str, *values: int) -> None:
        wide = [v & 0xFFFFFFFF for v in values] if form == "I" else values
        self.core.mem_write(at, struct.pack(f"<{len(values)}{form}", *wide))

    def read(self, at: int, form: str, count: int = 1) -> list[int]:
        size = struct.calcsize(form) * count
        return list(struct.unpack(f"<{count}{form}", self.core.mem_read(at, size)))

    def constant(self, at: int) -> int:
        """A word of the code: the address of a variable."""
        return int(struct.unpack("<I", self._data[at : at + 4])[0])


def exponentials(program: Program, random_: random.Random) -> list[list[int]]:
    """[x, expk(x)], and behind them the 64 bits of which expulr keeps 32, within its range."""
    found = []
    edges = [-340696, -340695, 363408, 363409, *(k << 15 for k in range(-10, 12))]
    for x in [*edges, *(random_.randrange(-340695, 363409) for _ in range(150))]:
        program.run(0x3824, R0=x, SP=0x40F000)
        row = [x, program.register("R0")]
        if -340695 <= x <= 363408:
            program.run(0x3740, R0=x, SP=0x40F000)
            row.append(program.register("R0") | program.register("R1") << 32)
        found.append(row)
    return found


def membranes(program: Program, random_: random.Random) -> list[list[int]]:
    """`FIELDS`, the v that follows, and whether it is below the threshold."""
    found = []
    for k in range(120):
        if k % 2:  # any 32 bits
            row = [random_.randrange(-(1 << 31), 1 << 31) for _ in FIELDS]
            row[2] = abs(row[2] + 1)
        else:
            near = [random_.randrange(-70 << 15, -40 << 15) for _ in range(3)]
            r, exp_tc = random_.randrange(0, 400 << 15), random_.randrange(0, 1 << 15)
            currents = [random_.randrange(0, 20 << 15) for _ in range(2)]
            row = [
                near[0],
                near[1],
                r,
                exp_tc,
                random_.randrange(-32768, 32768),
                near[2],
                *currents,
            ]
        v, rest, r, exp_tc, offset, threshold, exc, inh = row
        program.write(0x401000, "I", v, rest, r, exp_tc, offset)
        program.write(0x402000, "I", threshold)
        program.write(0x408000, "I", 0, 0, 0, inh, 0x402000)
        program.run(0x21F0, 0x2250, R8=0x401000, SP=0x408000, R5=exc, R7=0)
        flags = program.register("CPSR")
        below = not flags >> 30 & 1 and (flags >> 31 & 1) == (flags >> 28 & 1)
        found.append([*row, *program.read(0x401000, "i"), int(below)])
    return found


def inputs(program: Program, random_: random.Random) -> list[list[int]]:
    """word, shift, init, decay, input, then the input with the word, and that decayed."""
    found = []
    for _ in range(80):
        word, shift = random_.randrange(1, 65536), random_.randrange(16)
        init, decay = random_.randrange(1 << 32), random_.randrange(1 << 32)
        value = random_.randrange(-(1 << 31), 1 << 31)
        program.write(0x403000, "I", decay, init, value, 0, 0, 0)
        program.write(0x404000, "H", word)
        registers = {"R0": 0x403000, "R1": 0x404000 - 2, "R8": shift, "LR": 0, "SB": 1, "R3": 0}
        program.run(0x2604, 0x2640, **registers)
        added = program.read(0x403008, "i")
        program.run(0x2190, 0x21C4, R6=0x403000, FP=5)
        found.append([word, shift, init, decay, value, *added, *program.read(0x403008, "i")])
    return found


def pairs(program: Program, random_: random.Random, tables: dict[str, list[int]]) -> list[Any]:
    """Trains of a pre and a post neuron, and the weight that each pre spike has left."""
    plus, minus, shifts, rule, history = 0x404000, 0x406000, 0x408000, 0x408100, 0x409000
    ring, row, fixed, back = 0x40A000, 0x412000, 0x413000, 0x414000
    state = program.constant(0x2A5C)
    found = []
    for k in range(48):
        names = random_.choice(list(tables)), random_.choice(list(tables))
        for at, name in ((plus, names[0]), (minus, names[1])):
            program.write(at, "h", len(tables[name]), 0, *tables[name])
        shift, delay = random_.randrange(12), random_.randrange(1, 9)
        w_max = min(random_.randrange(1, 8 << 15), 65535 << shift)
        w_min = w_max // 5 if k % 4 == 0 else 0
        amplitudes = [random_.randrange(8 << 15) for _ in range(2)]
        word = random_.randrange(w_min >> shift, (w_max >> shift) + 1)
        globals_ = {0x2A58: plus, 0x2A80: minus, 0x2A60: 3, 0x2A64: 2047, 0x2A68: 7, 0x2A6C: 2}
        for at, value in (globals_ | {0x2A70: 1, 0x2A74: 3, 0x2A78: shifts, 0x2A7C: rule}).items():
            program.write(program.constant(at), "I", value)
        program.write(shifts, "I", shift)
        program.write(rule, "I", w_min, w_max, *amplitudes)
        program.write(state, "I", 0, 0, 1, history)
        program.write(history, "I", *[0] * 25)
        program.write(ring, "I", *[0] * 8192)
        program.write(row, "I", 0, 0)
        program.write(row + 8, "H", word)
        program.write(fixed, "I", 0, 1)
        program.write(fixed + 8, "H", delay << 3)
        rates = random_.choice([0.1, 0.3, 0.9]), random_.choice([0.1, 0.3, 0.9])
        ticks = range(random_.randrange(20, 70))
        trains = [[t for t in ticks if random_.random() < rate] for rate in rates]
        left = []
        for t in ticks:
            if t in trains[1]:
                program.run(0x243C, R0=t, R1=0, SP=0x41F000)
            if t in trains[0]:
                program.write(0x41E000, "I", 0, back)
                program.run(0x2670, R0=row, R1=fixed, R2=ring, R3=t, SP=0x41E000)
                left += program.read(row + 8, "H")
                sent = program.read(ring + 2 * ((delay + t & 2047) << 3), "H")
                assert sent == left[-1:]
        numbers = [delay, shift, w_min, w_max, *amplitudes, word]
        found.append([*names, numbers, *trains, left])
    return found


def main() -> None:
    folder, random_ = Path(sys.argv[1]), random.Random(1)
    neuron = Program(folder / "IF_curr_exp_neuron.aplx")
    synapses = Program(folder / "synapses_stdp_mad_pair_additive.aplx")
    from spikec.compiler.passes.spinnaker import decay_table

    tables = {str(tau): decay_table(tau, 1.0).tolist() for tau in (1.5, 3.0, 5.0, 20.0, 60.0)}
    tables["none"] = [2048] * 64  # does not decay: traces wrap
    vectors = {
        "exponentials": exponentials(neuron, random_),
        "membranes": membranes(neuron, random_),
        "inputs": inputs(neuron, random_),
        "pairs": pairs(synapses, random_, tables),
    }
    lines = [f"{json.dumps(name)}: {json.dumps(rows)}" for name, rows in vectors.items()]
    path = Path(__file__).with_name("spinnaker_vectors.json")
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
