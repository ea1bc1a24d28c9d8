"""Standard output and error: what is said there, and what happens when nobody listens."""

import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO


class Forgiving:
    """A stream that goes quiet when its reader has gone, as in ``fastdigit train | head -1``.

    The work goes on, so that what it was to save is saved.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        # A terminal that was closed says that its device is broken.
        self._gone = {errno.EPIPE, errno.EIO} if _is_terminal(stream) else {errno.EPIPE}

    def write(self, text: str) -> int:
        """Write, unless nobody reads any more."""
        try:
            return self._stream.write(text)
        except OSError as error:
            self._go_quiet(error)
            return len(text)

    def flush(self) -> None:
        """Flush, unless nobody reads any more."""
        try:
            self._stream.flush()
        except OSError as error:
            self._go_quiet(error)

    def _go_quiet(self, error: OSError) -> None:
        if error.errno not in self._gone:
            raise error
        hush(self._stream)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def forgiving_streams() -> Iterator[None]:
    """Let both streams lose their readers, and show characters they cannot encode as ``?``."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = _forgiving(sys.stdout), _forgiving(sys.stderr)
    try:
        yield
    finally:
        _finish(sys.stdout)
        _finish(sys.stderr)
        sys.stdout, sys.stderr = before


def say(text: str = "") -> None:
    """Print at once, also into a pipe."""
    print(text, flush=True)


def note(text: str) -> None:
    """Say something beside the result, where it cannot get mixed up with it."""
    print(f"fastdigit: {text}", file=sys.stderr, flush=True)


def say_error(text: str) -> None:
    """State what went wrong."""
    note(f"error: {text}")


def say_warning(message: Warning | str, *where: object, **more: object) -> None:
    """Show a warning as one line, without the source code that Python adds."""
    note(f"warning: {message}")


def _forgiving(stream: TextIO | None) -> TextIO:
    if stream is None:  # closed before Python began
        return open(os.devnull, "w", encoding="utf-8")
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="replace")
    return Forgiving(stream)  # type: ignore[return-value]


def _is_terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty()
    except ValueError:  # closed
        return False


def hush(stream: TextIO) -> None:
    """Send what is in a stream's buffer, and what will be, nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, stream.fileno())
    except (OSError, ValueError):
        pass
    finally:
        os.close(nowhere)


def _finish(stream: TextIO) -> None:
    """Flush, or give up what cannot be written: Python would complain of it again at its end."""
    try:
        stream.flush()
    except (OSError, ValueError):
        hush(stream)
