"""``fastdigit info --warm-up``: afterwards nothing is left to be compiled."""

import pytest

from fastdigit import cli

TRAINING = """
from itertools import product
import numpy as np
from fastdigit import Network, fit, make_digits
from numba.core import event

recorder = event.RecordingListener()
event.register("numba:compile", recorder)
digits = make_digits(300)
for dtype, storage, threads in product(("float32", "float64"), ("dense", "sparse"), (1, None)):
    network = Network([784, 20, 12, 10], dtype)
    data = digits.images, digits.labels
    fit(network, data, iterations=2, storage=storage, threads=threads, progress=False)
    fit(network, data, epochs=1, batch_size=64, augment="elastic", dropout=0.1, optimizer="adam",
        storage=storage, threads=threads, progress=False)
    network.predict(digits.images, threads=threads)
    network.predict_proba(digits.images, threads=threads)
print(sorted({found.data["dispatcher"].__name__ for _, found in recorder.buffer}))
"""


def test_nothing_is_left_to_compile(capsys, output_of):
    assert cli.main(["info", "--warm-up"]) == 0  # compiles for a minute, if nothing ran before
    capsys.readouterr()
    assert cli.main(["info", "--warm-up"]) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith("everything was compiled already (")
    assert "compiled code" in printed.out
    assert printed.err == ""
    assert output_of(TRAINING) == ["[]"]


@pytest.mark.parametrize(
    "environment",
    [{"XDG_CACHE_HOME": __file__}, {"NUMBA_DISABLE_JIT": "1"}],
    ids=["no directory", "no compiler"],
)
def test_where_nothing_can_be_kept(environment, python):
    program = "from fastdigit import cli; raise SystemExit(cli.main(['info', '--warm-up']))"
    done = python(program, environment=environment)
    assert done.returncode == 0, done.stderr
    assert "warning: " in done.stderr
    assert "there is nothing to warm up" in done.stderr
