"""What a person sees while a network is trained."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from fastdigit.history import History

NOTICED = 1.0
"""Seconds of compilation that are worth a line."""


class Reporter(Protocol):
    """Told of every finished iteration."""

    def __call__(self, history: History) -> None:
        """Show the newest entry of the history."""


def describe(history: History) -> dict[str, str]:
    """Return the newest scores, ready to print."""
    scores = {"loss": f"{history.loss[-1]:.4f}", "accuracy": f"{history.accuracy[-1]:.4f}"}
    if history.validation:
        scores["dev"] = f"{history.validation[-1].accuracy:.4f}"
    return scores


@contextmanager
def bar(iterations: int) -> Iterator[Reporter]:
    """Show a progress bar: loss, accuracy, iterations a second and the time left."""
    from tqdm.auto import tqdm

    with tqdm(total=iterations, unit="it", desc="compiling", dynamic_ncols=True) as shown:

        def report(history: History) -> None:
            if len(history) == 1:
                shown.set_description("training", refresh=False)
            # Text is put together only when it will be drawn: ten times a second at most.
            if shown.update(1) or len(history) == iterations:
                shown.set_postfix(describe(history), refresh=len(history) == iterations)

        yield report


@contextmanager
def lines(iterations: int, every: int) -> Iterator[Reporter]:
    """Print a line each so many iterations, for logs and pipes."""

    def report(history: History) -> None:
        if len(history) == 1 and history.compile_seconds > NOTICED:
            seconds = f"{history.compile_seconds:.1f} s"
            print(f"compiled in {seconds}; kept for the next time", file=sys.stderr, flush=True)
        done = len(history) - 1
        if done % every == 0 or len(history) == iterations:
            scores = "  ".join(f"{name} {value}" for name, value in describe(history).items())
            left = sum(history.seconds) / len(history) * (iterations - len(history))
            print(
                f"iteration {done:>5}/{iterations}  {scores}  {left:.0f} s left",
                file=sys.stderr,
                flush=True,
            )

    yield report


@contextmanager
def silence() -> Iterator[Reporter]:
    """Show nothing."""
    yield lambda history: None


def interactive() -> bool:
    """Return whether someone watches: a terminal, or a Jupyter notebook."""
    shell = sys.modules.get("IPython")
    in_notebook = shell is not None and "IPKernelApp" in getattr(shell.get_ipython(), "config", {})
    return in_notebook or (sys.stderr is not None and sys.stderr.isatty())
