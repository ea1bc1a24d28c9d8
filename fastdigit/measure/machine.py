"""What a measurement ran on: facts that explain a number, and none that name a person or place."""

import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from fastdigit import processors

PACKAGES = ("fastdigit", "numpy", "numba", "llvmlite", "pandas", "matplotlib", "threadpoolctl")
VECTORS = ("sse4_2", "avx", "avx2", "fma", "avx512f", "avx512bw", "avx512_vnni", "amx_tile")
UNKNOWN = "unknown"


def machine(packages: Sequence[str] = ()) -> dict[str, Any]:
    """Return what is running here, ready for JSON.

    Parameters
    ----------
    packages
        Others whose versions matter, by the names that they are installed by.

    Returns
    -------
    dict
        Date (UTC), processor, memory, load and versions. No host name, no user name, no path.
        What the system does not tell is "unknown" or None.
    """
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cpu": processor(),
        "memory": memory(),
        "load_average": load_average(),
        "steal_since_start": steal_since_start(),
        "versions": versions(packages),
        "blas": blas(),
        "blas_library": blas_library(),
        "blas_threads": blas_threads(),
        "threading_layer": threading_layer(),
        "compiled": compiled(),
        "git_revision": git_revision(),
    }


def processor() -> dict[str, Any]:
    """Return model, caches, cores and vector instructions of the processor."""
    facts = dict(_colon_lines(_text("/proc/cpuinfo")))
    flags = facts.get("flags", "").split()
    return {
        "model": facts.get("model name") or platform.processor() or UNKNOWN,
        "cores": os.cpu_count(),
        "cores_allowed": _cores_allowed(),
        "affinity": _affinity(),
        "quota": processors.quota(),
        "hyperthreads": _hyperthreads(),
        "caches": _caches(),
        "vectors": [name for name in VECTORS if name in flags],
        "hypervisor": "hypervisor" in flags if flags else None,
        "governor": _text("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor") or UNKNOWN,
    }


def memory() -> dict[str, float | None]:
    """Return the gigabytes of memory there are, and those that are free to use."""
    lines = dict(_colon_lines(_text("/proc/meminfo")))

    def gigabytes(name: str) -> float | None:
        return round(int(lines[name].split()[0]) * 1024 / 1e9, 1) if name in lines else None

    return {"total_gb": gigabytes("MemTotal"), "available_gb": gigabytes("MemAvailable")}


def load_average() -> list[float] | None:
    """Return the mean number of running processes over 1, 5 and 15 minutes."""
    try:
        return [round(value, 2) for value in os.getloadavg()]
    except (AttributeError, OSError):
        return None


def versions(packages: Sequence[str] = ()) -> dict[str, str | None]:
    """Return the versions of Python, LLVM and the packages; None for what is not installed."""
    from fastdigit import __version__

    found: dict[str, str | None] = {"python": platform.python_version()}
    for package in (*PACKAGES, *packages):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = None
    found["fastdigit"] = __version__
    found["llvm"] = _llvm()
    return found


def blas() -> dict[str, str]:
    """Return the name and version of the BLAS library that NumPy was built with."""
    import numpy

    try:
        facts = numpy.show_config(mode="dicts")["Build Dependencies"]["blas"]
        return {"name": str(facts["name"]), "version": str(facts["version"])}
    except (KeyError, TypeError):
        return {"name": UNKNOWN, "version": UNKNOWN}


def blas_threads() -> int | None:
    """Return how many threads BLAS uses in this process; None without threadpoolctl."""
    return max((int(pool["num_threads"]) for pool in _blas_pools()), default=None)


def blas_library() -> dict[str, str | None] | None:
    """Return what BLAS was loaded, and the processor that it takes this one for.

    Returns
    -------
    dict or None
        "name", "version", "architecture" and "threading_layer"; None without threadpoolctl.
    """
    for pool in _blas_pools():
        return {
            "name": pool["internal_api"],
            **{key: pool.get(key) for key in ("version", "architecture", "threading_layer")},
        }
    return None


def _blas_pools() -> list[dict[str, Any]]:
    try:
        import threadpoolctl
    except ImportError:
        return []
    import numpy  # noqa: F401  (its BLAS is looked for among the loaded libraries)

    return [pool for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]


def compiled() -> dict[str, int] | None:
    """Return how many kernels were found in the cache ("hits"), and how many were not ("misses").

    None if no kernel was loaded here.
    """
    modules = [
        module for name, module in sys.modules.items() if name.startswith("fastdigit.kernels.")
    ]
    kernels = {id(part): part for module in modules for part in vars(module).values()}
    stats = [kernel.stats for kernel in kernels.values() if hasattr(kernel, "nopython_signatures")]
    hits = sum(sum(found.cache_hits.values()) for found in stats)
    misses = sum(sum(found.cache_misses.values()) for found in stats)
    return {"hits": hits, "misses": misses} if hits or misses else None


def steal_since_start() -> float | None:
    """Return the share of all processors' time that the hypervisor has given to others so far."""
    ticks = [int(word) for word in _text("/proc/stat").partition("\n")[0].split()[1:]]
    return round(ticks[7] / sum(ticks[:8]), 4) if len(ticks) > 7 else None


def threading_layer() -> str | None:
    """Return what Numba's threads run on; None before they have started."""
    numba = sys.modules.get("numba")
    if numba is None:
        return None
    try:
        return str(numba.threading_layer())
    except ValueError:
        return None


def git_revision() -> str | None:
    """Return the commit of the checkout that the package runs from, "-dirty" if it was edited."""
    root = Path(__file__).parents[2]
    git = shutil.which("git")
    if git is None or not (root / ".git").exists():
        return None
    command = [git, "-C", str(root), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip() or None


def _llvm() -> str | None:
    # Loading it would take longer than all other facts together, so only if it is loaded already.
    if "llvmlite.binding" not in sys.modules:
        return None
    return ".".join(map(str, sys.modules["llvmlite.binding"].llvm_version_info))


def _cores_allowed() -> int | None:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


def _affinity() -> list[int] | None:
    """Return the numbers of the processors that this process may use."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None


def _hyperthreads() -> int | None:
    """Return how many processors share the first core, as far as the system is told."""
    siblings = _text("/sys/devices/system/cpu/cpu0/topology/thread_siblings_list")
    if not siblings:
        return None
    ends = [part.split("-") for part in siblings.split(",")]
    return sum(int(end[-1]) - int(end[0]) + 1 for end in ends)


def _caches() -> dict[str, str]:
    """Return the size of each cache of the first core, such as {"L1d": "48K"}."""
    found = {}
    for index in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        level, kind, size = (_text(index / name) for name in ("level", "type", "size"))
        suffix = {"Data": "d", "Instruction": "i"}.get(kind, "")
        if level and size:
            found[f"L{level}{suffix}"] = size
    return found


def _text(path: str | Path) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


def _colon_lines(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        match = re.match(r"([^:]*?)\s*:\s*(.*)", line)
        if match:
            yield match[1], match[2]
