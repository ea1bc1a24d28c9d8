"""How many processors this process may use, which is often fewer than the machine has.

Nothing heavy is imported here: the answer is needed before NumPy and Numba are loaded.
"""

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

CGROUPS = Path("/sys/fs/cgroup")
PROCESS = Path("/proc/self")


def allowed() -> int:
    """Return the number of processors that affinity and quotas leave, at least 1.

    A quota is rounded down: three threads on 2.5 processors would be stopped in every period.
    """
    if hasattr(os, "sched_getaffinity"):
        processors = len(os.sched_getaffinity(0))
    else:
        processors = os.cpu_count() or 1
    return max(1, min(processors, int(quota() or processors)))


def quota(cgroups: Path = CGROUPS, process: Path = PROCESS) -> float | None:
    """Return how many processors the control groups pay for; None where there is no limit.

    Parameters
    ----------
    cgroups
        Where the file systems of control groups are mounted.
    process
        What ``/proc`` says of a process: the file ``cgroup`` names its groups.

    Notes
    -----
    Containers, batch systems and systemd limit time, not processors: a container with
    ``--cpus=2`` on 64 of them sees all 64. Each group above a process can have its own limit.
    """
    limits = [limit for group in _groups(cgroups, process) if (limit := _limit(group))]
    return min(limits, default=None)


def _groups(cgroups: Path, process: Path) -> Iterator[Path]:
    """Yield the directories of the groups that limit time, from the innermost to the mount.

    Inside a container the names are often those outside of it, and lead nowhere: then the mount
    itself is the container's group.
    """
    for line in _text(process / "cgroup").splitlines():
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if not controllers:  # version 2: one hierarchy for all, beside version 1 in "unified"
            mounts = [cgroups, cgroups / "unified"]
        elif "cpu" in controllers.split(","):
            mounts = [cgroups / "cpu", cgroups / controllers]
        else:
            continue
        names = [name for name in PurePosixPath(path).parts if name not in ("/", "..")]
        for depth in range(len(names), -1, -1):
            for mount in mounts:
                yield mount.joinpath(*names[:depth])


def _limit(group: Path) -> float | None:
    """Return how many processors one group pays for; None where it has no limit."""
    numbers = _text(group / "cpu.max").split() or [
        _text(group / f"cpu.cfs_{name}_us") for name in ("quota", "period")
    ]
    try:
        time, period = map(int, numbers)
    except ValueError:  # "max", or no such files
        return None
    return time / period if time > 0 and period > 0 else None


def _text(file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError:
        return ""
