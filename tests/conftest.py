"""What several test files share."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import fastdigit

SOURCES = Path(fastdigit.__file__).resolve().parent.parent
TESTS = Path(__file__).parent


def _python(program, *, environment=None, timeout=300, **options):
    """Run a program in a Python of its own that finds fastdigit and the test modules.

    A variable whose value is None is taken out of the environment.
    """
    places = [str(SOURCES), str(TESTS), os.environ.get("PYTHONPATH", "")]
    variables = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, places))}
    variables |= environment or {}
    return subprocess.run(
        [sys.executable, "-c", program],
        env={name: value for name, value in variables.items() if value is not None},
        capture_output=True,
        text=True,
        timeout=timeout,
        **options,
    )


@pytest.fixture(scope="session")
def python():
    """Run a program in a Python of its own, whatever its exit code."""
    return _python


@pytest.fixture(scope="session")
def output_of():
    """Run a program in a Python of its own and return the lines it printed; it must succeed."""

    def run(program, **options):
        finished = _python(program, **options)
        assert finished.returncode == 0, finished.stderr
        return finished.stdout.splitlines()

    return run
