"""How fast is each fused kernel, and its twin in NumPy? Equal first, then timed."""

import pytest
from pairs import PAIRS
from tolerances import assert_close


@pytest.mark.parametrize("images", [1_000, 41_000])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kernel", PAIRS)
@pytest.mark.parametrize("implementation", ["reference", "fused"])
def bench_kernel(benchmark, settle, training_set, kernel, implementation, dtype, images):
    data = training_set(images)
    call = PAIRS[kernel](data.images, data.labels, dtype)
    exact = PAIRS[kernel](data.images, data.labels, "float64")
    for found, expected in zip(call.fused(), exact.reference(), strict=True):
        assert_close(found, expected, dtype)
    run = getattr(call, implementation)
    settle()
    benchmark.group = f"{kernel} {dtype} {len(data)} images"
    benchmark.pedantic(run, rounds=12, iterations=1, warmup_rounds=2)
    if benchmark.stats:
        seconds = benchmark.stats.stats.median
        benchmark.extra_info["gflop_per_second"] = round(call.operations / seconds / 1e9, 2)
        benchmark.extra_info["gigabytes_per_second"] = round(call.bytes / seconds / 1e9, 2)
