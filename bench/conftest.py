"""How benchmarks run: each once on small data, or, with --benchmark-only, timed at full size."""

import time

import pytest

from fastdigit.data import default_data
from fastdigit.measure.machine import machine

SMALL = 600


def pytest_configure(config):
    # Runs before pytest-benchmark reads its options: without --benchmark-only nothing is timed.
    if not config.getoption("benchmark_only", default=False):
        config.option.benchmark_disable = True


def pytest_benchmark_update_machine_info(config, machine_info):
    machine_info.pop("node", None)
    machine_info["fastdigit"] = machine()


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
