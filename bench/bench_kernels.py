"""How fast is each fused kernel, and its twin in NumPy? Equal first, then timed."""

import pytest

from fastdigit.kernels.parallel import available_threads
from fastdigit.measure.paired import Entrant, Topic
from fastdigit.measure.suites import kernels
from fastdigit.measure.suites.pairs import PAIRS


@pytest.mark.parametrize("images", [1_000, 41_000])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kernel", PAIRS)
@pytest.mark.parametrize("implementation", [kernels.REFERENCE, kernels.FUSED])
def bench_kernel(benchmark, measure, training_set, kernel, implementation, dtype, images):
    data = training_set(images)
    task = kernels.Task(data.images, data.labels, available_threads())
    contender = kernels.Half(task, PAIRS[kernel], dtype, implementation)
    parameters = {"kernel": kernel, "images": len(data), "threads": task.threads}
    topic = Topic("kernels", f"{kernel}, {dtype}", "call", parameters)
    entrant = Entrant(implementation, contender.backend, dtype, None)
    check = contender.check()
    seconds = measure(topic, kernels.REFERENCE, entrant, check, contender, rounds=12)
    work = contender.facts()
    benchmark.extra_info["gflop_per_second"] = round(work["operations"] / seconds / 1e9, 2)
    benchmark.extra_info["gigabytes_per_second"] = round(work["bytes"] / seconds / 1e9, 2)
