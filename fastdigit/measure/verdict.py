"""Whether contenders agree: rules fixed beforehand, and the sentences that state the outcome."""

from collections.abc import Sequence
from typing import NamedTuple

MOST_WEIGHT_DIFFERENCE = 1e-10
"""In float64, against the reference, after `JUDGED_ITERATIONS` at most."""
JUDGED_ITERATIONS = 500
MOST_ACCURACY_DIFFERENCE = 0.001
"""Against the reference, as a share of the images; one image is always allowed."""


class Standing(NamedTuple):
    """Where a contender ended."""

    name: str
    dtype: str
    accuracy_training: float
    accuracy_held_out: float
    weight_difference: float | None
    """The largest, against the reference; None if that did not run."""


class Verdict(NamedTuple):
    """Whether all rules were kept, and what was found."""

    agrees: bool
    sentences: list[str]


def judge(
    standings: Sequence[Standing], reference: str, images: tuple[int, int], iterations: int
) -> Verdict:
    """Compare every contender with the reference.

    Parameters
    ----------
    standings
        All contenders.
    reference
        The name of the one that is right.
    images
        The numbers of training and held-out images.
    iterations
        Updates that were made.
    """
    right = next((standing for standing in standings if standing.name == reference), None)
    others = [standing for standing in standings if standing.name != reference]
    if right is None:
        return Verdict(True, [f"{reference} did not run, so nothing was compared with it."])
    if not others:
        return Verdict(True, [f"Only {reference} ran, so nothing was compared with it."])
    outcomes = [_weights(others, reference, iterations), _accuracies(others, right, images)]
    return Verdict(
        all(agrees for agrees, _ in outcomes),
        [sentence for _, sentences in outcomes for sentence in sentences],
    )


def _weights(others: Sequence[Standing], reference: str, iterations: int) -> tuple[bool, list[str]]:
    agrees, sentences = True, []
    for dtype in ("float64", "float32"):
        differences = [
            (standing.weight_difference, standing.name)
            for standing in others
            if standing.dtype == dtype and standing.weight_difference is not None
        ]
        if not differences:
            continue
        largest, name = max(differences)
        sentence = f"{dtype}: weights differ from {reference}'s by at most {largest:.1e} ({name})"
        if dtype == "float64" and iterations <= JUDGED_ITERATIONS:
            if largest > MOST_WEIGHT_DIFFERENCE:
                agrees = False
                sentence += f", MORE than the {MOST_WEIGHT_DIFFERENCE:.0e} that is allowed"
            else:
                sentence += f"; up to {MOST_WEIGHT_DIFFERENCE:.0e} is allowed"
        sentences.append(sentence + ".")
    return agrees, sentences


def _accuracies(
    others: Sequence[Standing], right: Standing, images: tuple[int, int]
) -> tuple[bool, list[str]]:
    wrong, largest = [], 0.0
    for standing in others:
        pairs = (
            ("training", standing.accuracy_training, right.accuracy_training, images[0]),
            ("held-out", standing.accuracy_held_out, right.accuracy_held_out, images[1]),
        )
        for kind, found, expected, count in pairs:
            difference = abs(found - expected)
            largest = max(largest, difference)
            # Half an image keeps rounding in the division out of it.
            if difference * count > max(1, MOST_ACCURACY_DIFFERENCE * count) + 0.5:
                wrong.append(
                    f"{standing.name}: {kind} accuracy is {found:.2%}, but {right.name} has "
                    f"{expected:.2%}; MORE than the {MOST_ACCURACY_DIFFERENCE:.1%} that is allowed."
                )
    if wrong:
        return False, wrong
    if largest == 0:
        return True, ["Same accuracy: every contender classifies as many images rightly."]
    return True, [f"Same accuracy: within {100 * largest:.3f} percentage points of {right.name}'s."]
