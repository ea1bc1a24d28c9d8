"""How long does it take to label a million images, given as bytes?"""

import pytest

from fastdigit.kernels.parallel import available_threads
from fastdigit.measure.paired import Entrant, Topic
from fastdigit.measure.predictors import PREDICTORS
from fastdigit.measure.suites import predict


@pytest.mark.parametrize("name", [predict.REFERENCE, predict.BASE])
def bench_predict(measure, training_set, timing, name):
    images = predict.IMAGES if timing else 1_000
    data = training_set(41_000)
    work = predict.Work(data.images, images, 0, available_threads())
    contender = predict.Proved(PREDICTORS[name], name == predict.BASE, work)
    parameters = {"images": images, "threads": work.threads}
    topic = Topic("predict", "784-10-10, bytes to labels", f"{images:,} images", parameters)
    entrant = Entrant(name, predict.library_of(name), "float32", None)
    measure(topic, predict.BASE, entrant, contender.check(), contender, rounds=3, warm_up=0)
