"""What do more threads give, and does an image take the same time, however many there are?"""

import pytest

from fastdigit.kernels.parallel import available_threads
from fastdigit.measure.contenders import CONTENDERS
from fastdigit.measure.paired import Entrant, Topic
from fastdigit.measure.roofline import thread_counts
from fastdigit.measure.suites import iteration, scaling
from fastdigit.measure.suites.plan import OURS, Setting


def topic(name, threads, images, data):
    parameters = {"threads": threads, "images": images, "data": data}
    return Topic("scaling", name, "iteration", parameters)


def entrant(name):
    return Entrant(name, OURS, iteration.dtype_of(name), None)


@pytest.mark.parametrize("threads", thread_counts(available_threads()))
@pytest.mark.parametrize("name", scaling.NAMES)
def bench_threads(measure, training_set, name, threads):
    data = training_set(41_000)
    setting = Setting(data.images, data.labels, threads, 0, peers=False)
    task = iteration.task_of(setting)
    asked = topic(f"{threads} threads", threads, len(data), "as given")
    check = iteration.prove(name, task)
    measure(asked, scaling.BASE, entrant(name), check, CONTENDERS[name](task), rounds=20)


@pytest.mark.parametrize("images", scaling.IMAGES)
@pytest.mark.parametrize("name", scaling.NAMES)
def bench_images(measure, timing, name, images):
    threads = available_threads()
    count = images if timing else images // 1000
    task = scaling.drawn(scaling.Drawn(count, 0, threads))
    asked = topic(f"{count:,} images", threads, count, "built-in digits")
    make = CONTENDERS[name]
    check = iteration.tried(make, iteration.dtype_of(name), threads, overflows=False)
    measure(asked, scaling.BASE, entrant(name), check, make(task), rounds=5, warm_up=1)
