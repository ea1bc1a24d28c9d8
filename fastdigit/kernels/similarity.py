"""Which images are alike: an order that brings those together which have ink in the same places.

Four fifths of a picture of a digit are background, and pixels are left out where all images of a
group have none (see `cells`, `chunks` and `groups`). So a group's images should share their
background. The order is first that of a Gray code with one bit for each of 49 parts of the picture,
which tells whether there is any ink in it. Then each image of a window of 1024 takes the one beside
it that is most like it, of those that are left; so do the pairs, and their pairs, up to sixteen.

Of MNIST's pixels 28.3 % are left in cells of four columns of two images, 28.7 % in those of two
columns of four images, 55 % in chunks of 64 columns of sixteen images, and as floats, in pairs of
columns, 35 %; at best it could be 19 %, the share of those that are not 0. Without the windows it
would be 29.8, 30.8, 56 and 37 %.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from fastdigit.jit import njit
from fastdigit.kernels.matrix import ROWS
from fastdigit.kernels.parallel import PIECES, available_threads, run
from fastdigit.kernels.simd import advance, ones

Array = npt.NDArray[Any]
Pointer = Any
"""To elements of one type, in compiled code."""

SIDE = 7
"""Parts of each side of a picture that the order of the images looks at; their squares of four by
four pixels, of all sizes tried, leave the fewest blocks of MNIST."""
WINDOW = 1024
"""Images that are put together anew: a multiple of sixteen."""
BITS = 64
"""Of a number."""


def similar(images: Array, threads: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return an order of images that brings those together which have ink in the same places.

    And one of the columns, where parts that are inked in most images come first.
    """
    n, features = images.shape
    side = max(1, round(features**0.5))
    row, column = np.divmod(np.arange(features), side)
    part = np.minimum(row * SIDE // side, SIDE - 1) * SIDE + column * SIDE // side
    square = np.unique(row // 2 * side + column // 2, return_inverse=True)[1]
    lit = np.zeros(n, np.uint64)
    ink = np.zeros(n, np.uint32)
    masks = np.zeros((n, square.max() // BITS + 1), np.uint64)
    by_square = np.argsort(square, kind="stable")
    word, bit = np.divmod(square[by_square], BITS)
    starts = np.searchsorted(word, np.arange(masks.shape[1] + 1))
    sizes = [n, features, masks.shape[1]]
    numbers = np.concatenate([sizes, part, by_square, bit, starts])
    run(_find_ink, [numbers.astype(np.int64), images, lit, ink, masks], PIECES, threads)
    has = [(lit >> np.uint64(part)) & np.uint64(1) for part in range(SIDE * SIDE)]
    # What few images have, divides them first.
    rare = np.argsort([int(column.sum()) for column in has], kind="stable")
    code = np.zeros(n, np.uint64)
    for number in rare:
        code = code << np.uint64(1) | has[number]
    # From a Gray code to its number, so that neighbours in order differ in few parts.
    for shift in (1, 2, 4, 8, 16, 32):
        code ^= code >> np.uint64(shift)
    order = np.lexsort((ink, code))
    room = np.zeros((available_threads(), masks.shape[1] + 3, WINDOW), np.int64)
    run(_match, [np.array(sizes, np.int64), order, masks, room], PIECES, threads)
    # Within a part, squares of two by two columns: fewer of those have ink than of rows of four.
    return order, np.lexsort((square, -np.argsort(rare)[part]))


@njit(kernel=True)
def _find_ink(
    numbers: Any, images: Any, lit: Any, ink: Any, masks: Any, _f: Any, _g: Any, piece: int, _: int
) -> None:
    """Note in which parts an image has pixels that are not 0, as bits, and how many in all.

    And in which squares: (n, 1 for each 64 of them). A kernel of 64 pieces.
    """
    n, features, size = numbers[0], numbers[1], numbers[2]
    part = advance(numbers, 3)
    pixels, bits = advance(part, features), advance(part, 2 * features)
    starts = advance(part, 3 * features)
    for i in range(n * piece // PIECES, n * (piece + 1) // PIECES):
        image = advance(images, i * features)
        found = count = np.uint64(0)
        for j in range(features):
            pixel = np.uint64(image[j] != 0)
            found |= pixel << np.uint64(part[j])
            count += pixel
        lit[i] = found
        ink[i] = count
        for word in range(size):
            mask = np.uint64(0)
            for k in range(starts[word], starts[word + 1]):
                mask |= np.uint64(image[pixels[k]] != 0) << np.uint64(bits[k])
            masks[i * size + word] = mask


@njit(kernel=True)
def _match(
    numbers: Any,
    order: Any,
    masks: Any,
    room: Any,
    _e: Any,
    _f: Any,
    _g: Any,
    piece: int,
    thread: int,
) -> None:
    """Bring similar images of each window of an order together: a kernel of 64 pieces."""
    n, size = numbers[0], numbers[2]
    windows = (n + WINDOW - 1) // WINDOW
    room = advance(room, thread * (size + 3) * WINDOW)
    sets = advance(room, 3 * WINDOW)
    for window in range(windows * piece // PIECES, windows * (piece + 1) // PIECES):
        images = advance(order, window * WINDOW)
        count = min(WINDOW, n - window * WINDOW)
        for i in range(count):
            for word in range(size):
                sets[word * WINDOW + i] = masks[images[i] * size + word]
        length = 1
        while length < ROWS:
            pair_up(images, count, length, sets, size, room)
            count //= 2
            length *= 2


@njit(inner=True)
def pair_up(
    images: Pointer, count: int, length: int, sets: Pointer, size: int, room: Pointer
) -> None:
    """Pair sets of images: the first one with that which is most like it, and so on.

    The next one in line takes the place of that one.

    Parameters
    ----------
    images
        So many sets, `count`, of as many images, `length`, which are moved.
    sets
        (size, WINDOW): in which squares a set has ink, as bits. Receives that of each pair.
    room
        For three times as many numbers as a window has images.
    """
    before, left, different = room, advance(room, WINDOW), advance(room, 2 * WINDOW)
    for k in range(count * length):
        before[k] = images[k]
    for k in range(count):
        left[k] = k
    for pair in range(count // 2):
        first, following = 2 * pair, 2 * pair + 1
        for k in range(following, count):
            different[k] = 0
        for word in range(size):
            own = advance(sets, word * WINDOW)
            mask = own[first]
            for k in range(following, count):
                different[k] += ones(own[k] ^ mask)
        # The least one, and of equal ones the first.
        least = different[following] * WINDOW + following
        for k in range(following, count):
            least = min(least, different[k] * WINDOW + k)
        nearest = least % WINDOW
        for k in range(length):
            images[first * length + k] = before[left[first] * length + k]
            images[following * length + k] = before[left[nearest] * length + k]
        left[nearest] = left[following]
        for word in range(size):
            own = advance(sets, word * WINDOW)
            both = own[first] | own[nearest]
            own[nearest] = own[following]
            own[pair] = both
    # Of an odd number the last one stays alone, and takes no more part.
    if count % 2:
        for k in range(length):
            images[(count - 1) * length + k] = before[left[count - 1] * length + k]
