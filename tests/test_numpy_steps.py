"""Training in steps by NumPy: what a step is made of, exact resume, hostile data, a peer."""

import importlib.util
import itertools
import json

import hostile
import numpy as np
import pytest

import fastdigit as fd
from fastdigit.kernels import Problem, objective
from fastdigit.kernels.numpy_steps import NumpyTrainer
from fastdigit.kernels.parameters import views
from fastdigit.kernels.randomness import permutation
from fastdigit.kernels.reference import ACTIVATIONS
from fastdigit.kernels.steps import Learning
from fastdigit.optimizers import SGD, Adam

SIZES = (19, 18, 9, 5)
OPTIMIZERS = [SGD(), SGD(0.9), SGD(0.9, nesterov=True), Adam()]
EVERYTHING = {"l1": 1e-3, "l2": 1e-2, "dropout": 0.25, "label_smoothing": 0.1}


def trainer(case, dtype="float64", seed=3, **settings):
    parameters = case.parameters.astype(dtype)
    return NumpyTrainer(
        Learning(**settings), case.sizes, dtype, case.images, case.labels, parameters, seed
    )


def case_of(n=67, **options):
    return hostile.drawn(n, SIZES, **options)


def an_epoch(learner, epoch=0, batch=16, rate=0.05, n=67):
    order = permutation(5, epoch, n)
    learner.begin_epoch()
    return learner.advance(order, epoch, batch, np.full(-(-n // batch), rate))


def assert_same_state(one, other):
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("pixels", ["bytes", "floats"])
def test_a_step_on_all_images_is_one_of_full_batch_descent(pixels, dtype):
    case = case_of(pixels=pixels)
    learner = trainer(case, dtype)
    tally = an_epoch(learner, batch=100, rate=0.5)
    problem = Problem(SIZES, np.dtype(dtype), case.images, case.labels)
    parameters = case.parameters.astype(dtype)
    score, gradient = objective(problem, "numpy").gradient(parameters)
    tolerance = 1e-5 if dtype == "float32" else 1e-13
    assert tally.loss == pytest.approx(67 * score.loss, rel=tolerance)
    assert tally.right == round(67 * score.accuracy)
    assert learner.parameters().dtype == dtype
    np.testing.assert_allclose(
        learner.parameters(), parameters - 0.5 * gradient, rtol=tolerance, atol=tolerance
    )


def test_batches_follow_the_order():
    """Three steps on 10, 10 and 3 images, done one at a time by other means."""
    case = case_of()
    learner = trainer(case, optimizer=SGD(0.5))
    order = np.array([*range(40, 60), 3, 1, 2])
    rates = np.array([0.5, 0.1, 0.2])
    tally = learner.advance(order, 0, 10, rates)
    w, v, loss, right = case.parameters.copy(), 0.0, 0.0, 0
    for batch, rate in zip((order[:10], order[10:20], order[20:]), rates, strict=True):
        problem = Problem(SIZES, np.dtype("float64"), case.images[batch], case.labels[batch])
        score, gradient = objective(problem, "numpy").gradient(w)
        v = 0.5 * v + gradient
        w -= rate * v
        loss += score.loss * len(batch)
        right += round(score.accuracy * len(batch))
    np.testing.assert_allclose(learner.parameters(), w, rtol=1e-12, atol=1e-15)
    assert tally == pytest.approx((loss, right))


@pytest.mark.parametrize("count", [2, 4])
def test_rates_and_batches_must_match(count):
    with pytest.raises(ValueError, match="argument 2 is"):
        trainer(case_of()).advance(np.arange(23), 0, 10, np.ones(count))


def test_penalties_change_weights_and_not_biases():
    case = case_of()
    plain, l1, l2 = trainer(case), trainer(case, l1=0.25), trainer(case, l2=0.5)
    for learner in (plain, l1, l2):
        an_epoch(learner, batch=67, rate=1.0)
    weights, _ = views(case.parameters, SIZES)
    for learner, penalty in ((l1, lambda W: 0.25 * np.sign(W)), (l2, lambda W: 0.5 * W)):
        difference = views(plain.parameters() - learner.parameters(), SIZES)
        for W, dW, db in zip(weights, *difference, strict=True):
            np.testing.assert_allclose(dW, penalty(W), atol=1e-14)
            assert not db.any()


def test_l1_leaves_a_weight_of_zero_alone():
    case = case_of()
    case.parameters[:] = 0
    learner = trainer(case, l1=0.25)
    an_epoch(learner, batch=67, rate=1.0)
    weights, biases = views(learner.parameters(), SIZES)
    assert not any(W.any() for W in weights)
    assert biases[-1].any()


def test_dropout_differs_between_epochs_and_seeds_alone():
    case = case_of()
    found = {}
    for seed, epoch in itertools.product((3, 4), (0, 1)):
        learner = trainer(case, seed=seed, dropout=0.5)
        learner.advance(np.arange(67), epoch, 10, np.full(7, 0.1))
        found[seed, epoch] = learner.parameters()
        again = trainer(case, seed=seed, dropout=0.5)
        again.advance(np.arange(67), epoch, 10, np.full(7, 0.1))
        np.testing.assert_array_equal(again.parameters(), found[seed, epoch])
    for one, other in itertools.combinations(found.values(), 2):
        assert not np.array_equal(one, other)


@pytest.mark.parametrize("chosen", OPTIMIZERS, ids=repr)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_resume_is_exact(dtype, chosen):
    case = case_of()
    settings = {"optimizer": chosen, "activation": "tanh", **EVERYTHING}
    whole = trainer(case, dtype, **settings)
    an_epoch(whole, 0)
    saved = whole.state()
    copies = {name: array.copy() for name, array in saved.items()}
    assert saved.keys() == {"parameters", "step", "tallies", *chosen.arrays}
    assert saved["step"] == 5
    an_epoch(whole, 1)
    assert_same_state(saved, copies)

    resumed = trainer(case._replace(parameters=case.parameters + 1), dtype, **settings)
    an_epoch(resumed, 6)
    resumed.restore(saved)
    assert_same_state(resumed.state(), saved)
    an_epoch(resumed, 1)
    assert_same_state(resumed.state(), whole.state())
    assert_same_state(saved, copies)


@pytest.mark.parametrize("chosen", OPTIMIZERS, ids=repr)
def test_an_epoch_in_pieces_is_the_same(chosen):
    case = case_of()
    settings = {"optimizer": chosen, **EVERYTHING}
    whole, pieces = trainer(case, **settings), trainer(case, **settings)
    order, rates = permutation(1, 4, 67), np.linspace(0.1, 0.02, 7)
    expected = whole.advance(order, 4, 10, rates)
    tallies = [
        pieces.advance(order[10 * a : 10 * b], 4, 10, rates[a:b])
        for a, b in ((0, 1), (1, 5), (5, 5), (5, 7))
    ]
    assert_same_state(pieces.state(), whole.state())
    assert tallies[-1] == pieces.tally() == expected
    assert tallies[1] == tallies[2]


def test_neither_its_inputs_nor_its_outputs_are_shared():
    case = case_of()
    copies = [array.copy() for array in case[1:]]
    learner = trainer(case, optimizer=Adam(), **EVERYTHING)
    before = learner.parameters()
    learner.parameters()[:] = 0
    learner.state()["parameters"][:] = 0
    np.testing.assert_array_equal(learner.parameters(), before)
    an_epoch(learner)
    for array, copy in zip(case[1:], copies, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_replaced_images_are_learned_from():
    case, other = case_of(), case_of(seed=2)
    learner = trainer(case)
    an_epoch(learner, 0)
    learner.replace(other.images)
    an_epoch(learner, 1)
    expected = trainer(case)
    an_epoch(expected, 0)
    fresh = trainer(case._replace(images=other.images))
    fresh.restore(expected.state())
    an_epoch(fresh, 1)
    np.testing.assert_array_equal(learner.parameters(), fresh.parameters())


def test_bytes_are_divided_by_255():
    case = case_of()
    ours, floats = trainer(case), trainer(case._replace(images=case.images / 255))
    assert an_epoch(ours) == an_epoch(floats)
    np.testing.assert_array_equal(ours.parameters(), floats.parameters())


@pytest.fixture(scope="module")
def digits():
    return fd.make_digits(300, seed=0)


@pytest.mark.parametrize(
    ("chosen", "activation", "rate"),
    [
        (SGD(), "relu", 0.2),
        (SGD(0.9), "relu", 0.03),
        (SGD(0.9, nesterov=True), "relu", 0.02),
        *[(Adam(), activation, 0.01) for activation in ACTIVATIONS],
    ],
)
def test_it_learns(digits, chosen, activation, rate):
    network = fd.Network([784, 24, 16, 10], dtype="float32")
    learning = Learning(chosen, 1e-6, 1e-4, 0.1, 0.05, activation)
    learner = NumpyTrainer(
        learning, network.sizes, "float32", digits.images, digits.labels, network.parameters, 0
    )
    tallies = [an_epoch(learner, epoch, 20, rate, 300) for epoch in range(15)]
    assert tallies[0].right < 150
    assert max(tally.right for tally in tallies[-4:]) > 220
    assert tallies[-1].loss < tallies[0].loss / 2
    network.parameters[:] = learner.parameters()
    if activation == "relu":
        assert network.accuracy(digits.images, digits.labels, backend="numpy") > 0.85


# --- hostile data --------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("name", hostile.CASES)
def test_hostile_input_stays_finite(name, activation, dtype):
    case = hostile.CASES[name]()
    learner = trainer(case, dtype, optimizer=Adam(), activation=activation, **EVERYTHING)
    for epoch in range(2):
        tally = an_epoch(learner, epoch, rate=1e-3)
        assert np.isfinite(tally.loss)
        assert 0 <= tally.right <= len(case.labels)
    assert np.isfinite(learner.parameters()).all()
    assert learner.parameters().dtype == dtype


@pytest.mark.parametrize("batch", [1, 66, 67, 68, 10**9])
def test_batches_of_any_size(batch):
    learner = trainer(case_of(), optimizer=SGD(0.9), **EVERYTHING)
    tally = an_epoch(learner, batch=batch, rate=0.01)
    assert learner.state()["step"] == -(-67 // batch)
    assert np.isfinite(tally.loss)
    assert np.isfinite(learner.parameters()).all()


def test_one_image():
    learner = trainer(case_of(1))
    first = an_epoch(learner, rate=0.1, n=1)
    second = an_epoch(learner, rate=0.1, n=1)
    assert second.loss < first.loss


def test_a_network_without_hidden_layers_has_nothing_to_drop():
    case = hostile.drawn(20, (19, 5))
    plain, dropping = trainer(case), trainer(case, dropout=0.9)
    assert an_epoch(plain, n=20) == an_epoch(dropping, n=20)
    np.testing.assert_array_equal(plain.parameters(), dropping.parameters())


# --- another library -----------------------------------------------------------------------------

COMBINATIONS = [
    (activation, OPTIMIZERS[(i + shift) % 4], l2, smoothing)
    for i, activation in enumerate(ACTIVATIONS)
    for shift, (l2, smoothing) in enumerate(itertools.product((0, 0.01), (0, 0.1)))
]
PEER_STEPS = 50

PEER = """
import json
from fastdigit.measure import threads
threads.limit(1)  # two would wait for each other where the tests have no core of their own
import numpy as np
import torch
import test_numpy_steps as ours
from fastdigit.kernels.parameters import flatten, views

FUNCTIONS = {
    "relu": torch.relu,
    "leaky_relu": torch.nn.functional.leaky_relu,
    "tanh": torch.tanh,
    "logistic": torch.sigmoid,
    "identity": lambda z: z,
}

def trained(activation, chosen, l2, smoothing):
    case = ours.case_of()
    layers = [[torch.tensor(a, requires_grad=True) for a in part]
              for part in views(case.parameters, case.sizes)]
    groups = [{"params": layers[0], "weight_decay": l2}, {"params": layers[1], "weight_decay": 0}]
    if isinstance(chosen, ours.SGD):
        peer = torch.optim.SGD(groups, 0.1, chosen.momentum, nesterov=chosen.nesterov)
    else:
        peer = torch.optim.Adam(groups, 0.1, (chosen.beta1, chosen.beta2), chosen.epsilon)
    images, labels = torch.tensor(case.images / 255), torch.tensor(case.labels.astype(np.int64))
    loss_of = torch.nn.CrossEntropyLoss(label_smoothing=smoothing)
    total = 0.0
    for epoch in range(10):
        for batch in torch.tensor(ours.permutation(5, epoch, 67)).split(16):
            a = images[batch]
            for layer, (W, b) in enumerate(zip(*layers)):
                z = a @ W.T + b
                a = FUNCTIONS[activation](z)
            loss = loss_of(z, labels[batch])
            total += loss.item() * len(batch)
            peer.zero_grad()
            loss.backward()
            for group in peer.param_groups:
                group["lr"] = 0.01
            peer.step()
    found = flatten(*([a.detach().numpy() for a in part] for part in layers))
    return total, found.tolist()

print(json.dumps([trained(*combination) for combination in ours.COMBINATIONS]))
"""


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="PyTorch is not installed")
def test_pytorch_arrives_at_the_same_weights(output_of):
    results = json.loads(output_of(PEER)[-1])
    for combination, (total, expected) in zip(COMBINATIONS, results, strict=True):
        activation, chosen, l2, smoothing = combination
        learner = trainer(
            case_of(), optimizer=chosen, activation=activation, l2=l2, label_smoothing=smoothing
        )
        loss = sum(an_epoch(learner, epoch, rate=0.01).loss for epoch in range(10))
        assert learner.state()["step"] == PEER_STEPS
        assert loss == pytest.approx(total, rel=1e-11)
        error = np.linalg.norm(learner.parameters() - expected) / np.linalg.norm(expected)
        assert error < 1e-10, combination
