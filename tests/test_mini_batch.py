"""fit with batches: what it records, early stopping, interruption and resuming, any choice."""

import itertools
import signal
import sys

import numpy as np
import pytest

from fastdigit import DivergenceError, Network, fit
from fastdigit.data.augment import Augment
from fastdigit.kernels.numba_steps import NumbaTrainer
from fastdigit.kernels.randomness import permutation
from fastdigit.kernels.steps import Learning
from fastdigit.mini_batch import MiniBatch
from fastdigit.optimizers import SGD, Adam
from fastdigit.schedules import Linear

SIZES = (49, 21, 10)


def digits(n=150, seed=0):
    """Return images that can be learned: each class has its own bright pixels."""
    random = np.random.RandomState(seed)
    labels = random.randint(0, 10, n).astype(np.uint8)
    images = (random.randint(0, 256, (n, 49)) * (random.rand(n, 49) < 0.2)).astype(np.uint8)
    images[np.arange(n), labels * 4] = 255
    return images, labels


def trained(sizes=SIZES, dtype="float64", activation="relu", data=None, **options):
    network = Network(sizes, dtype, seed=1, activation=activation)
    options = {"epochs": 3, "batch_size": 32, "progress": False} | options
    return network, fit(network, digits() if data is None else data, **options)


# --- records -------------------------------------------------------------------------------------


def test_an_epoch_is_a_record():
    network, history = trained(epochs=12, learning_rate=0.5, validation=digits(60, 3))
    assert len(history) == 12
    assert history.steps == 12 * 5
    assert history.unit == "epoch"
    assert "12 epochs" in repr(history)
    assert history.loss[-1] < 0.5 * history.loss[0]
    assert history.accuracy[-1] > 0.9
    assert min(history.seconds) > 0
    assert [score.iteration for score in history.validation] == list(range(1, 13))
    assert history.validation[-1].accuracy == network.accuracy(*digits(60, 3))
    assert (history.final_loss, history.final_accuracy) == (None, None)


def test_the_first_step_is_that_of_the_formulas():
    images, labels = digits()
    network, _ = trained(iterations=1, epochs=None, learning_rate=0.25, seed=7)
    batch = permutation(7, 0, len(labels))[:32]
    expected = Network(SIZES, "float64", seed=1)
    fit(expected, (images[batch], labels[batch]), iterations=1, learning_rate=0.25, progress=False)
    np.testing.assert_allclose(network.parameters, expected.parameters, rtol=0, atol=1e-15)


def test_iterations_may_end_in_the_middle_of_an_epoch():
    _, history = trained(iterations=7, epochs=None)
    assert (history.steps, len(history)) == (7, 2)


def test_a_batch_of_all_images_is_full_batch():
    network, history = trained(batch_size=1000, learning_rate=0.3)
    expected, whole = trained(batch_size=None, iterations=3, epochs=None, learning_rate=0.3)
    np.testing.assert_allclose(network.parameters, expected.parameters, rtol=0, atol=1e-14)
    np.testing.assert_allclose(history.loss, whole.loss, rtol=1e-13)
    assert history.accuracy == whole.accuracy


@pytest.mark.parametrize("n", [1, 2, 31, 33])
@pytest.mark.parametrize("batch_size", [1, 32])
def test_few_images(n, batch_size):
    images, labels = digits(n)
    fused, _ = trained(data=(images, labels), batch_size=batch_size)
    twin, _ = trained(data=(images, labels), batch_size=batch_size, backend="numpy")
    np.testing.assert_allclose(fused.parameters, twin.parameters, rtol=0, atol=1e-13)


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_callbacks_see_the_network_after_each_epoch(backend):
    seen = []

    def callback(network, history):
        seen.append(network.parameters.copy())
        return len(history) == 2

    network, history = trained(epochs=9, callbacks=[callback], backend=backend)
    assert len(history) == len(seen) == 2
    assert not np.array_equal(*seen)
    np.testing.assert_array_equal(network.parameters, seen[-1])


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_what_callbacks_write_into_the_network_is_gone_on_with(backend):
    def clear(network, history):
        network.parameters.fill(0)

    network, _ = trained(epochs=2, callbacks=[clear], backend=backend)
    assert not network.parameters.any()

    def bound(network, history):
        np.clip(network.parameters, -0.2, 0.2, out=network.parameters)

    network, history = trained(epochs=4, optimizer="adam", callbacks=[bound], backend=backend)
    assert np.abs(network.parameters).max() == 0.2
    assert history.loss[-1] < history.loss[0]


def test_an_open_end_needs_no_memory():
    def stop(network, history):
        return len(history) == 2

    for schedule in ("constant", "step", "linear", "cosine"):
        options = {"epochs": 10**12, "schedule": schedule, "callbacks": [stop]}
        assert len(trained(**options)[1]) == 2
    assert len(trained(epochs=None, iterations=10**12, batch_size=None, callbacks=[stop])[1]) == 2


def test_progress_lines(capsys):
    trained(epochs=2, progress=True, validation=digits(20, 5))
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("epoch")]
    assert lines[0].startswith("epoch     1/2  loss ")
    assert "dev 0." in lines[0]
    assert lines[-1].endswith("0 s left")


# --- arguments -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size=0; .*at least 1"),
        ({"batch_size": 70_000}, "batch_size=70000; .*65536"),
        ({"batch_size": 2.5}, "batch_size=2.5"),
        ({"epochs": -1}, "epochs=-1"),
        ({"iterations": 5}, "iterations and epochs"),
        ({"optimizer": "lion"}, "optimizer='lion'; .*'adam'"),
        ({"schedule": "wild"}, "schedule='wild'; .*'cosine'"),
        ({"dropout": 1.0}, "dropout=1.0"),
        ({"dropout": 0.999999}, "dropout=0.999999"),
        ({"label_smoothing": -0.1}, "label_smoothing=-0.1"),
        ({"l2": float("nan")}, "l2=nan"),
        ({"augment": "twirl"}, "twirl"),
        ({"monitor": "luck"}, "monitor='luck'"),
        ({"patience": 3}, "patience=3 needs validation"),
        ({"seed": -1}, "seed=-1"),
        ({"dropout": 0.5, "batch_size": None, "epochs": 3}, "dropout=0.5 needs batches"),
        ({"storage": "bogus", "backend": "numpy"}, "storage=.bogus.; the storages are"),
        ({"storage": "sparse", "data": (np.ones((9, 49)), [0] * 9)}, "storage='sparse'"),
    ],
)
def test_wrong_arguments_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        trained(**options)


# --- any choice ----------------------------------------------------------------------------------

CHOICES = {
    "activation": ["relu", "leaky_relu", "tanh", "logistic", "identity"],
    "optimizer": ["sgd", "momentum", "nesterov", "adam", SGD(0.5), Adam(0.8, 0.98)],
    "schedule": ["constant", "step", "cosine", "linear"],
    "penalty": [{}, {"l1": 1e-3}, {"l2": 1e-2}, {"dropout": 0.3}, {"label_smoothing": 0.1}],
    "sizes": [(49, 10), (49, 21, 10), (49, 70, 33, 10), (49, 130, 26)],
    "storage": ["sparse", "dense", "floats"],
}


def pairwise():
    """Return choices such that any two values of different settings meet in one of them."""
    names = list(CHOICES)
    missing = {
        ((a, i), (b, j))
        for a, b in itertools.combinations(names, 2)
        for i in range(len(CHOICES[a]))
        for j in range(len(CHOICES[b]))
    }
    found = []
    while missing:
        # The pair that is first in line, filled up with what covers most others.
        case = dict(min(missing))
        for name in names:
            if name not in case:
                covered = [
                    sum(
                        tuple(sorted(((name, i), one), key=place)) in missing
                        for one in case.items()
                    )
                    for i in range(len(CHOICES[name]))
                ]
                case[name] = int(np.argmax(covered))
        pairs = itertools.combinations(sorted(case.items(), key=place), 2)
        missing -= set(pairs)
        found.append({name: CHOICES[name][i] for name, i in case.items()})
    return found


def place(item):
    return list(CHOICES).index(item[0])


@pytest.mark.parametrize("case", pairwise())
def test_fused_steps_are_those_of_the_twin(case):
    images, labels = digits()
    case = dict(case)
    storage = case.pop("storage")
    if storage == "floats":
        images, storage = images / 255, "dense"
    options = case | case.pop("penalty")
    options |= {"data": (images, labels), "epochs": 10, "batch_size": 31, "learning_rate": 0.01}
    fused, record = trained(**options, storage=storage, backend="numba")
    twin, expected = trained(**options, backend="numpy")
    for found, right in zip(
        (*fused.weights, *fused.biases), (*twin.weights, *twin.biases), strict=True
    ):
        assert np.linalg.norm(found - right) <= 1e-9 * np.linalg.norm(right)
    assert record.steps == 50
    np.testing.assert_allclose(record.loss, expected.loss, rtol=1e-9)
    assert record.accuracy == expected.accuracy


@pytest.mark.parametrize("optimizer", ["momentum", "adam"])
@pytest.mark.parametrize("storage", ["sparse", "dense"])
def test_float32_stays_near_the_twin(optimizer, storage):
    options = {"dtype": "float32", "optimizer": optimizer, "learning_rate": 0.01}
    fused, _ = trained(**options, storage=storage)
    twin, _ = trained(**options, backend="numpy")
    np.testing.assert_allclose(fused.parameters, twin.parameters, rtol=0, atol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("sizes", [(49, 10), (49, 21, 10), (49, 130, 70, 10)])
@pytest.mark.parametrize("storage", ["sparse", "dense"])
def test_same_bits_with_one_thread_and_two(dtype, sizes, storage):
    options = {
        "sizes": sizes,
        "dtype": dtype,
        "storage": storage,
        "optimizer": "adam",
        "dropout": 0.2,
        "label_smoothing": 0.1,
        "augment": Augment(shift=1, threshold=0),
    }
    one, first = trained(**options, threads=1)
    two, second = trained(**options, threads=2)
    np.testing.assert_array_equal(one.parameters, two.parameters)
    assert (first.loss, first.accuracy) == (second.loss, second.accuracy)


# --- stopping ------------------------------------------------------------------------------------


@pytest.mark.parametrize("monitor", ["loss", "accuracy"])
def test_patience_stops_and_restores_the_best(monitor):
    held_out = digits(40, 9)
    network, history = trained(
        epochs=200, learning_rate=0.5, validation=held_out, patience=3, monitor=monitor
    )
    assert history.stopped_early
    assert len(history) < 200
    scores = [getattr(score, monitor) for score in history.validation]
    best = (np.argmin if monitor == "loss" else np.argmax)(scores)
    assert best == len(scores) - 1 - 3
    assert history.kept == history.validation[best]
    assert network.accuracy(*held_out) == history.kept.accuracy


@pytest.mark.parametrize("backend", ["numpy", "numba"])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_divergence_restores_finite_weights(backend):
    network = Network(SIZES, "float32", seed=1)
    with pytest.raises(DivergenceError, match="try a smaller learning rate") as raised:
        fit(
            network,
            digits(),
            epochs=50,
            batch_size=32,
            learning_rate=1e38,
            backend=backend,
            progress=False,
        )
    assert np.isfinite(network.parameters).all()
    assert raised.value.history.steps < 250


# --- interruption --------------------------------------------------------------------------------

EVERYTHING = {
    "epochs": 4,
    "optimizer": "adam",
    "learning_rate": 0.01,
    "schedule": Linear(0.5),
    "dropout": 0.2,
    "l2": 1e-3,
    "label_smoothing": 0.1,
    "augment": Augment(shift=1, threshold=0),
    "validation": digits(30, 4),
    "patience": 3,
}


def interrupted_at_line(number, backend):
    """Train, raise KeyboardInterrupt before the number-th line of the loop that is run, resume."""
    loops = [MiniBatch.run.__code__, MiniBatch._run_epoch.__code__]
    passed = 0

    def trace(frame, event, argument):
        nonlocal passed
        if event == "call":
            return trace if frame.f_code in loops else None
        if event == "line":
            if passed == number:
                raise KeyboardInterrupt
            passed += 1
        return trace

    network = Network(SIZES, "float64", seed=1)
    options = EVERYTHING | {"batch_size": 64, "progress": False, "backend": backend}
    before = sys.gettrace()
    sys.settrace(trace)
    try:
        return network, fit(network, digits(), **options), False
    except KeyboardInterrupt as error:
        history = error.history
    finally:
        sys.settrace(before)
    return network, fit(network, digits(), resume=history, **options), True


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_interrupted_at_any_line_and_resumed_is_the_same(backend):
    expected, whole, _ = interrupted_at_line(10**9, backend)
    interrupts = 0
    # With steps to spare: what a line costs depends on how many steps make a piece.
    for number in range(0, 400, 7):
        network, history, interrupted = interrupted_at_line(number, backend)
        np.testing.assert_array_equal(network.parameters, expected.parameters)
        assert history.steps == whole.steps
        interrupts += interrupted
    assert interrupts > 10


def test_control_c_in_the_middle():
    network = Network(SIZES, "float32", seed=1)

    def stop(network, history):
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt) as raised:
        fit(network, digits(), epochs=5, batch_size=16, callbacks=[stop], progress=False)
    assert len(raised.value.history) == 1
    fit(network, digits(), epochs=5, batch_size=16, resume=raised.value.history, progress=False)
    expected, _ = trained(dtype="float32", epochs=5, batch_size=16)
    np.testing.assert_array_equal(network.parameters, expected.parameters)


@pytest.mark.parametrize("optimizer", ["sgd", "nesterov", "adam"])
def test_full_batches_resume_as_well(optimizer):
    def stop(network, history):
        if len(history) == 4:
            raise KeyboardInterrupt

    options = {"iterations": 9, "optimizer": optimizer, "l2": 1e-3, "progress": False}
    network = Network(SIZES, "float64", seed=1)
    with pytest.raises(KeyboardInterrupt) as raised:
        fit(network, digits(), **options, callbacks=[stop])
    history = fit(network, digits(), **options, resume=raised.value.history)
    expected = Network(SIZES, "float64", seed=1)
    whole = fit(expected, digits(), **options)
    np.testing.assert_array_equal(network.parameters, expected.parameters)
    assert history.loss == whole.loss


def test_resume_refuses_what_is_different():
    def stop(network, history):
        raise KeyboardInterrupt

    network = Network(SIZES, seed=1)
    options = {"epochs": 3, "batch_size": 32, "progress": False}
    with pytest.raises(KeyboardInterrupt) as raised:
        fit(network, digits(), **options, callbacks=[stop])
    history = raised.value.history
    with pytest.raises(ValueError, match=r"learning_rate: 0\.1, now 0\.2"):
        fit(network, digits(), **options, learning_rate=0.2, resume=history)
    with pytest.raises(ValueError, match="the images, their labels"):
        fit(network, digits(seed=1), **options, resume=history)
    with pytest.raises(ValueError, match="history of an interrupted training"):
        fit(network, digits(), **options, resume=trained()[1])
    with pytest.raises(ValueError, match="those held out"):
        fit(network, digits(), **options, validation=digits(9), resume=history)
    with pytest.raises(ValueError, match="backend: 'numba', now 'numpy'"):
        fit(network, digits(), **options, backend="numpy", resume=history)


@pytest.mark.parametrize("batch_size", [None, 32])
def test_interrupted_before_it_began_and_resumed(batch_size, monkeypatch):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    network = Network(SIZES, seed=1)
    options = {"epochs": 3, "batch_size": batch_size, "progress": False}
    with monkeypatch.context() as during:
        during.setattr("fastdigit.training._warm_up", interrupted)
        with pytest.raises(KeyboardInterrupt) as raised:
            fit(network, digits(), **options)
    history = raised.value.history
    assert history
    assert len(history) == history.steps == 0
    fit(network, digits(), **options, resume=history)
    again = Network(SIZES, seed=1)
    fit(again, digits(), **options)
    np.testing.assert_array_equal(network.parameters, again.parameters)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_record_does_not_depend_on_how_steps_are_divided_among_calls(dtype):
    images, labels = digits()
    network = Network(SIZES, dtype, seed=1)
    order, rates = permutation(1, 0, 150), np.full(15, 0.1)
    found = []
    for ends in ((15,), (1, 2, 9, 15)):
        steps = NumbaTrainer(
            Learning(), SIZES, network.dtype, images, labels, network.parameters, 0, 10
        )
        first = 0
        for end in ends:
            tally = steps.advance(order[10 * first : 10 * end], 0, 10, rates[first:end])
            first = end
        found.append((tally, steps.parameters().tobytes()))
    assert found[0] == found[1]
