"""Draw the pictures of docs/augmentation.md.

usage: python bench/augment_pictures.py [--data mnist/] [--out docs]

A picture for each kind of change: a digit of each class, and below it what five epochs make of it.
"""

import argparse
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from fastdigit.data import AFFINE, ELASTIC, Augment, default_data, load_data
from fastdigit.reporting.pictures import QUIET, save

EPOCHS = 5
DRAWN = {
    "affine": (AFFINE, "scaled, sheared, turned and shifted"),
    "elastic": (ELASTIC, "the same, and bent smoothly"),
    "noise": (Augment(noise=60), "a standard deviation of 60 grey levels, on ink alone"),
}
SIZE = 0.75
"""Of an image, in inches."""
GAP = 0.06
"""Between images, as a share of their size."""
LEFT, RIGHT, TOP = 0.95, 0.1, 0.42
"""Room for text, in inches."""


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--data", metavar="DATA", help="images; default: FASTDIGIT_DATA, or else built-in digits"
    )
    parser.add_argument("--out", type=Path, default=Path("docs"), metavar="DIR", help="(docs)")
    return parser.parse_args()


def one_of_each(data):
    """Return the first image of each class."""
    return data.images[[np.argmax(data.labels == label) for label in np.unique(data.labels)]]


def versions(chosen, images):
    """Draw images in the first row, and below it what each epoch makes of them."""
    rows = [images, *(chosen.apply(images, seed=0, epoch=epoch) for epoch in range(EPOCHS))]
    pitch = SIZE * (1 + GAP)
    width, height = LEFT + pitch * len(images) + RIGHT, TOP + pitch * (len(rows) + GAP)
    figure = Figure(figsize=(width, height))
    for row, augmented in enumerate(rows):
        # The originals stand apart by another gap.
        bottom = height - TOP - SIZE - row * pitch - (row > 0) * GAP * SIZE
        name = f"epoch {row - 1}" if row else "original"
        figure.text((LEFT - 0.12) / width, (bottom + SIZE / 2) / height, name, ha="right",
                    va="center", color=QUIET)  # fmt: skip
        for column, image in enumerate(augmented):
            left = LEFT + column * pitch
            axes = figure.add_axes((left / width, bottom / height, SIZE / width, SIZE / height))
            side = round(len(image) ** 0.5)
            axes.imshow(image.reshape(side, side), cmap="gray_r", vmin=0, vmax=255,
                        interpolation="nearest")  # fmt: skip
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set(color="#bbbbbb" if row else "#333333", linewidth=0.8)
    return figure


def main():
    given = arguments()
    images = one_of_each(load_data(given.data) if given.data else default_data("train"))
    given.out.mkdir(parents=True, exist_ok=True)
    for name, (chosen, what) in DRAWN.items():
        figure = versions(chosen, images)
        figure.suptitle(f"{name}: {what}", y=0.98)
        save(figure, given.out / f"augmentation-{name}.png")


if __name__ == "__main__":
    main()
