"""Memory: how much there is, asked before anything large is allocated."""

import os
from pathlib import Path

from fastdigit.errors import DataError


def available_memory() -> int | None:
    """Return the bytes a program may still take, or None where the system does not tell.

    Linux counts what it could free from its file cache as available; elsewhere the whole memory
    of the machine is returned.
    """
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None


def require_memory(needed: int, what: str) -> None:
    """Raise DataError if ``needed`` bytes for ``what`` are more than is available."""
    available = available_memory()
    if available is not None and needed > available:
        raise DataError(
            f"{what} would need {needed / 1e9:.1f} GB of memory, but {available / 1e9:.1f} GB "
            "are available; use a part of the data, or a machine with more memory"
        )
