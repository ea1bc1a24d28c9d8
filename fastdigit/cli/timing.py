"""Where the time of a command went, each part measured on its own."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_IMPORTED = time.perf_counter()


class Parts:
    """Named parts of the time since the process began; none is what others left over."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Add the time of a with-block to a part."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.add(name, time.perf_counter() - started)

    def add(self, name: str, seconds: float) -> None:
        """Add time that was measured elsewhere."""
        self.seconds[name] = self.seconds.get(name, 0.0) + seconds

    def describe(self) -> str:
        """Return all parts, the total, and how much of it is in none of them, on one line."""
        total = since_process_start()
        parts = {**self.seconds, "total": total}
        elsewhere = abs(total - sum(self.seconds.values())) / total
        shown = ", ".join(f"{name} {seconds:.3f} s" for name, seconds in parts.items())
        return f"{shown} ({elsewhere:.1%} in none of these parts)"


def since_process_start() -> float:
    """Return the seconds since the system started this process, or since this module was imported.

    Linux tells the start to a hundredth of a second; what does not tell it counts from the import.
    """
    with suppress(OSError, ValueError, IndexError, AttributeError):
        # The name of the program, in brackets, may contain spaces.
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        started = int(fields[19]) / os.sysconf("SC_CLK_TCK")
        seconds = time.clock_gettime(time.CLOCK_BOOTTIME) - started
        if seconds > 0:
            return seconds
    return time.perf_counter() - _IMPORTED
