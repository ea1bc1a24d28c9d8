"""The order of similar images: the one that is described, whatever the threads."""

import numpy as np
import pytest
from test_groups import THREADS, drawn

from fastdigit.kernels.similarity import SIDE, WINDOW, similar


def in_plain_python(images):
    """Return the order that `similar` is said to give."""
    n, features = images.shape
    side = max(1, round(features**0.5))
    keys = []
    lit = np.zeros((n, SIDE * SIDE), int)
    squares = []
    for i, image in enumerate(images):
        inked = np.flatnonzero(image != 0).tolist()
        for j in inked:
            row, column = min(j // side * SIDE // side, SIDE - 1), j % side * SIDE // side
            lit[i, SIDE * row + column] = 1
        squares.append(frozenset((j // side // 2, j % side // 2) for j in inked))
    rarest_first = np.argsort(lit.sum(axis=0), kind="stable")
    for i, image in enumerate(images):
        place = bit = 0
        for part in rarest_first:
            # Of the Gray code each bit tells whether it differs from the one before.
            bit ^= int(lit[i, part])
            place = 2 * place + bit
        keys.append((place, np.count_nonzero(image)))
    order = sorted(range(n), key=lambda i: keys[i])
    windows = (order[first : first + WINDOW] for first in range(0, n, WINDOW))
    return [i for window in windows for i in matched(window, squares)]


def matched(window, squares):
    """Return the images of a window in pairs that are alike, and pairs of these, up to sixteen."""
    sets, alone = [([i], squares[i]) for i in window], []
    for _ in range(4):
        left, sets = sets, []
        while len(left) > 1:
            images, inked = left.pop(0)
            nearest = min(range(len(left)), key=lambda k: len(inked ^ left[k][1]))
            others, inked_too = left[nearest]
            # The next one takes its place.
            left[nearest] = left[0]
            del left[0]
            sets.append((images + others, inked | inked_too))
        alone = [i for images, _ in left for i in images] + alone
    return [i for images, _ in sets for i in images] + alone


@pytest.mark.parametrize("kind", ["bytes", "float32", "float64"])
@pytest.mark.parametrize("features", [1, 2, 3, 15, 16, 17, 40, 49, 64, 100, 784])
def test_the_order_of_similar_images(features, kind):
    """Equal images, of which there are many with one feature, stay as they were."""
    images = drawn(100, features, min(0.5, 10 / features), kind)
    images[50:60] = images[:10]
    assert similar(images, THREADS)[0].tolist() == in_plain_python(images)


def test_the_order_of_more_than_a_window():
    """Its last window has a few images more than a set of sixteen."""
    images = drawn(2 * WINDOW + 29, 144, 0.1)
    assert similar(images, THREADS)[0].tolist() == in_plain_python(images)


def test_threads_do_not_show_in_the_order():
    images = drawn(1000, 49)
    orders = [similar(images, k)[0].tolist() for k in range(1, THREADS + 1)]
    assert sorted(orders[0]) == list(range(1000))
    assert all(order == orders[0] for order in orders)
