from spikec.hdl.shape import CoreShape
from spikec.ir.recovery import DECAY, FACTORS, MAX_SUBSTEPS


def test_factors_are_bounded_as_the_manual_says() -> None:
    """In units of 2^-F: a decay of -8 to 8, a curve below 32, b within 4 and a within 16."""
    for bits in (4, 12, 16):
        one = 1 << bits
        assert DECAY.limits(bits) == (-8 * one, 8 * one - 1)
        assert {name: factor.limits(bits) for name, factor in FACTORS.items()} == {
            "curve": (0, 32 * one - 1),
            "couple": (-4 * one, 4 * one - 1),
            "rate": (-16 * one, 16 * one - 1),
        }


def test_a_core_has_fields_for_all_of_them() -> None:
    shape = CoreShape(4, 8, 16, 16, 16, 8, 32, decay_bits=10, quadratic=MAX_SUBSTEPS)
    fields = {field.name: (field.minimum, field.maximum) for field in shape.class_fields}
    for name, factor in {"decay_v": DECAY, **FACTORS}.items():
        assert fields[name] == factor.limits(10)
