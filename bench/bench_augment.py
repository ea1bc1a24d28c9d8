"""How long does it take to augment images, with and without each kind of change?"""

import numpy as np
import pytest

from fastdigit.data import AFFINE, ELASTIC, Augment
from fastdigit.data.warp_reference import augmented
from fastdigit.threads import available_threads

CHOSEN = {
    "affine": AFFINE,
    "elastic": ELASTIC,
    "noise": Augment(noise=25),
}
CHECKED = 200


@pytest.mark.parametrize("threads", [1, None], ids=["one thread", "all threads"])
@pytest.mark.parametrize("name", CHOSEN)
def bench_augment(benchmark, training_set, name, threads):
    chosen, images = CHOSEN[name], training_set(60_000).images
    out = np.empty_like(images)
    expected = augmented(chosen, images[:CHECKED]).astype(int)
    off = np.abs(chosen.apply(images[:CHECKED]) - expected)
    assert np.count_nonzero(off) <= 1e-5 * off.size
    benchmark.group = f"augment {len(images)} images: {name}"
    benchmark.extra_info["threads"] = threads or available_threads()
    benchmark.pedantic(
        chosen.apply,
        args=(images,),
        kwargs={"out": out, "threads": threads},
        rounds=15,
        iterations=1,
        warmup_rounds=2,
    )
    # Where nothing is timed, pytest-benchmark keeps no statistics.
    if benchmark.stats:
        nanoseconds = 1e9 * benchmark.stats.stats.median / len(images)
        benchmark.extra_info["nanoseconds_per_image"] = round(nanoseconds)
