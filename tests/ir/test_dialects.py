"""Each dialect reproduces what was recorded on its platform.

The stepper below is the step of ``spikec.ir.semantics.Semantics`` written down once more, in
numpy, for one population with a loop.
"""

import itertools
from collections import deque
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import pytest

from spikec.ir.dialects import DIALECTS, Dialect
from spikec.ir.neurons import LIF, CubaLIF, Neuron
from spikec.ir.semantics import Comparison, Current, Gain, Reset, Semantics
from spikec.ir.step import step_parameters

Real = npt.NDArray[np.float64]
DT = 1e-4


def real(value: Any) -> Real:
    return np.asarray(value, dtype=np.float64)


def delayed(values: Real, steps: int) -> Real:
    out = np.zeros_like(values)
    out[steps:] = values[: len(values) - steps]
    return out


def run(
    neuron: Neuron,
    dialect: Dialect,
    stimulus: Real,
    weight: Real,
    recurrent: Real | None = None,
    recurrent_bias: Real | None = None,
) -> npt.NDArray[np.int64]:
    """Spike counts (steps, neurons) of one population driven by ``stimulus`` (steps, lines)."""
    s = dialect.semantics
    p = step_parameters(neuron, s, DT)
    assert p.threshold is not None and p.v_reset is not None
    size = len(weight)
    drive = delayed(stimulus @ weight.T, dialect.forward_delay)
    loop = np.zeros((size, size)) if recurrent is None else recurrent
    bias = np.zeros(size) if recurrent_bias is None else recurrent_bias
    # What the loop sees: the delay of its edge, and that of a registered population.
    late = dialect.recurrent_delay + s.registered
    assert late >= 1
    pending = deque([np.zeros(size)] * late, maxlen=late)
    u, v, waiting = np.zeros(size), np.full(size, s.v_init), np.zeros(size)
    spikes = []
    for step, current in enumerate(drive):
        total = current + loop @ pending[0]
        if step or s.recurrent_bias_first:
            total = total + bias
        x = total
        if p.decay_u is not None and p.gain_u is not None:
            old, u = u, p.decay_u * u + p.gain_u * total
            x = u if s.current is Current.NEW else old
        w = p.decay_v * v + p.drift + p.gain_v * x
        if s.v_min is not None:
            w = np.maximum(w, s.v_min)
        level = p.threshold
        if s.reset is Reset.TWO_PHASE:
            level = np.where(v > level, 2 * level, level)
        above = w >= level if s.comparison is Comparison.GREATER_EQUAL else w > level
        z = above.astype(np.float64)
        if s.max_spikes != 1:
            z = np.minimum(
                z * np.floor(w / level), np.inf if s.max_spikes is None else s.max_spikes
            )
        match s.reset:
            case Reset.ZERO | Reset.VALUE:
                v = np.where(above, p.v_reset, w)
            case Reset.SUBTRACT | Reset.TWO_PHASE:
                v = w - z * p.threshold
        pending.append(z)
        spikes.append(waiting if s.registered else z)
        waiting = z
    return np.array(spikes, dtype=np.int64)


# --- one LIF neuron, recorded on ten platforms ---

EXACT = (460, 510, 710, 760)
LATE = tuple(step + 1 for step in EXACT)
EARLY = (450, 500, 710, 760)

RECORDED = [
    ("snntorch", "lif_snntorch", EXACT),
    ("norse", "lif_norse", EXACT),
    ("nengo", "lif_nengo", EXACT),
    ("spinnaker2", "lif_spinnaker2", EXACT),
    ("spyx", "lif_spyx", LATE),
    ("lava", "lif_lava_cpu_float", LATE),
    ("lava", "lif_lava_cpu_fixed", LATE),
    ("lava", "lif_lava_loihi_fixed", LATE),
    ("sinabs", "lif_sinabs", EARLY),
    ("rockpool", "lif_rockpool", EARLY),
]


def one_lif(dialect: str) -> tuple[LIF, Real]:
    """The neuron of ``lif_norse.nir``, or of ``lif_rockpool.nir``, whose r carries a factor."""
    r, weight = (24.019737, 0.04) if dialect == "rockpool" else (1.0, 1.0)
    return LIF(real([2.5e-3]), real([r]), real([0.0]), real([0.1]), real([0.0])), real([[weight]])


@pytest.mark.parametrize(("dialect", "name", "expected"), RECORDED)
def test_recorded_lif(data_dir: Path, dialect: str, name: str, expected: tuple[int, ...]) -> None:
    path = data_dir / "nir" / "lif" / f"{name}.csv"
    if not path.exists():
        pytest.skip(f"no recording at {path}")
    recording = np.loadtxt(path, delimiter=",")
    assert tuple(np.flatnonzero(recording[:, 2])) == expected
    stimulus = np.loadtxt(path.with_name("lif_norse.csv"), delimiter=",")[:, :1]
    neuron, weight = one_lif(dialect)
    spikes = run(neuron, DIALECTS[dialect], stimulus, weight)
    assert tuple(np.flatnonzero(spikes)) == expected


def test_exact_solution_is_that_of_an_exact_step(data_dir: Path) -> None:
    """The dialect with exponential decay and held input follows the closed-form membrane."""
    recording = np.loadtxt(data_dir / "nir" / "lif" / "lif_exact.csv", delimiter=",")
    neuron, weight = one_lif("nengo")
    spikes = run(neuron, DIALECTS["nengo"], recording[:, :1], weight)
    assert np.array_equal(spikes[:, 0], recording[:, 2])


# --- the Braille network: 256 steps of 40 recurrent neurons ---

Braille = tuple[CubaLIF, Real, Real, Real]


@pytest.fixture(scope="module")
def braille(data_dir: Path) -> Braille:
    folder = data_dir / "nir" / "braille"
    path = folder / "braille_noDelay_noBias_subtract.nir"
    if not path.exists():
        pytest.skip(f"no network at {path}")
    with h5py.File(path) as file:
        nodes = file["node/nodes"]
        names = ("tau_syn", "tau_mem", "r", "v_leak", "w_in", "v_threshold")
        neuron = CubaLIF(*(real(nodes[f"lif1.lif/{name}"][()]) for name in names))
        weight = real(nodes["fc1/weight"][()])
        recurrent = real(nodes["lif1.w_rec/weight"][()])
    stimulus = real(np.load(folder / "braille_test0_input_256x12_label1.npy"))
    return neuron, stimulus, weight, recurrent


@pytest.mark.parametrize("dialect", ["snntorch", "norse", "spyx"])
def test_recorded_braille(data_dir: Path, braille: Braille, dialect: str) -> None:
    path = data_dir / "nir" / "braille" / "golden_noBias_subtract.npz"
    with np.load(path) as file:
        recorded = file[f"hidden_{dialect}"]
    assert recorded.size == 10_240
    neuron, *rest = braille
    spikes = run(neuron, DIALECTS[dialect], *rest)
    assert int((spikes != recorded).sum()) == 0


def test_recordings_differ(data_dir: Path, braille: Braille) -> None:
    """The three resets are told apart by this input: no dialect passes for another."""
    neuron, *rest = braille
    names = ("snntorch", "norse", "spyx")
    spikes = {name: run(neuron, DIALECTS[name], *rest) for name in names}
    for a, b in itertools.combinations(names, 2):
        assert (spikes[a] != spikes[b]).sum() > 40, (a, b)
    shifted = np.roll(spikes["spyx"], -1, axis=0)
    assert (shifted != spikes["snntorch"]).sum() == 46  # plain subtract against two phases


# --- the table itself ---


def test_names_are_keys() -> None:
    assert all(dialect.name == name for name, dialect in DIALECTS.items())


def test_the_promised_dialects_are_there() -> None:
    promised = "nir snntorch snntorch-zero norse spyx sinabs rockpool lava nengo spinnaker2 pynn"
    assert list(DIALECTS) == promised.split()


@pytest.mark.parametrize("name", DIALECTS)
def test_entry_is_complete(name: str) -> None:
    dialect = DIALECTS[name]
    assert dialect.summary and not dialect.summary.endswith(".")
    assert dialect.source
    assert dialect.forward_delay >= 0
    # A loop needs a step of delay from somewhere.
    assert dialect.recurrent_delay + dialect.semantics.registered >= 1
    assert dialect.default_dt is None or dialect.default_dt > 0


def test_semantics_and_delays_are_told_apart() -> None:
    """Two names for one rule would be a choice without a difference."""
    rules: dict[tuple[Semantics, int, int], list[str]] = {}
    for d in DIALECTS.values():
        key = (d.semantics, d.forward_delay, d.recurrent_delay)
        rules.setdefault(key, []).append(d.name)
    assert [names for names in rules.values() if len(names) > 1] == [
        ["snntorch-zero", "spinnaker2"]  # the same rule, kept for their own names
    ]


def test_letter_of_the_specification() -> None:
    letter = DIALECTS["nir"].semantics
    assert (letter.reset, letter.comparison, letter.max_spikes) == (Reset.VALUE, ">", 1)
    assert DIALECTS["nir"].default_dt is None
    assert DIALECTS["rockpool"].semantics.gain is Gain.COMPENSATED
