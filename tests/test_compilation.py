"""Kernels that a second process compiles: found on disk, or compiled here after all."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest
from test_jit import copied_package

from fastdigit.jit import njit
from fastdigit.kernels.compilation import kinds_of

KINDS = kinds_of(np.int64, np.float32)


@njit(kernel=True)
def double(numbers, floats, _c, _d, _e, _f, _g, piece, thread):
    floats[piece] *= numbers[0]


# One small kernel, so that each of these programs compiles for a second or two.
PROGRAM = """
import sys
import numpy as np
from fastdigit.kernels import compilation
from fastdigit.kernels.parallel import run
{before}
from test_compilation import KINDS, double
compilation.compile_beside([double], KINDS)
compilation.compile_beside([double], KINDS)
print(len(compilation._processes))
floats = np.ones(3, np.float32)
run(double, [np.array([2]), floats], 3, 1)
print(floats.tolist(), sum(double.stats.cache_hits.values()), len(compilation._processes))
compilation.compile_beside([double], KINDS)
print(len(compilation._processes))
"""
RIGHT = "[2.0, 2.0, 2.0]"
TRAIN = """
import numpy as np
from fastdigit import Network, fit
from fastdigit.data.drawing import draw_digits
from fastdigit.kernels import {kernels}
images, labels = draw_digits(40)
network = Network([784, 10, 10], "float32", seed=0)
fit(network, (images{as_floats}, labels), {how}, threads={threads}, progress=False)
print(network.parameters.tobytes().hex())
print([sum(kernel.stats.cache_hits.values()) for kernel in ({used},)])
"""
TRAININGS = {
    "bytes": ("exact_learning", "exact_learning.learn", "", "iterations=1"),
    "floats": ("sweep", "sweep.learn", " / 255", "iterations=1"),
    "batches": (
        "forward, step",
        "forward.forward, step.step",
        "",
        "epochs=1, batch_size=16",
    ),
}


def outcome(output_of, cache, before=""):
    """Return what the program prints with this cache, and something done before."""
    environment = {"XDG_CACHE_HOME": str(cache), "FASTDIGIT_MATRIX_UNIT": "0"}
    return output_of(PROGRAM.format(before=before), environment=environment)


def test_the_other_process_compiles_it_and_this_one_loads_it(tmp_path, output_of):
    assert outcome(output_of, tmp_path) == ["1", f"{RIGHT} 1 0", "0"]
    assert outcome(output_of, tmp_path) == ["0", f"{RIGHT} 1 0", "0"]


def test_the_other_process_looks_for_modules_where_this_one_does(tmp_path, output_of):
    (tmp_path / "elsewhere.py").write_text(Path(__file__).read_text())
    before = f"sys.path += [Path({str(tmp_path)!r}), {str(tmp_path)!r}]"
    program = PROGRAM.format(before=before).replace("test_compilation", "elsewhere")
    environment = {"XDG_CACHE_HOME": str(tmp_path)}
    lines = output_of(f"from pathlib import Path\n{program}", environment=environment)
    assert lines == ["1", f"{RIGHT} 1 0", "0"]


def test_a_revision_is_compiled_from_its_own_sources(tmp_path, output_of):
    package = copied_package(tmp_path)
    (package / "inner.py").write_text((package / "inner.py").read_text() + "\n# edited\n")
    enter = (
        "from pathlib import Path\n"
        "from fastdigit.measure.revision import Place\n"
        f"Place('earlier', Path({str(tmp_path)!r}), Path({str(tmp_path / 'cache')!r})).enter()\n"
    )
    lines = output_of(enter + PROGRAM.format(before=""))
    assert lines == ["1", f"{RIGHT} 1 0", "0"]


@pytest.mark.parametrize(
    "before",
    [
        "sys.executable = '/opt/application'",
        "sys.executable = None",
        "compilation.threads_lost = lambda: True",
    ],
)
def test_where_no_other_process_can_be_started_it_is_compiled_here(before, tmp_path, output_of):
    assert outcome(output_of, tmp_path, before) == ["0", f"{RIGHT} 0 0", "0"]


@pytest.mark.parametrize(
    "before",
    [
        "sys.executable = '/nowhere/python'",
        "compilation.PROGRAM = 'import nowhere'",
    ],
)
def test_when_the_other_process_fails_it_is_compiled_here(before, tmp_path, output_of):
    begun, right, _ = outcome(output_of, tmp_path, before)
    assert right == f"{RIGHT} 0 0"
    assert begun == ("0" if "/nowhere/" in before else "1")


def test_without_a_place_on_disk_no_process_is_started(tmp_path, output_of):
    file = tmp_path / "file"
    file.write_text("")
    assert outcome(output_of, file, "import warnings; warnings.simplefilter('ignore')")[0] == "0"


def test_a_process_that_nobody_waits_for_ends_with_this_one(tmp_path, output_of):
    program = PROGRAM.format(before="").partition("floats =")[0] + (
        "(process,) = compilation._processes.values()\n"
        "import atexit\n"
        "atexit._run_exitfuncs()\n"
        "print(process.returncode is None)\n"
    )
    assert output_of(program, environment={"XDG_CACHE_HOME": str(tmp_path)}) == ["1", "False"]


def test_nothing_is_imported_from_the_directory_it_runs_in(tmp_path, output_of):
    (tmp_path / "json.py").write_text("from pathlib import Path; Path(__file__).unlink()")
    # As a script does without the first, and the command.
    before = f"sys.path.remove(''); import os; os.chdir({str(tmp_path)!r})"
    assert outcome(output_of, tmp_path / "cache", before) == ["1", f"{RIGHT} 1 0", "0"]
    assert (tmp_path / "json.py").exists()


@pytest.mark.skipif(os.name != "posix", reason="needs signals")
def test_a_process_that_hangs_is_not_waited_for(tmp_path, output_of):
    before = "compilation.PATIENCE = 0.1\nimport signal"
    stop = (
        "(process,) = compilation._processes.values()\n"
        "process.send_signal(signal.SIGSTOP)\n"
        "floats ="
    )
    program = PROGRAM.format(before=before).replace("floats =", stop, 1)
    program += "\nprint(process.wait())"
    lines = output_of(program, environment={"XDG_CACHE_HOME": str(tmp_path)})
    assert lines == ["1", f"{RIGHT} 0 0", "0", str(-signal.SIGKILL)]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_leaves_the_process_to_its_parent(tmp_path, output_of):
    fork = (
        "import os\n"
        "child = os.fork()\n"
        "child or sys.exit()\n"  # runs what was registered with atexit
        "os.waitpid(child, 0)\n"
        "floats ="
    )
    program = PROGRAM.format(before="").replace("floats =", fork, 1)
    lines = output_of(program, environment={"XDG_CACHE_HOME": str(tmp_path)})
    assert [line for line in lines if RIGHT in line] == [f"{RIGHT} 1 0"]


@pytest.mark.parametrize("name", TRAININGS)
def test_a_training_has_the_types_that_its_kernels_are_called_with(name, tmp_path, output_of):
    kernels, used, as_floats, how = TRAININGS[name]
    trained = {}
    for threads, hits in ((2, "1"), (1, "1")):
        program = TRAIN.format(
            kernels=kernels, used=used, as_floats=as_floats, how=how, threads=threads
        )
        environment = {"XDG_CACHE_HOME": str(tmp_path), "NUMBA_NUM_THREADS": "2"}
        trained[threads], found = output_of(program, environment=environment)
        assert set(found.strip("[]").split(", ")) == {hits}
    assert trained[1] == trained[2]
