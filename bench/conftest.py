"""How benchmarks run: each once on small data, or, with --benchmark-only, timed at full size.

What --benchmark-json writes holds all that `fastdigit report` needs: each benchmark carries its
question and its contender, and the file what it was measured on.
"""

import time
from pathlib import Path

import numpy as np
import pytest

from fastdigit.cli.bench_result import roofline
from fastdigit.data import default_data
from fastdigit.kernels.parallel import available_threads
from fastdigit.measure.from_pytest import KEY
from fastdigit.measure.machine import load_average, machine

SMALL = 600
BEGAN = time.perf_counter()


def pytest_configure(config):
    # Runs before pytest-benchmark reads its options: without --benchmark-only nothing is timed.
    if not config.getoption("benchmark_only", default=False):
        config.option.benchmark_disable = True


def pytest_benchmark_update_machine_info(config, machine_info):
    machine_info.pop("node", None)
    machine_info["fastdigit"] = machine()


def pytest_benchmark_update_json(config, benchmarks, output_json):
    data = default_data("train")
    output_json[KEY] = {
        "data": {
            "source": Path(data.source).name,
            "fingerprint": data.fingerprint,
            "images": len(data),
            "share_of_zeros": float((data.images == 0).mean()),
        },
        "settings": {"command": "pytest --benchmark-only", "threads": available_threads()},
        "load_average_after": load_average(),
        "roofline": roofline(data.head(41_000), quiet=True),
        "wall_seconds": time.perf_counter() - BEGAN,
    }


@pytest.fixture(scope="session")
def timing(request):
    """Return whether benchmarks are timed, and not only run once."""
    return request.config.getoption("benchmark_only")


@pytest.fixture(scope="session")
def digits():
    """Return FASTDIGIT_DATA or the built-in digits."""
    return default_data("train")


@pytest.fixture
def training_set(digits, timing):
    """Return the first so many images, or a few where nothing is timed."""
    return lambda images: digits.head(min(images, len(digits)) if timing else SMALL)


@pytest.fixture
def settle(timing):
    """Return a pause for threads to fall asleep in: BLAS and OpenMP spin on after their work."""
    return lambda: time.sleep(0.2 if timing else 0)


@pytest.fixture
def measure(benchmark, settle):
    """Return what times a contender that was shown right, and keeps what is known of it."""

    def time_it(topic, base, entrant, check, contender, rounds, warm_up=2):
        assert check["difference"] <= check["allowed"], check
        seconds = []

        def once():
            # Contenders have a clock of their own: what is recorded for the check is not timed.
            seconds.extend(contender.step(1).seconds)

        settle()
        benchmark.group = f"{topic.suite}: {topic.name} {topic.parameters}"
        benchmark.pedantic(once, rounds=rounds, iterations=1, warmup_rounds=warm_up)
        benchmark.extra_info[KEY] = {
            **topic._asdict(),
            "base": base,
            "name": topic.name,
            "contender": {
                "name": entrant.name,
                "library": entrant.library,
                "dtype": entrant.dtype,
                "threads": topic.parameters["threads"],
                "check": check,
                "prepare_seconds": contender.prepare_seconds,
                "compile_seconds": None,
                "cached_seconds": None,
                "facts": {"compiled or loaded, s": contender.compile_seconds},
            },
            "seconds": seconds[-rounds:],
        }
        return np.median(seconds[-rounds:])

    return time_it
