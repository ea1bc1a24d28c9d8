"""The command ``fastdigit``: arguments in, calls out.

Exit codes: 0 good, 1 the work failed, 2 the arguments are wrong, 130 interrupted, 143 terminated.
Each command imports what it needs when it runs, so that ``--help`` answers at once.
"""

import argparse
import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

from fastdigit import __version__
from fastdigit.cli import commands
from fastdigit.cli.arguments import ArgumentError
from fastdigit.cli.streams import forgiving_streams, note, say_error, say_warning
from fastdigit.errors import DataError, DivergenceError

GOOD, FAILED, WRONG_ARGUMENTS, INTERRUPTED, TERMINATED = 0, 1, 2, 130, 143


class Terminated(KeyboardInterrupt):
    """SIGTERM: whatever stops for Ctrl-C, and saves what it has, stops for this too."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code.

    Parameters
    ----------
    arguments
        Without the name of the program; by default those that it was called with.
    """
    with forgiving_streams(), warnings.catch_warnings(), termination_as_interrupt():
        warnings.showwarning = say_warning
        parser = build_parser()
        try:
            options = parser.parse_args(arguments)
            options.run(options)
            if sys.stdout is not None:
                sys.stdout.flush()
            return GOOD
        except SystemExit as error:
            return error.code if isinstance(error.code, int) else FAILED
        except Terminated:
            note("terminated")
            return TERMINATED
        except KeyboardInterrupt:
            note("interrupted")
            return INTERRUPTED
        except ArgumentError as error:
            say_error(str(error))
            return WRONG_ARGUMENTS
        except (DataError, DivergenceError, OSError, MemoryError) as error:
            say_error(describe(error))
            return FAILED


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    parser = argparse.ArgumentParser(
        prog="fastdigit",
        description="Train networks that read handwritten digits, and prove how fast it is.",
        epilog="fastdigit COMMAND --help says more about each.",
    )
    parser.add_argument("--version", action="version", version=f"fastdigit {__version__}")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for add in commands.ALL:
        add(subparsers)
    return parser


def describe(error: BaseException) -> str:
    """Return what went wrong, without Python's decoration."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    if isinstance(error, MemoryError):
        return f"there is not enough memory ({error or 'no details'}); use fewer --rows"
    return str(error) or type(error).__name__


@contextmanager
def termination_as_interrupt() -> Iterator[None]:
    """Turn SIGTERM into `Terminated`; only the main thread may, so elsewhere nothing changes."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def terminate(number: int, frame: FrameType | None) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
