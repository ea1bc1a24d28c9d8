"""What does the first run cost? Imports, compilation without a cache, and starts with one."""

import pytest

from fastdigit.kernels.parallel import available_threads
from fastdigit.measure.from_pytest import KEY
from fastdigit.measure.start_up import STARTERS, TRIVIAL, cold, start
from fastdigit.measure.suites.start_up import SHOWN

ROUNDS = 3


@pytest.mark.parametrize("name", SHOWN)
def bench_start(benchmark, timing, tmp_path, name):
    starter, threads = STARTERS[name], available_threads()
    if not timing and starter.library != "numpy":
        pytest.skip("compiles without a cache, which takes long: only with --benchmark-only")
    first = cold(starter, threads)
    start(starter, tmp_path, threads)
    found = []
    benchmark.group = "start-up"
    benchmark.pedantic(
        lambda: found.append(start(starter, tmp_path, threads)), rounds=ROUNDS, iterations=1
    )
    benchmark.extra_info[KEY] = {
        "suite": "start-up",
        "name": "import and first iteration, compiled before",
        "repetition": "start",
        "parameters": {"threads": threads},
        "base": TRIVIAL,
        "contender": {
            "name": name,
            "library": starter.library,
            "dtype": starter.dtype,
            "threads": threads,
            "check": None,
            "import_seconds": sorted(one.import_seconds for one in found)[len(found) // 2],
            "compile_seconds": first.first_seconds,
            "cached_seconds": sorted(one.first_seconds for one in found)[len(found) // 2],
            "facts": {},
        },
        "seconds": [one.import_seconds + one.first_seconds for one in found],
    }
