"""Failures of tools, devices and boards as coded diagnostics."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from ...boards.table import BoardError
from ...hdl.image import ImageError
from ...hdl.protocol import ProtocolError
from ...hdl.shape import ShapeError
from ...ir.diagnostics import Location, fail
from ..process import StageFailed, StageTimedOut
from .bitstream import ClockUnavailable, DoesNotFit, LinkUnavailable, TimingFailed
from .connection import DeviceLost, NoAnswer, WireFailed
from .host import HostError, StimulusError
from .simulate import Cancelled, DeviceRefused, DeviceSilent
from .toolchain import ToolchainMissing
from .wire import PortUnavailable, WeightsDamaged, WrongDevice


@contextlib.contextmanager
def coded() -> Iterator[None]:
    """Turn what this backend's modules raise into ``SpikecError``."""
    try:
        yield
    except ToolchainMissing as error:
        raise fail("E0602", str(error), hint=error.mend) from error
    except BoardError as error:
        code = "E0304" if error.code == "board-unknown" else "E0305"
        raise fail(code, error.message, Location(error.where), error.hint or None) from error
    except TimingFailed as error:
        raise fail("E0801", str(error)) from error
    except (ClockUnavailable, LinkUnavailable) as error:
        raise fail("E0707", str(error)) from error
    except (ShapeError, ImageError) as error:
        raise fail("E0302", f"the core cannot be built: {error}") from error
    except DoesNotFit as error:
        raise fail("E0302", str(error)) from error
    except StageTimedOut as error:
        raise fail("E0605", str(error)) from error
    except StageFailed as error:
        raise fail("E0603", str(error)) from error
    except StimulusError as error:
        raise fail("E0703", str(error)) from error
    except (DeviceSilent, NoAnswer) as error:
        raise fail("E0802", str(error)) from error
    except PortUnavailable as error:
        raise fail("E0804", str(error)) from error
    except (WrongDevice, ProtocolError) as error:
        raise fail("E0805", str(error), hint="deploy with --program or --load") from error
    except DeviceLost as error:
        raise fail("E0806", str(error)) from error
    except WireFailed as error:
        raise fail("E0807", str(error)) from error
    except WeightsDamaged as error:
        raise fail(
            "E0808", str(error), hint="write the network again: deploy with --load"
        ) from error
    except (Cancelled, DeviceRefused, HostError) as error:
        raise fail("E0803", str(error)) from error
