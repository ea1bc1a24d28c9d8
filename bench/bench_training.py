"""How long does one full-batch iteration take, for each way to train the classic network?"""

import numpy as np
import pytest

from fastdigit.kernels.parallel import available_threads
from fastdigit.measure.contenders import CONTENDERS, REFERENCE, Task

WEIGHTS_WITHIN = {"float32": 1e-5, "float64": 1e-12}
"""Largest difference of a weight to the reference after `CHECKED` iterations."""
CHECKED = 3


@pytest.mark.parametrize("images", [10_000, 41_000])
@pytest.mark.parametrize("contender", CONTENDERS)
def bench_iteration(benchmark, settle, training_set, contender, images):
    data = training_set(images)
    sizes = (data.images.shape[1], 10, 10)
    task = Task(data.images, data.labels, sizes, 0, 0.1, available_threads())
    trained = CONTENDERS[contender](task)
    right = CONTENDERS[REFERENCE](task)
    trained.step(CHECKED)
    right.step(CHECKED)
    difference = np.abs(trained.parameters() - right.parameters()).max()
    assert difference <= WEIGHTS_WITHIN[trained.dtype]
    settle()
    benchmark.group = f"iteration, {len(data)} images"
    benchmark.pedantic(trained.step, args=(1,), rounds=20, iterations=1, warmup_rounds=2)
    benchmark.extra_info["compile_seconds"] = round(trained.compile_seconds, 3)
    if benchmark.stats:
        seconds = benchmark.stats.stats.median
        operations = 4 * data.images.size * 10 + 6 * len(data) * 100
        benchmark.extra_info["gflop_per_second"] = round(operations / seconds / 1e9, 2)
