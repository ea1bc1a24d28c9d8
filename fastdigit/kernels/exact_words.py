"""Exact sums of the first layer with vectors, straight from images.

Each image stays by itself, because few words of a single one are not zeros: of MNIST, 28 %. They
are listed, and each is multiplied with the digits of a whole block of units at once.
"""

import numpy as np

from fastdigit.jit import njit
from fastdigit.kernels.dense import Pointer
from fastdigit.kernels.digits import store_pairs, sums_of_pairs, turn_pairs, vectors_of_pair
from fastdigit.kernels.dots import WORDS, add_dots_of_words, add_sums, list_words, no_sums
from fastdigit.kernels.exact import Work
from fastdigit.kernels.matrix import DEPTH, ROWS
from fastdigit.kernels.simd import ALIGNMENT, advance, prefetch_for_later, view
from fastdigit.kernels.sweep import layer_of

WORD = 4
"""Bytes of a word."""


@njit(inner=True)
def sums_of(work: Work) -> Pointer:
    """Return room for the sums of two groups: (two, lefts, 16, 16); see `digits.sums_of_pairs`."""
    return sums_of_pairs(advance(work.own, work.digits.sums))


@njit(inner=True)
def linear_images(
    work: Work,
    block: int,
    images: Pointer,
    pitch: int,
    rows: int,
    ahead: Pointer,
    weights: Pointer,
    lists: Pointer,
    sums: Pointer,
) -> None:
    """Sum up ten units of two groups of images, of which there are so many `rows`.

    Parameters
    ----------
    images, pitch
        The first image, and how many bytes lie between two of them.
    ahead
        What is fetched into a near cache meanwhile: the images of the next two groups.
    weights
        `Digits.turned_weights`: the zeros behind are those of one word more.
    lists
        (32, depths + 1, 16): room for the numbers of the words of each image that are not zeros,
        which are listed for the first block. Behind that (32, lefts, 16) sums.
    sums
        What `sums_of` returns: receives the sums, with images side by side.
    """
    depths, lefts = work.digits.depths, work.digits.lefts
    vectors = vectors_of_pair(sums)
    apart = lefts // 2 * vectors * WORDS
    size = (depths + 1) * WORDS
    end = depths * WORDS
    digits = advance(weights, block * (end + 1) * lefts * DEPTH)
    pairs = advance(lists, 2 * ROWS * size)
    again = layer_of(work, 0).blocks > 1
    for number in range(rows):
        image = advance(images, number * pitch)
        # What is not read again lies in the same place: it would push weights out of the cache.
        numbers = view(advance(lists, number * size if again else 0), np.uint16)
        if block == 0:
            fetched = advance(ahead, number * depths * ALIGNMENT)
            list_image(image, depths, fetched, numbers)
        for pair in range(0, lefts, 2):
            some = advance(digits, pair * (end + 1) * DEPTH)
            # Four sums that do not wait for each other.
            even = odd = no_sums(2)
            k = 0
            n = np.int64(numbers[0])
            while n != end:
                word, row = advance(image, n * WORD), advance(some, n * 2 * DEPTH)
                even = add_dots_of_words(even, word, 1, row, DEPTH)
                n = np.int64(numbers[k + 1])
                word, row = advance(image, n * WORD), advance(some, n * 2 * DEPTH)
                odd = add_dots_of_words(odd, word, 1, row, DEPTH)
                k += 2
                n = np.int64(numbers[k])
            target = advance(pairs, number * apart + pair // 2 * vectors * WORDS)
            store_pairs(target, apart, add_sums(even, odd), sums)
    for g in range(2):
        for pair in range(0, lefts, 2):
            source = advance(pairs, g * ROWS * apart + pair // 2 * vectors * WORDS)
            turn_pairs(source, apart, advance(sums, (g * lefts + pair) * ROWS * ROWS))


@njit(inner=True)
def list_image(image: Pointer, depths: int, ahead: Pointer, numbers: Pointer) -> None:
    """List the words of an image that are not zeros, and then twice that of none.

    So they are read in twos, up to an end that has no count: a loop of unknown length stays small,
    and the processor mistakes its end once and not twice.
    """
    count = 0
    for depth in range(depths):
        prefetch_for_later(advance(ahead, depth * ALIGNMENT))
        row = advance(image, depth * DEPTH)
        count += list_words(row, depth * WORDS, advance(numbers, count))
    numbers[count] = numbers[count + 1] = depths * WORDS
