"""The command ``fastdigit``: arguments in, calls out.

Exit codes: 0 good, 1 the work failed, 2 the arguments are wrong, 129 hung up, 130 interrupted,
143 terminated.
Each command imports what it needs when it runs, so that ``--help`` answers at once.
"""

import argparse
import atexit
import gc
import math
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

from fastdigit import __version__
from fastdigit.cli import commands
from fastdigit.cli.arguments import ArgumentError, in_options
from fastdigit.cli.streams import forgiving_streams, note, say_error, say_warning
from fastdigit.errors import DataError, DivergenceError
from fastdigit.interrupts import ENDING

GOOD, FAILED, WRONG_ARGUMENTS, INTERRUPTED = 0, 1, 2, 130
BY_SIGNAL = 128
"""Added to the number of the signal that ended a command."""


class Terminated(KeyboardInterrupt):
    """SIGTERM or SIGHUP: what stops for Ctrl-C, and saves what it has, stops for these, too."""

    def __init__(self, number: int) -> None:
        self.number = number


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code.

    Parameters
    ----------
    arguments
        Without the name of the program; by default those that it was called with.
    """
    spare_garbage_collection()
    with forgiving_streams(), warnings.catch_warnings(), termination_as_interrupt():
        warnings.showwarning = say_warning
        parser = build_parser()
        try:
            options = parser.parse_args(arguments)
            check_environment()
            options.run(options)
            if sys.stdout is not None:
                sys.stdout.flush()
            return GOOD
        except SystemExit as error:
            return error.code if isinstance(error.code, int) else FAILED
        except Terminated as error:
            note("terminated")
            return BY_SIGNAL + error.number
        except KeyboardInterrupt:
            note("interrupted")
            return INTERRUPTED
        except ArgumentError as error:
            say_error(str(error))
            return WRONG_ARGUMENTS
        except (DataError, DivergenceError, OSError, MemoryError) as error:
            say_error(in_options(describe(error)))
            return FAILED


def check_environment() -> None:
    """Raise ArgumentError for a number of threads that Numba does not take."""
    threads = os.environ.get("NUMBA_NUM_THREADS", "").strip()
    if threads and not (threads.isdecimal() and int(threads) > 0):
        raise ArgumentError(
            f"NUMBA_NUM_THREADS={threads} in the environment; it must be a whole number, 1 or more"
        )


def spare_garbage_collection() -> None:
    """Look for garbage seldom, and not at the end.

    Imports leave none, and looking for it takes a tenth of their time; what a process that ends
    leaves is given back as a whole, which saves 0.2 s.
    """
    gc.set_threshold(50_000)
    atexit.register(gc.freeze)


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
        use_less = "use fewer --rows or --hidden units"
        return f"there is not enough memory ({error or 'no details'}); {use_less}"
    return str(error) or type(error).__name__


@contextmanager
def termination_as_interrupt() -> Iterator[None]:
    """Turn SIGTERM and SIGHUP into `Terminated`; what is ignored, as by nohup, stays ignored.

    Of several signals in a second, Ctrl-C included, the first one counts: the others would stop
    what is done to obey it. Only the main thread may do that, so elsewhere nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    obeyed = -math.inf

    def terminate(number: int, frame: FrameType | None) -> None:
        nonlocal obeyed
        now = time.monotonic()
        if now - obeyed < 1:
            return
        obeyed = now
        raise KeyboardInterrupt if number == signal.SIGINT else Terminated(number)

    before = {
        number: signal.signal(number, terminate)
        for number in ENDING
        if signal.getsignal(number) != signal.SIG_IGN
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
