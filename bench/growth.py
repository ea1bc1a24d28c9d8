"""Does an epoch take twice as long with twice the images, and with twice the hidden units?

usage: python bench/growth.py [--seconds 30] [--out reports/growth]

Networks of one hidden layer on built-in digits, batches of 128. Each size has its turns beside
that of twice as much. See --help. Nothing is imported here that imports NumPy: each process of a
contender reads this file before it knows its number of threads.
"""

import argparse
from pathlib import Path
from typing import NamedTuple

PROMISED = 2.2
IMAGES, HIDDEN = 60_000, 128
"""Where the other of the two grows."""
IMAGES_FROM = (10_000, 20_000, 50_000, 100_000, 200_000, 500_000)
HIDDEN_FROM = (64, 128, 256, 512)
"""Each is compared with twice as many."""


class Work(NamedTuple):
    """What every process is told; each draws its own digits."""

    seed: int
    threads: int


class Size(NamedTuple):
    """One hidden layer on so many digits, which are drawn when it is built."""

    images: int
    hidden: int

    def __call__(self, work):
        from fastdigit import make_digits
        from fastdigit.measure.batches import CONTENDERS, Task

        digits = make_digits(self.images, seed=work.seed)
        sizes = (digits.images.shape[1], self.hidden, 10)
        task = Task(digits.images, digits.labels, sizes, work.seed, work.threads)
        return CONTENDERS["sparse-f32"](task)

    @property
    def name(self):
        return f"{self.images:,} images, {self.hidden} hidden units"


def arguments():
    from fastdigit.cli.arguments import seed, whole

    def several(text):
        return [whole(1)(word) for word in text.split(",") if word]

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    for name, sizes in (("--images", IMAGES_FROM), ("--hidden", HIDDEN_FROM)):
        shown = ",".join(map(str, sizes))
        add(
            name,
            type=several,
            default=list(sizes),
            metavar="N,...",
            help=f"beside twice as many ({shown})",
        )
    add("--rows", type=whole(1), default=IMAGES, metavar="N", help="images for --hidden (60000)")
    add("--threads", type=whole(1), default=2, metavar="N", help="(2)")
    add("--seconds", type=float, default=40.0, metavar="S", help="of turns, a pair (40)")
    # With seed 0, a pre-activation of 256 units is so close to 0 that float32 and float64 end on
    # two sides of it, for one image: more than the checks allow. See `batches.WITHIN`.
    add("--seed", type=seed, default=1, metavar="N", help="of digits, weights, orders (1)")
    add("--out", type=Path, default=Path("reports/growth"), metavar="DIR", help="(reports/growth)")
    add("--quiet", action="store_true", help="show no progress")
    return parser, parser.parse_args()


def main():
    parser, options = arguments()
    import questions

    from fastdigit.measure.paired import Budget, Entrant, Topic
    from fastdigit.measure.suites.plan import OURS

    run = questions.Run(options)
    pairs = [(Size(n, HIDDEN), Size(2 * n, HIDDEN)) for n in options.images]
    pairs += [(Size(options.rows, h), Size(options.rows, 2 * h)) for h in options.hidden]
    if not pairs:
        parser.error("--images and --hidden are both empty: there is nothing to compare")
    work = Work(options.seed, options.threads)
    for small, large in pairs:
        topic = Topic(
            "scaling",
            f"{small.name}, and twice as many {grows(small, large)}",
            "epoch",
            {**small._asdict(), "threads": options.threads, "grows": grows(small, large)},
        )
        entrants = [Entrant(size.name, OURS, "float32", size) for size in (small, large)]
        run.ask(topic, entrants, work, small.name, Budget(seconds=options.seconds))
    data = {"source": "built-in digits", "images": max(large.images for _, large in pairs)}
    document = run.document("growth", {"batch_size": 128}, data)
    headings, rows, kept = table(document["questions"])
    from fastdigit.reporting.tables import markdown_table, text_table

    print("\n" + text_table(headings, rows), flush=True)
    paragraphs = [introduction(), markdown_table(headings, rows), f"**{kept}**"]
    for found in document["questions"]:
        paragraphs += questions.section(found)
    title = "The time of an epoch by images and by hidden units"
    facts = [("data", "built-in digits"), ("threads", str(options.threads))]
    questions.publish(options.out, document, title, paragraphs, facts)


def grows(small, large):
    return "images" if small.images != large.images else "hidden units"


def table(found):
    """Return headings, a row for each doubling, and whether the promise is kept."""
    from questions import times

    headings = ["twice as many", "beside", "s an epoch", "s with twice as many", "times as long"]
    headings += ["99 % within rounds"]
    rows, worst = [], 0.0
    for question in found:
        contenders = {contender["name"]: contender for contender in question["contenders"]}
        small = contenders.pop(question["base"])
        (large,) = contenders.values()
        if not large["ratio"]:
            rows.append([question["name"], *["-"] * 5])
            worst = float("inf")
            continue
        middle, low, high = times(large)
        worst = max(worst, middle)
        rows.append(
            [
                question["parameters"]["grows"],
                small["name"],
                f"{small['median_seconds']:.4f}",
                f"{large['median_seconds']:.4f}",
                f"{middle:.3f}",
                f"{low:.3f} to {high:.3f}",
            ]
        )
    kept = "kept" if worst <= PROMISED else "NOT KEPT"
    said = f"Twice as much takes at most {worst:.2f} times as long; promised {PROMISED:g}: {kept}."
    return headings, rows, said


def introduction():
    return (
        "An epoch of gradient descent with momentum in batches of 128, float32, pixels kept "
        "without zeros, on built-in digits. Each size has its turns beside the one that is twice "
        "as large, each in a process of its own, so that what slows the machine down slows both."
    )


if __name__ == "__main__":
    main()
