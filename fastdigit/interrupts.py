"""Ctrl-C and its like: what comes while an interrupted training is being kept has to wait."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

ENDING = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
]
"""Signals that may end a program by raising an exception."""


@contextmanager
def ignored() -> Iterator[None]:
    """Ignore these signals; for a moment, while the first of them is being obeyed.

    Only the main thread can, and only there they raise.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers = {number: signal.getsignal(number) for number in ENDING}
    # What was not set from Python could not be set again.
    handlers = {number: handler for number, handler in handlers.items() if handler is not None}
    try:
        for number in handlers:
            signal.signal(number, signal.SIG_IGN)
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
