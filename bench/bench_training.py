"""How long does a full-batch iteration take in each implementation, and how long a training?"""

import pytest

from fastdigit.kernels.parallel import available_threads
from fastdigit.measure.contenders import BASE, CONTENDERS
from fastdigit.measure.paired import Entrant, Topic
from fastdigit.measure.suites import iteration, training
from fastdigit.measure.suites.plan import Setting


@pytest.fixture
def work(training_set):
    """Return a function that returns the task of training on so many images."""

    def task(images):
        data = training_set(images)
        setting = Setting(data.images, data.labels, available_threads(), 0, peers=False)
        return iteration.task_of(setting)

    return task


@pytest.mark.parametrize("images", [10_000, 41_000])
@pytest.mark.parametrize("contender", CONTENDERS)
def bench_iteration(benchmark, measure, work, contender, images):
    task = work(images)
    check = iteration.prove(contender, task)
    parameters = {"images": len(task.images), "threads": task.threads}
    topic = Topic("iteration", "784-10-10, full batch", "iteration", parameters)
    entrant = next(e for e in iteration.entrants(peers=False) if e.name == contender)
    seconds = measure(topic, BASE, entrant, check, entrant.make(task), rounds=20)
    operations = 4 * task.images.size * 10 + 6 * len(task.images) * 100
    benchmark.extra_info["gflop_per_second"] = round(operations / seconds / 1e9, 2)


@pytest.mark.parametrize("way", training.WAYS)
def bench_training(measure, work, timing, way):
    # A quarter of the classic task, since the notebook takes half a minute for that.
    task = work(10_000)
    iterations = training.ITERATIONS if timing else 3
    chosen = training.WAYS[way]
    contender = training.Training(task, chosen, iterations)
    parameters = {
        "images": len(task.images),
        "threads": task.threads,
        "iterations": iterations,
    }
    topic = Topic("training", "784-10-10, full batch", "training", parameters)
    entrant = Entrant(way, chosen.library, chosen.dtype, None)
    slow = chosen.library == "numpy"
    measure(topic, BASE, entrant, contender.check(), contender, 2 if slow else 5, warm_up=0)
