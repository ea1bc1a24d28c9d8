"""Compressed rows: what is kept, and when they are chosen."""

import numpy as np
import pytest

from fastdigit import Network, fit
from fastdigit.kernels.numba_backend import SPARSE_BELOW, chosen_storage
from fastdigit.kernels.parallel import available_threads
from fastdigit.kernels.sparse import compress


def drawn(n, features, density, seed=0):
    random = np.random.RandomState(seed)
    kept = random.rand(n, features) < density
    return np.where(kept, random.randint(1, 256, (n, features)), 0).astype(np.uint8)


@pytest.mark.parametrize("n", [1, 2, 63, 64, 65, 1000])
@pytest.mark.parametrize(("features", "density"), [(1, 0.5), (17, 0.0), (17, 1.0), (784, 0.2)])
def test_only_zeros_are_left_out(n, features, density):
    images = drawn(n, features, density)
    kept = compress(images, available_threads())
    rows, columns = np.nonzero(images)
    np.testing.assert_array_equal(kept.values, images[rows, columns])
    np.testing.assert_array_equal(kept.columns, columns)
    np.testing.assert_array_equal(np.diff(kept.starts), np.count_nonzero(images, axis=1))
    assert kept.starts[0] == 0


def test_storage_is_chosen_by_the_share_of_pixels():
    few, many = (drawn(500, 100, SPARSE_BELOW + change) for change in (-0.1, 0.1))
    assert chosen_storage("auto", few) == "sparse"
    assert chosen_storage("auto", many) == "dense"
    assert chosen_storage("auto", few / 255) == "dense"
    assert chosen_storage("auto", np.zeros((3, 70_000), np.uint8)) == "dense"
    assert chosen_storage("sparse", many) == "sparse"


@pytest.mark.parametrize("images", [np.zeros((3, 4)), np.zeros((3, 70_000), np.uint8)])
def test_what_cannot_be_compressed_is_refused(images):
    with pytest.raises(ValueError, match="storage='sparse' takes integer pixels"):
        chosen_storage("sparse", images)


def test_other_storages_are_refused():
    with pytest.raises(ValueError, match="storage='csr'; the storages are"):
        fit(Network([4, 2]), (np.zeros((3, 4), np.uint8), [0, 1, 0]), storage="csr")


@pytest.mark.parametrize("storage", ["dense", "sparse"])
def test_the_history_tells_the_storage(storage):
    images = drawn(40, 30, 0.5)
    history = fit(
        Network([30, 10]),
        (images, images[:, 0] % 10),
        iterations=2,
        storage=storage,
        progress=False,
    )
    assert history.storage == storage
