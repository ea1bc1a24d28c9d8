"""Random numbers: the published stream, twins, golden bits, and that they look random."""

import itertools
import zlib

import numba
import numpy as np
import pytest

from fastdigit.kernels.randomness import (
    DROPOUT,
    GOLDEN,
    SHUFFLE,
    kept,
    key,
    mix,
    nearest_rate,
    permutation,
    permutation_reference,
)

COUNTS = [0, 1, 2, 3, 10, 1000, 4097]


def test_mix_gives_the_published_stream():
    """The first outputs of splitmix64 from seed 1234567, as its test vectors have them."""
    published = [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]
    assert [mix((1234567 + k * GOLDEN) % 2**64) for k in range(1, 6)] == published


def test_mix_is_the_same_for_ints_arrays_and_compiled_code():
    words = [0, 1, GOLDEN, 2**63 - 1, 2**63, 2**64 - 1]
    expected = [mix(word) for word in words]
    assert mix(np.array(words, np.uint64)).tolist() == expected
    compiled = numba.njit(mix)
    assert [int(compiled(np.uint64(word))) for word in words] == expected
    assert len(set(expected)) == len(words)


def test_keys_tell_seeds_and_counters_apart():
    cases = [(seed, *rest) for seed in (0, 1, 2, -1, 2**70) for rest in ((), (0,), (1,), (0, 0))]
    cases += [(0, 1, 2), (0, 2, 1), (1, 0, 2), (2, 1, 0)]
    assert len({key(*case) for case in cases}) == len(cases) - 4
    # Seeds count modulo 2^64, like all arithmetic here.
    assert key(2**70, 3) == key(0, 3)
    assert key(-1, 3) == key(2**64 - 1, 3)
    assert key(np.int64(5), np.uint8(200)) == key(5, 200)
    assert key(0, 1, SHUFFLE) != key(0, 1, DROPOUT)


# --- permutation ---------------------------------------------------------------------------------


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize(("seed", "epoch"), [(0, 0), (1, 7), (2**63, 1)])
def test_a_permutation_has_every_index_once_and_equals_its_twin(seed, epoch, count):
    found = permutation(seed, epoch, count)
    assert found.dtype == np.int64
    np.testing.assert_array_equal(np.sort(found), np.arange(count))
    np.testing.assert_array_equal(found, permutation_reference(seed, epoch, count))


def test_seeds_and_epochs_give_other_permutations():
    several = [permutation(seed, epoch, 100) for seed in range(5) for epoch in range(5)]
    for one, other in itertools.combinations(several, 2):
        assert (one == other).sum() < 10
    np.testing.assert_array_equal(permutation(3, 4, 100), permutation(3, 4, 100))


def test_all_permutations_are_equally_likely():
    """Chi-squared of 24 classes: 23 degrees of freedom, above 49.7 once in a thousand."""
    epochs = 12_000
    numbers = np.array([permutation(0, epoch, 4) @ [64, 16, 4, 1] for epoch in range(epochs)])
    _, found = np.unique(numbers, return_counts=True)
    assert len(found) == 24
    expected = epochs / 24
    assert ((found - expected) ** 2 / expected).sum() < 49.7


def test_every_index_lands_everywhere():
    """Chi-squared of 15 by 15 places: about 14^2 degrees of freedom, above 262 once in 1000."""
    table = np.zeros((15, 15))
    for epoch in range(3000):
        table[np.arange(15), permutation(1, epoch, 15)] += 1
    assert ((table - 200) ** 2 / 200).sum() < 262


def test_golden_permutation():
    assert permutation(0, 0, 10).tolist() == [4, 1, 8, 0, 5, 7, 3, 2, 9, 6]
    assert zlib.crc32(permutation(1, 2, 60_000).astype("<i8").tobytes()) == 3597576541


# --- dropout -------------------------------------------------------------------------------------


def kept_by_hand(word, image, layer, unit, rate):
    """Return whether one unit stays, in Python's integers."""
    counter = image * 0x9E3779B97F4A7C15 + ((layer << 20) + unit // 4) * 0xD1B54A32D192ED03
    random = mix((word + counter) % 2**64)
    return (random >> 16 * (unit % 4)) % 2**16 >= round(rate * 2**16)


@pytest.mark.parametrize("units", [1, 3, 4, 5, 130])
@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_kept_by_hand(units, rate):
    word = key(3, 9, DROPOUT)
    images = np.array([0, 1, 59_999, 2**40, 7])
    found = kept(word, images, 2, units, rate)
    assert found.dtype == np.bool_
    expected = [
        [kept_by_hand(word, int(image), 2, unit, rate) for unit in range(units)] for image in images
    ]
    np.testing.assert_array_equal(found, expected)


def test_a_mask_depends_on_the_image_and_not_on_its_batch():
    word = key(0, 0, DROPOUT)
    alone = [kept(word, np.array([image]), 1, 30, 0.5)[0] for image in (5, 6, 7)]
    np.testing.assert_array_equal(kept(word, np.array([7, 5, 6]), 1, 30, 0.5)[[1, 2, 0]], alone)
    # More units of a layer leave the first as they are.
    np.testing.assert_array_equal(kept(word, np.array([5]), 1, 61, 0.5)[0, :30], alone[0])


def test_images_layers_epochs_and_seeds_get_masks_of_their_own():
    words = [key(seed, epoch, DROPOUT) for seed in range(3) for epoch in range(3)]
    masks = np.array(
        [kept(word, np.arange(4), layer, 200, 0.5) for word in words for layer in (1, 2)]
    ).reshape(-1, 200)
    agreement = (masks[:, None] == masks[None]).mean(axis=2)[np.triu_indices(len(masks), 1)]
    # Of 200 coins about half agree, give or take 0.035.
    assert abs(agreement.mean() - 0.5) < 0.005
    assert agreement.max() < 0.7


@pytest.mark.parametrize("rate", [0.0, 0.05, 0.2, 0.5, 0.9])
def test_the_share_that_stays(rate):
    stays = kept(key(1, 1, DROPOUT), np.arange(2000), 1, 128, rate)
    assert stays.mean() == pytest.approx(1 - rate, abs=4 * (rate * (1 - rate) / stays.size) ** 0.5)
    # Each of the four places of a word has the same share.
    places = stays.reshape(2000, -1, 4).mean(axis=(0, 1))
    np.testing.assert_allclose(places, 1 - rate, atol=0.006)


def test_the_nearest_rate_is_what_the_bits_give():
    assert [nearest_rate(rate) for rate in (0.0, 0.25, 0.5, 2**-18)] == [0, 0.25, 0.5, 0]
    assert nearest_rate(0.1) == 6554 / 65536
    word = key(0, 0, DROPOUT)
    for rate in (0.1, 0.3):
        expected = kept(word, np.arange(50), 1, 64, rate)
        np.testing.assert_array_equal(
            kept(word, np.arange(50), 1, 64, nearest_rate(rate)), expected
        )


def test_golden_mask():
    stays = kept(key(1, 2, DROPOUT), np.arange(100) * 599, 1, 130, 0.2)
    assert zlib.crc32(np.packbits(stays).tobytes()) == 3791207802
