"""fit: what it refuses, what it records, and what it leaves behind when it stops early."""

import gc
import os
import re
import signal
import sys
import threading
import time
import warnings

import numpy as np
import pytest

from fastdigit import DataError, Dataset, DivergenceError, Network, fit
from fastdigit.data import as_images
from fastdigit.full_batch import FullBatch
from fastdigit.kernels.numpy_backend import NumpyObjective

SIZES = (12, 5, 4)


def examples(n=40, seed=0, features=SIZES[0], classes=SIZES[-1]):
    random = np.random.RandomState(seed)
    images = random.randint(0, 256, (n, features)).astype(np.uint8)
    return images, random.randint(0, classes, n).astype(np.uint8)


def trained(iterations, *, sizes=SIZES, seed=1, data=None, **options):
    network = Network(sizes, "float64", seed=seed)
    data = examples() if data is None else data
    history = fit(network, data, iterations=iterations, **{"progress": False} | options)
    return network, history


# --- arguments -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argument", "value", "message"),
    [
        ("iterations", -1, r"iterations=-1; .*at least 0"),
        ("iterations", 2.5, r"iterations=2.5; .*whole number"),
        ("iterations", "10", r"iterations='10'"),
        ("iterations", True, r"iterations=True; .*whole number"),
        ("learning_rate", 10**400, r"learning_rate=10+; it must be a positive number"),
        ("every", 0, r"every=0; .*at least 1"),
        ("learning_rate", 0, r"learning_rate=0; .*positive"),
        ("learning_rate", -0.1, r"learning_rate=-0.1"),
        ("learning_rate", float("nan"), r"learning_rate=nan"),
        ("learning_rate", float("inf"), r"learning_rate=inf"),
        ("backend", "cuda", r"backend='cuda'; .*'auto', 'numpy', 'numba'"),
        ("threads", 0, r"threads=0; .*at least 1"),
        ("threads", 999, r"threads=999, .*NUMBA_NUM_THREADS=999"),
        ("threads", -1, r"threads=-1"),
        ("learning_rate", "0.1", r"learning_rate='0.1'"),
        ("learning_rate", None, r"learning_rate=None"),
        ("learning_rate", True, r"learning_rate=True; it must be a positive number"),
        ("threads", 1.5, r"threads=1.5"),
        ("threads", "2", r"threads='2'"),
        ("every", 2.5, r"every=2.5"),
        ("backend", None, r"backend=None"),
        ("storage", 3, r"storage=3"),
    ],
)  # fmt: skip
def test_wrong_arguments_are_named(argument, value, message):
    network = Network(SIZES)
    before = network.parameters.copy()
    with pytest.raises(ValueError, match=message):
        fit(network, examples(), progress=False, **{"iterations": 1} | {argument: value})
    np.testing.assert_array_equal(network.parameters, before)


@pytest.mark.parametrize("network", [None, "784-10-10", [784, 10, 10], Network])
def test_what_is_no_network_is_refused(network):
    with pytest.raises(TypeError, match=re.escape(f"network={network!r}; it must be a Network")):
        fit(network, examples(), progress=False)


@pytest.mark.parametrize("callbacks", [None, print, [None], "stop"])
def test_what_are_no_callbacks_is_refused(callbacks):
    with pytest.raises(TypeError, match="it must be a list of functions"):
        fit(Network(SIZES), examples(), iterations=1, progress=False, callbacks=callbacks)


@pytest.mark.parametrize("place", ["data", "validation"])
@pytest.mark.parametrize("wrong", ["train.csv", 17, {"images": 1}])
def test_what_are_no_data_is_named(place, wrong):
    arguments = {"data": examples(), place: wrong}
    kind = type(wrong).__name__
    with pytest.raises(
        DataError, match=rf"{place} must be a Dataset or .*of type {kind}; load_data"
    ):
        fit(Network(SIZES), progress=False, **arguments)


def test_wrong_threads_are_refused_on_every_backend():
    with pytest.raises(ValueError, match="threads=0"):
        trained(1, backend="numpy", threads=0)


def nan_pixel():
    images = examples()[0] / 255
    images[7, 3] = np.nan
    return images, examples()[1]


def infinite_pixel():
    images = (examples()[0] / 255).astype(np.float32)
    images[39, 11] = -np.inf
    return images, examples()[1]


def high_label():
    images, labels = examples()
    labels[5] = 10
    return images, labels


def shifted(by):
    images, labels = examples()
    images = images.astype(int)
    images[2, 1] = by
    return images, labels


@pytest.mark.parametrize("place", ["data", "validation"])
@pytest.mark.parametrize(
    ("data", "message"),
    [
        (nan_pixel(), "nan in row 7, column 3"),
        (infinite_pixel(), "inf in row 39, column 11"),
        (high_label(), r"label 10 in row 5.*4 outputs \(0..3\)"),
        (shifted(300), "pixel 300 in row 2, column 1"),
        (shifted(-1), "pixel -1 in row 2, column 1"),
        (examples(features=13), "13 pixels.*12 inputs"),
        ((examples()[0], examples(39)[1]), "40 images, but 39 labels"),
        ((examples()[0][:0], examples()[1][:0]), "no images"),
        (Dataset(examples()[0], source="somewhere"), "somewhere has no labels"),
        (examples()[0], r"Dataset or a pair \(images, labels\)"),
        (17, r"Dataset or a pair \(images, labels\)"),
    ],
)
def test_data_that_do_not_fit_are_refused_before_training(data, message, place):
    network = Network(SIZES)
    before = network.parameters.copy()
    arguments = {"data": examples(), place: data}
    with pytest.raises(DataError, match=message):
        fit(network, arguments["data"], validation=arguments.get("validation"), progress=False)
    np.testing.assert_array_equal(network.parameters, before)


def test_the_forms_of_data_train_alike():
    images, labels = examples()
    expected, _ = trained(5, data=(images, labels))
    one_hot = np.eye(4)[labels]
    for data in (
        Dataset(images, labels),
        [images, labels],
        (images.reshape(-1, 4, 3), labels),
        (images.astype(np.int64), labels.astype(float)),
        (images.tolist(), labels.tolist()),
        (np.asfortranarray(images), one_hot),
        (np.repeat(images, 2, axis=0)[::2], labels),
    ):
        np.testing.assert_array_equal(trained(5, data=data)[0].parameters, expected.parameters)


def test_unscaled_floats_are_used_as_they_are_with_a_warning():
    images, labels = examples()
    network = Network(SIZES)
    floats = images.astype(np.float32)
    for use in (
        lambda: fit(network, (floats, labels), iterations=1, progress=False),
        lambda: network.predict(floats),
        lambda: network.accuracy(floats, labels),
        lambda: as_images(floats),
    ):
        with pytest.warns(UserWarning, match="look unscaled") as caught:
            use()
        assert [warning.filename for warning in caught] == [__file__]


def test_data_are_not_changed():
    images, labels = examples()
    for given in (images, images / 255):
        copies = given.copy(), labels.copy()
        trained(3, data=(given, labels))
        np.testing.assert_array_equal(given, copies[0])
        np.testing.assert_array_equal(labels, copies[1])
        assert given.flags.writeable


# --- the record ----------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_entry_i_belongs_to_the_weights_before_update_i(backend):
    data = examples()
    network = Network(SIZES, "float64", seed=3)
    accuracies = [network.accuracy(*data, backend=backend)]

    def note(trained_network, history):
        assert trained_network is network
        accuracies.append(network.accuracy(*data, backend=backend))

    history = fit(
        network,
        data,
        iterations=12,
        learning_rate=1.0,
        backend=backend,
        progress=False,
        callbacks=[note],
    )
    assert history.accuracy == accuracies[:-1]
    assert len(set(accuracies)) > 2
    assert len(history) == len(history.loss) == len(history.seconds) == 12
    assert history.loss[-1] < history.loss[0]
    assert min(history.seconds) > 0
    assert history.backend == backend
    assert (history.storage, history.threads is None) == (
        ("floats", True) if backend == "numpy" else ("dense", False)
    )


def test_validation_is_scored_every_so_often_and_at_the_end():
    held_out = examples(30, seed=9)
    network, history = trained(23, validation=held_out, every=7)
    assert [score.iteration for score in history.validation] == [0, 7, 14, 21, 23]
    assert history.validation[-1].accuracy == network.accuracy(*held_out)
    assert history.validation[0].accuracy == Network(SIZES, "float64", seed=1).accuracy(*held_out)
    assert history.validation[0].loss != history.validation[-1].loss
    assert [s.iteration for s in trained(4, validation=held_out, every=2)[1].validation] == [
        0,
        2,
        4,
    ]


def test_each_part_has_its_own_clock():
    slow = [lambda network, history: time.sleep(0.01)]
    began = time.perf_counter()
    _, history = trained(10, validation=examples(30, seed=9), callbacks=slow)
    took = time.perf_counter() - began
    inside = sum(history.seconds) + history.validation_seconds
    assert inside + 0.1 < history.train_seconds
    assert min(history.compile_seconds, history.prepare_seconds, history.validation_seconds) > 0
    parts = history.compile_seconds + history.prepare_seconds + history.train_seconds
    assert parts < took < parts + 0.1


def test_final_scores_are_those_of_the_trained_network():
    network, history = trained(7)
    assert history.final_accuracy == network.accuracy(*examples())
    _, longer = trained(8)
    assert longer.loss[7] == history.final_loss


def test_validation_does_not_change_training():
    held_out = examples(30, seed=9)
    np.testing.assert_array_equal(
        trained(9, validation=held_out, every=2)[0].parameters, trained(9)[0].parameters
    )


@pytest.mark.parametrize("validation", [None, examples(30, seed=9)])
def test_no_iterations(validation):
    network, history = trained(0, validation=validation)
    assert history.final_accuracy == network.accuracy(*examples())
    np.testing.assert_array_equal(network.parameters, Network(SIZES, "float64", seed=1).parameters)
    assert len(history) == 0
    assert [score.iteration for score in history.validation] == ([0] if validation else [])


def test_training_goes_on_where_it_stopped():
    network, first = trained(4)
    second = fit(network, examples(), iterations=6, progress=False)
    expected, whole = trained(10)
    np.testing.assert_array_equal(network.parameters, expected.parameters)
    assert first.loss + second.loss == whole.loss


def test_callbacks_are_all_called_and_true_stops():
    calls = []

    def first(network, history):
        calls.append("first")
        return len(history) == 3

    def second(network, history):
        calls.append("second")

    network, history = trained(50, callbacks=[first, second], validation=examples(9, seed=2))
    assert calls == ["first", "second"] * 3
    assert len(history) == 3
    assert history.validation[-1].iteration == 3
    np.testing.assert_array_equal(network.parameters, trained(3)[0].parameters)


def test_an_error_in_a_callback_comes_out():
    def broken(network, history):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        trained(3, callbacks=[broken])


# --- progress ------------------------------------------------------------------------------------


def test_lines_where_nobody_watches(capsys):
    trained(25, progress=True, every=10, validation=examples(20, seed=5))
    out, err = capsys.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert [line.split()[1] for line in lines] == ["0/25", "10/25", "20/25", "25/25"]
    assert all(
        re.fullmatch(
            r"iteration +\d+/25  loss \d\.\d{4}  accuracy [01]\.\d{4}  dev [01]\.\d{4}  0 s left",
            line,
        )
        for line in lines
    )


def test_silence(capfd):
    trained(25, progress=False)
    assert capfd.readouterr() == ("", "")


# --- divergence ----------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
@pytest.mark.parametrize("backend", ["numpy", "numba"])
@pytest.mark.parametrize(
    ("dtype", "rate"),
    [("float32", 1e12), ("float32", 1e30), ("float64", 1e100), ("float64", 1e250)],
)
def test_divergence_keeps_the_last_weights_with_a_finite_loss(dtype, rate, backend):
    network = Network((12, 16, 4), dtype, seed=1)
    with pytest.raises(DivergenceError) as raised:
        fit(
            network,
            examples(),
            iterations=50,
            learning_rate=rate,
            backend=backend,
            progress=False,
        )
    history = raised.value.history
    message = str(raised.value)
    assert f"diverged at iteration {len(history)}:" in message
    assert f"{history.loss[-1]:.4g}" in message
    assert f"{min(rate / 10, 0.1):g}" in message
    assert 1 <= len(history) < 50
    assert np.isfinite(history.loss).all()
    expected = Network((12, 16, 4), dtype, seed=1)
    if len(history) > 1:
        fit(
            expected,
            examples(),
            iterations=len(history) - 1,
            learning_rate=rate,
            backend=backend,
            progress=False,
        )
    np.testing.assert_array_equal(network.parameters, expected.parameters)
    assert np.isfinite(network.parameters).all()


@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
def test_divergence_in_the_very_last_update_is_noticed():
    network = Network(SIZES, "float32", seed=1)
    before = network.parameters.copy()
    with pytest.raises(DivergenceError, match="iteration 1"):
        fit(network, examples(), iterations=1, learning_rate=1e39, progress=False)
    np.testing.assert_array_equal(network.parameters, before)


@pytest.mark.filterwarnings("ignore:.*look unscaled:UserWarning")
@pytest.mark.parametrize("backend", ["numba", "numpy"])
def test_divergence_at_once_leaves_the_weights_alone(backend):
    network = Network(SIZES, "float32", seed=1)
    network.weights[0][:] = 1
    before = network.parameters.copy()
    images = np.full((40, SIZES[0]), 1e38, np.float32)
    with (
        np.errstate(all="ignore"),
        pytest.raises(DivergenceError, match=r"not finite before any update") as raised,
    ):
        fit(network, (images, examples()[1]), iterations=5, backend=backend, progress=False)
    assert len(raised.value.history) == 0
    np.testing.assert_array_equal(network.parameters, before)


# --- interrupts ----------------------------------------------------------------------------------


def test_interrupt_in_a_callback_keeps_the_weights_of_whole_iterations():
    def interrupt(network, history):
        if len(history) == 4:
            raise KeyboardInterrupt

    network = Network(SIZES, "float64", seed=1)
    with pytest.raises(KeyboardInterrupt) as raised:
        fit(network, examples(), iterations=50, progress=False, callbacks=[interrupt])
    assert len(raised.value.history) == 4
    np.testing.assert_array_equal(network.parameters, trained(4)[0].parameters)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs a timer")
@pytest.mark.filterwarnings("ignore:accuracy is:UserWarning")  # labels are drawn by lot
@pytest.mark.parametrize("progress", [False, True])
def test_interrupt_by_a_signal(progress, capsys):
    sizes, data = (784, 10, 10), examples(2000, features=784, classes=10)
    trained(1, sizes=sizes, data=data)
    for delay in (0.02, 0.05, 0.11, 0.23):
        network = Network(sizes, "float64", seed=1)
        before = signal.signal(signal.SIGALRM, signal.default_int_handler)
        try:
            signal.setitimer(signal.ITIMER_REAL, delay)
            started = time.perf_counter()
            with pytest.raises(KeyboardInterrupt) as raised:
                fit(network, data, iterations=100_000, progress=progress)
            assert time.perf_counter() - started < delay + 5
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        if not hasattr(raised.value, "history"):
            # It came before the first iteration.
            expected = Network(sizes, "float64", seed=1)
        else:
            done = len(raised.value.history)
            expected, _ = trained(done, sizes=sizes, data=data)
        np.testing.assert_array_equal(network.parameters, expected.parameters)
    assert done > 0


@pytest.fixture
def no_garbage_collection():
    """Python loses what a signal's handler raises while it calls back for an object that dies."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.skipif(os.name != "posix", reason="needs kill")
def test_interrupt_by_control_c(no_garbage_collection):
    network = Network(SIZES, "float64", seed=1)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt) as raised:
        fit(network, examples(), iterations=500_000, progress=False)
    timer.join()
    done = len(raised.value.history)
    assert done > 0
    np.testing.assert_array_equal(network.parameters, trained(done)[0].parameters)


def interrupted_at_line(number):
    """Train, and raise KeyboardInterrupt before the number-th line of the loop that is run."""
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

    functions = FullBatch.run, FullBatch._descend, NumpyObjective.descend
    loops = [function.__code__ for function in functions]
    network = Network(SIZES, "float64", seed=1)
    before = sys.gettrace()
    sys.settrace(trace)
    try:
        history = fit(
            network,
            examples(),
            validation=examples(9, seed=2),
            iterations=4,
            every=2,
            progress=False,
            backend="numpy",
        )
    except KeyboardInterrupt as error:
        return network, error.history
    finally:
        sys.settrace(before)
    return network, history


def test_interrupt_at_any_line_leaves_weights_and_record_together(tmp_path):
    expected = [trained(done, backend="numpy")[0].parameters for done in range(5)]
    interrupts = 0
    for number in range(1000):
        network, history = interrupted_at_line(number)
        np.testing.assert_array_equal(network.parameters, expected[len(history)])
        assert len(history.loss) == len(history.accuracy) == len(history.seconds)
        history.to_csv(tmp_path / "history.csv")
        if len(history) == 4 and len(history.validation) == 3:
            break
        interrupts += 1
    assert 40 < interrupts < 999


# --- stuck ---------------------------------------------------------------------------------------

MANY = examples(200, seed=3, classes=10)


def test_stuck_with_a_small_learning_rate():
    with pytest.warns(UserWarning, match=r"after 100 iterations.*falls, but slowly.*0.0001"):
        trained(120, sizes=(12, 10, 10), data=MANY, learning_rate=1e-4, seed=0)


def test_stuck_without_progress():
    network = Network((12, 10, 10), "float64")
    network.biases[0][:] = -1e6
    data = MANY[0], np.arange(200) % 10
    with pytest.warns(UserWarning, match=r"after 100 iterations.*does not fall.*unscaled.*dead"):
        fit(network, data, iterations=100, learning_rate=1e-9, progress=False)


def test_the_warning_names_the_callers_line():
    network = Network((12, 10, 10), "float64")
    with pytest.warns(UserWarning, match="after 100 iterations") as caught:
        fit(network, MANY, iterations=100, learning_rate=1e-9, progress=False)
    assert [warning.filename for warning in caught] == [__file__]


def test_no_warning_where_nothing_is_stuck():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trained(99, sizes=(12, 10, 10), data=MANY, learning_rate=1e-9)
        trained(101, learning_rate=1e-9)
        learned = examples(40, classes=10)
        learned[0][:, 0] = learned[1] * 25
        _, history = trained(120, sizes=(12, 20, 10), data=learned, learning_rate=0.5)
    assert history.accuracy[99] > 0.3


# --- Python threads ------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["numba", "numpy"])
def test_several_python_threads_train_at_once(backend):
    results = {}

    def train(seed):
        data = examples(300, seed, 784, 10)
        results[seed] = trained(20, sizes=(784, 10, 10), seed=seed, data=data, backend=backend)

    workers = [threading.Thread(target=train, args=(seed,)) for seed in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for seed in range(3):
        expected, history = trained(
            20, sizes=(784, 10, 10), seed=seed, data=examples(300, seed, 784, 10), backend=backend
        )
        tolerance = 0 if backend == "numba" else 1e-12
        np.testing.assert_allclose(
            results[seed][0].parameters, expected.parameters, rtol=0, atol=tolerance
        )
        np.testing.assert_allclose(results[seed][1].loss, history.loss, rtol=tolerance)


def test_a_network_that_is_not_finite_is_not_trained():
    network = Network(SIZES, "float64", seed=1)
    network.parameters[3] = np.nan
    with pytest.raises(ValueError, match="weights contain NaN or infinity"):
        fit(network, examples(), iterations=2, progress=False)


def test_masked_images_are_refused():
    """Their masked pixels would count as they are."""
    images, labels = examples()
    masked = np.ma.masked_greater(images, 100)
    with pytest.raises(DataError, match=r"masked array; .*filled\(0\)"):
        fit(Network(SIZES, seed=1), (masked, labels), iterations=1, progress=False)
