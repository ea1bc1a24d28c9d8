"""Which images are alike: an order that brings those together which have ink in the same places.

Four fifths of a picture of a digit are background, and pixels are left out where all images of a
group have none (see `chunks` and `groups`). So a group's images should share their background. The
order is that of a Gray code with one bit for each of 49 parts of the picture, which tells whether
there is any ink in it. Of MNIST's pixels 39 % are left in rows of four columns of sixteen images,
33 % in cells of four columns of four images, 56 % in chunks of 64 columns, and as floats, in pairs
of columns, 37 %; at best it could be 19 %, the share of those that are not 0.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from fastdigit.jit import njit
from fastdigit.kernels.parallel import PIECES, run
from fastdigit.kernels.simd import advance

Array = npt.NDArray[Any]

SIDE = 7
"""Parts of each side of a picture that the order of the images looks at; their squares of four by
four pixels, of all sizes tried, leave the fewest blocks of MNIST."""


def similar(images: Array, threads: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return an order of images that brings those together which have ink in the same places.

    And one of the columns, where parts that are inked in most images come first.
    """
    n, features = images.shape
    side = max(1, round(features**0.5))
    row, column = np.divmod(np.arange(features), side)
    part = np.minimum(row * SIDE // side, SIDE - 1) * SIDE + column * SIDE // side
    lit = np.zeros(n, np.uint64)
    ink = np.zeros(n, np.uint32)
    numbers = np.concatenate([[n, features], part]).astype(np.int64)
    run(_find_ink, [numbers, images, lit, ink], PIECES, threads)
    has = [(lit >> np.uint64(part)) & np.uint64(1) for part in range(SIDE * SIDE)]
    # What few images have, divides them first.
    rare = np.argsort([int(column.sum()) for column in has], kind="stable")
    code = np.zeros(n, np.uint64)
    for number in rare:
        code = code << np.uint64(1) | has[number]
    # From a Gray code to its number, so that neighbours in order differ in few parts.
    for shift in (1, 2, 4, 8, 16, 32):
        code ^= code >> np.uint64(shift)
    # Within a part, squares of two by two columns: fewer of those have ink than of rows of four.
    square = row // 2 * side + column // 2
    columns = np.lexsort((square, -np.argsort(rare)[part]))
    return np.lexsort((ink, code)), columns


@njit()
def _find_ink(
    numbers: Any, images: Any, lit: Any, ink: Any, _e: Any, _f: Any, _g: Any, piece: int, _: int
) -> None:
    """Note in which parts an image has pixels that are not 0, as bits, and how many in all.

    A kernel of 64 pieces.
    """
    n, features = numbers[0], numbers[1]
    part = advance(numbers, 2)
    for i in range(n * piece // PIECES, n * (piece + 1) // PIECES):
        image = advance(images, i * features)
        found = count = np.uint64(0)
        for j in range(features):
            pixel = np.uint64(image[j] != 0)
            found |= pixel << np.uint64(part[j])
            count += pixel
        lit[i] = found
        ink[i] = count
