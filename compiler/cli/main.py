"""The group of verbs, and what happens when one fails."""

from __future__ import annotations

import signal
import sys
from types import FrameType

import click

from ...ir.diagnostics import SpikecError
from .console import Report
from .info import doctor, explain, targets
from .ladder import profile, run, verify
from .model import compare, compile_, show
from .showcase import demo


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="spikec")
def spikec() -> None:
    """Compile spiking neural networks to neuromorphic hardware, and prove the result equal."""


for verb in (show, compile_, run, verify, profile, compare, targets, explain, doctor, demo):
    spikec.add_command(verb)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    # As Ctrl-C does: the tools that we have started end with us.
    signal.signal(signal.SIGTERM, _terminated)
    sys.exit(invoke(arguments))


def _terminated(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def invoke(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    try:
        result = spikec.main(arguments, prog_name="spikec", standalone_mode=False)
        return int(result or 0)
    except SpikecError as error:
        Report(as_json=False).diagnostics(error.diagnostics)
        codes = dict.fromkeys(d.code for d in error.diagnostics if d.code[0] == "E")
        sys.stderr.write(f"'spikec explain {next(iter(codes), 'CODE')}' says more.\n")
        return error.exit_code
    except click.exceptions.Exit as leave:
        return leave.exit_code
    except click.Abort:
        sys.stderr.write("interrupted; nothing was left half-written\n")
        return 130
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; nothing was left half-written\n")
        return 130
    except click.ClickException as error:
        error.show()
        return 2
    except BrokenPipeError:
        # The reader of our output (head, less) has gone: not an error of ours.
        sys.stderr.close()
        return 0
