"""What a person sees while a network is trained."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from fastdigit.history import History

NOTICED = 1.0
"""Seconds of compilation that are worth a line."""


class Reporter(Protocol):
    """Told of progress: after some iterations, or many times in an epoch, and once at the end."""

    def __call__(self, history: History, finished: bool = False) -> None:
        """Show the newest scores of the history."""


def describe(history: History, record: int = -1) -> dict[str, str]:
    """Return the scores of a record, by default the newest: after the training, of its result."""
    loss, accuracy = history.final_loss, history.final_accuracy
    if (loss is None or accuracy is None) and len(history):
        loss, accuracy = history.loss[record], history.accuracy[record]
    scores = {}
    if loss is not None:
        scores = {"loss": f"{loss:.4f}", "accuracy": f"{accuracy:.4f}"}
    if history.validation:
        scores["dev"] = f"{history.validation[-1].accuracy:.4f}"
    return scores


@contextmanager
def bar(steps: int) -> Iterator[Reporter]:
    """Show a progress bar: loss, accuracy, updates a second and the time left."""
    from tqdm.auto import tqdm

    with tqdm(total=steps, unit="it", desc="compiling", dynamic_ncols=True) as shown:

        def report(history: History, finished: bool = False) -> None:
            if shown.desc != "training: ":
                shown.set_description("training", refresh=False)
            # Text is put together only when it will be drawn: ten times a second at most.
            if shown.update(history.steps - shown.n) or finished:
                shown.set_postfix(describe(history), refresh=finished)

        yield report


@contextmanager
def lines(records: int, every: int) -> Iterator[Reporter]:
    """Print a line each so many iterations or epochs, for logs and pipes."""
    due: int | None = None

    def say(history: History, done: int, scores: dict[str, str], left: float) -> None:
        shown = "  ".join(f"{name} {value}" for name, value in scores.items())
        print(
            f"{history.unit} {done:>5}/{records}  {shown}  {left:.0f} s left",
            file=sys.stderr,
            flush=True,
        )

    def report(history: History, finished: bool = False) -> None:
        nonlocal due
        if finished:
            say(history, len(history), describe(history), 0.0)
            return
        # Scores of an iteration are those before its update, so the last ones belong to no
        # iteration; those of an epoch belong to the whole of it.
        early = history.unit == "iteration"
        done = len(history) - early
        if due is None:
            due = max(0 if early else every, -(-done // every) * every)
            if history.compile_seconds > NOTICED:
                seconds = f"{history.compile_seconds:.1f} s"
                from fastdigit.jit import cache_directory

                kept = "; kept for the next time" if cache_directory() else ""
                print(f"compiled in {seconds}{kept}", file=sys.stderr, flush=True)
        while due <= done:
            mean = sum(history.seconds) / len(history)
            left = mean * (records - len(history))
            say(history, due, describe(history, due - (not early)), left)
            due += every

    yield report


@contextmanager
def silence() -> Iterator[Reporter]:
    """Show nothing."""
    yield lambda history, finished=False: None


def interactive() -> bool:
    """Return whether someone watches: a terminal, or a Jupyter notebook."""
    shell = sys.modules.get("IPython")
    in_notebook = shell is not None and "IPKernelApp" in getattr(shell.get_ipython(), "config", {})
    return in_notebook or (sys.stderr is not None and sys.stderr.isatty())
