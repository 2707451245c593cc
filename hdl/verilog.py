"""The device as one Verilog file, for simulators and synthesis outside Amaranth."""

# Amaranth ships no types.
# mypy: disable-error-code="import-untyped"

from __future__ import annotations

from amaranth.back import verilog
from amaranth.hdl import PortDirection, Value
from amaranth.lib.wiring import In

from .device import Device
from .image import CoreImage
from .shape import CoreShape


def device_verilog(
    shape: CoreShape, image: CoreImage | None = None, digest: bytes | None = None
) -> str:
    """Verilog of a module ``device``, the same text for the same arguments.

    ============================================  ======  ==========================================
    port                                          width   meaning
    ============================================  ======  ==========================================
    clk, rst                                      1       clock; synchronous reset, active high
    rx_payload, rx_valid (in), rx_ready (out)     8, 1    bytes from the host
    tx_payload, tx_valid (out), tx_ready (in)     8, 1    bytes to the host
    trace_valid (out)                             1       a neuron was swept; once per active neuron
                                                          and step, in order
    trace_index (out)                             >= 1    which
    trace_v, trace_u (out)                        V       its state after the step, signed; u is 0
                                                          without a current
    trace_spike (out)                             1       whether it spiked
    ============================================  ======  ==========================================

    A byte moves in a cycle in which valid and ready are both 1. Memories start with the contents
    of ``image`` (all zero without one); reset does not restore them. ``digest`` (8 bytes) is what
    INFO reports, the image's own unless given.

    Raises `ValueError` if the image has another shape or the digest is not 8 bytes.
    """
    device = Device(shape, image, digest)
    ports = {
        "_".join(str(part) for part in path): (
            Value.cast(signal),
            PortDirection.Input if member.flow is In else PortDirection.Output,
        )
        for path, member, signal in device.signature.flatten(device)
    }
    return str(verilog.convert(device, name="device", ports=ports, emit_src=False))
