"""Where the time of a command went, each part measured on its own."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Parts:
    """Named parts of the time since the process began."""

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self._before = since_process_start()
        self._seconds: dict[str, float] = {}
        if self._before is not None:
            self._seconds["start"] = self._before

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
        self._seconds[name] = self._seconds.get(name, 0.0) + seconds

    def describe(self) -> str:
        """Return all parts, what none of them covers, and the total, on one line."""
        total = (self._before or 0.0) + time.perf_counter() - self._began
        parts = {**self._seconds, "other": total - sum(self._seconds.values()), "total": total}
        return ", ".join(f"{name} {seconds:.2f} s" for name, seconds in parts.items())


def since_process_start() -> float | None:
    """Return the seconds since the system started this process, to a hundredth; Linux only."""
    try:
        # The name of the program, in brackets, may contain spaces.
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        started = int(fields[19]) / os.sysconf("SC_CLK_TCK")
        return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - started)
    except (OSError, ValueError, IndexError, AttributeError):
        return None
