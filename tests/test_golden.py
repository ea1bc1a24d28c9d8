"""Golden bits: what training arrives at, on every processor and at any number of threads.

All inputs are whole numbers of a generator written here, divided by powers of two: neither NumPy's
generators nor the C library can show in them. The numbers of `GOLDEN` change only in a commit that
says why.
"""

import itertools
import json
import math
import re
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numba
import numpy as np
import pytest
from llvmlite import binding

import fastdigit as fd
from fastdigit.kernels import Problem, objective
from fastdigit.kernels.activation import ACTIVATIONS
from fastdigit.kernels.layout import aligned
from fastdigit.kernels.simd import fma, load, pointer, store
from fastdigit.processors import allowed

GOLDEN = {
    "classic float32 dense": [3194637430, 1128923590],
    "classic float32 sparse": [1063685219, 3611126433],
    "classic float64 dense": [3212238631, 2101482510],
    "classic float64 sparse": [1651746942, 2566803129],
    "deep float32 dense": [1513976185, 3993315546],
    "deep float32 sparse": [2143367969, 2393282380],
    "deep float64 dense": [887206770, 2313432677],
    "deep float64 sparse": [1538873780, 2827313433],
}
"""Checksums of weights and losses."""

GOLDEN_ACTIVATIONS = {
    "leaky_relu float32": [1345659789, 2299261670],
    "leaky_relu float64": [1687005661, 2510041290],
    "tanh float32": [3685637844, 2243740173],
    "tanh float64": [363414681, 2952796681],
    "logistic float32": [2716468835, 3121214967],
    "logistic float64": [907791765, 3759197958],
    "identity float32": [3627464865, 284196247],
    "identity float64": [4093120478, 3300425320],
}
"""Checksums of a gradient and of probabilities."""

GOLDEN_BATCHES = {
    "sgd": [1953870070, 343026991],
    "momentum": [698092275, 616877269],
    "nesterov": [1253102277, 3706901921],
    "adam": [2657724178, 2217613590],
}
"""Checksums of weights and losses after training with batches in float32, dense or sparse: pixels
that are 0 change no sum."""

GOLDEN_DIGITS = 2457736734

NETWORKS = {"classic": ((784, 10, 10), 50), "deep": ((20, 17, 11, 3), 2100)}
"""Sizes of layers, and the number of images: most pieces are empty, or have several groups."""


# --- in a child process --------------------------------------------------------------------------


def numbers(count, seed):
    """Return whole numbers of 32 bits from Knuth's linear congruential generator."""
    factor, step = np.uint64(6364136223846793005), np.uint64(1442695040888963407)
    # The k-th is factor^k seed + (1 + factor + ... + factor^k) step, modulo 2^64.
    powers = np.full(count, factor)
    powers[0] = 1
    powers = np.cumprod(powers)
    return ((powers * np.uint64(seed) + np.cumsum(powers) * step) >> 32).astype(np.int64)


def given(name, dtype, activation="relu"):
    """Return a network, images and labels."""
    sizes, n = NETWORKS[name]
    drawn = numbers(n * sizes[0], seed=1).reshape(n, sizes[0])
    images = np.where(drawn % 5 < 2, drawn // 8 % 256, 0).astype(np.uint8)
    network = fd.Network(sizes, dtype, activation=activation)
    network.parameters[:] = (numbers(network.parameters.size, seed=2) % 1024 - 512) / 1024
    return network, images, (numbers(n, seed=3) % sizes[-1]).astype(np.uint8)


def checksums(*arrays):
    return [zlib.crc32(np.array(array).tobytes()) for array in arrays]


def trained(name, dtype, storage, threads):
    """Return checksums of the weights and the losses after 25 iterations."""
    network, images, labels = given(name, dtype)
    history = fd.fit(
        network,
        (images, labels),
        iterations=25,
        learning_rate=0.125,
        storage=storage,
        threads=threads,
        progress=False,
    )
    assert history.loss[-1] < 0.9 * history.loss[0]
    assert (history.storage, history.threads) == (storage, threads)
    return checksums(network.parameters, history.loss)


def activated(activation, dtype, threads):
    """Return checksums of the gradient and of the probabilities of a deep network."""
    network, images, labels = given("deep", dtype, activation)
    problem = Problem(network.sizes, network.dtype, images, labels, activation)
    _, gradient = objective(problem, "numba", threads).gradient(network.parameters)
    return checksums(gradient, network.predict_proba(images, threads=threads))


CHOICES = {
    "sgd": {"learning_rate": 0.25, "schedule": "cosine", "l1": 2**-12},
    "momentum": {"learning_rate": 0.0625, "schedule": "step"},
    "nesterov": {"learning_rate": 0.0625, "schedule": "linear", "label_smoothing": 0.125},
    "adam": {"learning_rate": 2**-7, "dropout": 0.25, "l2": 2**-9, "augment": "elastic"},
}


def batches(optimizer, storage, threads):
    """Return checksums of the weights and the losses after three epochs with batches."""
    network, images, labels = given("classic", "float32", "tanh")
    history = fd.fit(
        network,
        (images, labels),
        epochs=3,
        batch_size=16,
        optimizer=optimizer,
        **CHOICES[optimizer],
        storage=storage,
        threads=threads,
        progress=False,
    )
    assert (history.storage, history.threads) == (storage, threads)
    return checksums(network.parameters, history.loss)


def multiply_add(source, out):
    p = pointer(source)
    store(pointer(out), 0, fma(load(p, 0), load(p, 16), load(p, 32)))


def instructions():
    """Return what the code that is compiled here multiplies vectors with."""
    compiled = numba.njit(multiply_add)
    compiled(aligned(48, "float32"), aligned(16, "float32"))
    (code,) = compiled.inspect_asm().values()
    return sorted(set(re.findall(r"vfmadd|\bfmaf|[xyz]mm", code)))


def sines():
    """Return a checksum that shows which version of `sin` the C library has chosen."""
    return zlib.crc32(np.array([math.sin(i / 997) for i in range(20_000)]).tobytes())


def answer(threads):
    """Print the bits of everything, and what they were computed with."""
    bits = {
        f"{name} {dtype} {storage}": [trained(name, dtype, storage, k) for k in threads]
        for name, dtype, storage in itertools.product(
            NETWORKS, ("float32", "float64"), ("dense", "sparse")
        )
    }
    bits |= {
        f"{activation} {dtype}": [activated(activation, dtype, k) for k in threads]
        for activation, dtype in itertools.product(ACTIVATIONS[1:], ("float32", "float64"))
    }
    bits |= {
        optimizer: [batches(optimizer, ("dense", "sparse")[k % 2], k) for k in threads]
        for optimizer in CHOICES
    }
    digits = zlib.crc32(fd.make_digits(200, seed=1).images.tobytes())
    print(json.dumps([bits, digits, instructions(), sines()]))


# --- in the test ---------------------------------------------------------------------------------

OLD_LIBRARIES = {
    "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX512F,-AVX2,-FMA,-FMA4",
    "NPY_DISABLE_CPU_FEATURES": " ".join(
        np.show_config(mode="dicts")["SIMD Extensions"].get("found", [])
    ),
}
"""What makes the C library and NumPy believe that the processor is old."""


class Child(NamedTuple):
    """A process that computes all bits."""

    threads: tuple[int, ...]
    environment: dict[str, str | None]
    needs: frozenset[str] = frozenset()
    """Features without which this processor cannot run its code."""
    instructions: frozenset[str] | None = None
    """What its code multiplies vectors with, where this processor does not show."""


def processor(name, features, **child):
    """Return a child whose code is made for another processor, which has these features.

    An empty list is needed: without one, Numba adds all that this processor has to the name.
    """
    return Child((1,), {"NUMBA_CPU_NAME": name, "NUMBA_CPU_FEATURES": features}, **child)


CHILDREN = {
    # Instructions chosen and ordered as for that processor, but only those that this one has.
    "znver5": processor("znver5", None),
    "skylake-avx512": processor(
        "skylake-avx512",
        "",
        needs=frozenset({"fma", "avx2", "avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}),
        instructions=frozenset({"vfmadd", "zmm"}),
    ),
    "haswell": processor(
        "haswell",
        "",
        needs=frozenset({"fma", "avx2", "bmi", "bmi2", "lzcnt", "movbe"}),
        instructions=frozenset({"vfmadd", "ymm"}),
    ),
    # Vectors of 4 float32, and no fma.
    "nehalem": processor("nehalem", "", instructions=frozenset({"fmaf", "xmm"})),
    "old libraries": Child((2,), {"NUMBA_NUM_THREADS": "2"} | OLD_LIBRARIES),
    "threads": Child((1, 2, 3, 4), {"NUMBA_NUM_THREADS": "4", "OMP_WAIT_POLICY": "passive"}),
}


@pytest.fixture(scope="module")
def children(python):
    """Start all children, as many at a time as there are processors for them."""
    with ThreadPoolExecutor(allowed()) as pool:
        yield {
            name: pool.submit(
                python,
                f"import test_golden; test_golden.answer({child.threads})",
                environment=child.environment,
            )
            for name, child in CHILDREN.items()
            if child.needs <= features()
        }
        pool.shutdown(cancel_futures=True)


def features():
    return {name for name, present in binding.get_host_cpu_features().items() if present}


@pytest.mark.parametrize("name", CHILDREN)
def test_the_same_bits_everywhere(name, children):
    child = CHILDREN[name]
    if name not in children:
        pytest.skip(f"this processor lacks {', '.join(sorted(child.needs - features()))}")
    finished = children[name].result()
    assert finished.returncode == 0, finished.stderr
    bits, digits, found, library = json.loads(finished.stdout.splitlines()[-1])
    expected = GOLDEN | GOLDEN_ACTIVATIONS | GOLDEN_BATCHES
    for case, runs in bits.items():
        assert runs == [expected[case]] * len(child.threads), case
    assert bits.keys() == expected.keys()
    assert digits == GOLDEN_DIGITS
    # The bits are right; but were they computed in the way that was to be tested?
    if child.instructions:
        assert child.instructions <= set(found)
        assert "vfmadd" in child.instructions or "vfmadd" not in found
        assert "zmm" in child.instructions or "zmm" not in found
    if "not a recognized processor" in finished.stderr:
        pytest.skip(f"this LLVM does not know {name}, and made code for any x86-64 processor")
    if "GLIBC_TUNABLES" in child.environment and "fma" in features() and library == sines():
        pytest.skip("this C library is not to be told that the processor is old")
