"""The group of verbs, and what happens when one fails."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

import click

from ...ir.diagnostics import SpikecError, fail
from .console import Report
from .cosim import cosim
from .deploy import deploy
from .explore import explore_
from .info import doctor, explain, targets
from .ladder import run, verify
from .margins import margins
from .model import compare, compile_, show
from .montecarlo import montecarlo
from .profile import profile
from .showcase import demo


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="spikec")
def spikec() -> None:
    """Compile spiking neural networks to neuromorphic hardware, and prove the result equal."""


_VERBS = (
    *(show, compile_, run, verify, profile, cosim, deploy),
    *(montecarlo, margins, compare, explore_, targets, explain, doctor, demo),
)
for verb in _VERBS:
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
    words = sys.argv[1:] if arguments is None else arguments
    try:
        result = spikec.main(arguments, prog_name="spikec", standalone_mode=False)
        sys.stdout.flush()
        return int(result or 0)
    except SpikecError as error:
        return _refuse(error, "--json" in words)
    except click.exceptions.Exit as leave:
        return leave.exit_code
    except click.Abort:
        sys.stderr.write("interrupted; nothing was left half-written\n")
        return 130
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; nothing was left half-written\n")
        return 130
    except click.ClickException as error:
        return _refuse(_usage(error), "--json" in words)
    except (BrokenPipeError, SystemExit) as error:
        # The reader of our output (head, less) has gone: not an error of ours. click and rich make
        # SystemExit(1) of it, and nothing else here leaves that way.
        if isinstance(error, SystemExit) and error.code != 1:
            raise
        _discard_output()
        return 0


def _refuse(error: SpikecError, as_json: bool) -> int:
    report = Report(as_json)
    report.diagnostics(error.diagnostics)
    codes = dict.fromkeys(d.code for d in error.diagnostics if d.code[0] == "E")
    sys.stderr.write(f"'spikec explain {next(iter(codes), 'CODE')}' says more.\n")
    found = [d.as_dict() for d in error.diagnostics]
    report.data({"exit_code": error.exit_code, "diagnostics": found})
    return error.exit_code


def _usage(error: click.ClickException) -> SpikecError:
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "spikec"
    hint = f"'{path} --help' lists what it takes"
    if isinstance(error, click.MissingParameter) and "target" in error.format_message():
        hint = "'spikec targets' lists them"
    return fail("E0707", f"{path}: {error.format_message()}", hint=hint)


def _discard_output() -> None:
    """Point standard output away, so that the interpreter's own flush at exit cannot fail."""
    try:
        place = sys.stdout.fileno()
    except (AttributeError, OSError, ValueError):
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, place)
    os.close(nowhere)
