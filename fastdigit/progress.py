"""What a person sees while a network is trained."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from fastdigit.history import History

NOTICED = 1.0
"""Seconds of compilation that are worth a line."""


class Reporter(Protocol):
    """Told of every finished iteration, and once more of the final scores."""

    def __call__(self, history: History) -> None:
        """Show the newest scores of the history."""


def describe(history: History) -> dict[str, str]:
    """Return the newest scores, ready to print: after the training, those of its result."""
    loss, accuracy = history.final_loss, history.final_accuracy
    if loss is None or accuracy is None:
        loss, accuracy = history.loss[-1], history.accuracy[-1]
    scores = {"loss": f"{loss:.4f}", "accuracy": f"{accuracy:.4f}"}
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
            final = history.final_loss is not None
            if final or shown.update(1):
                shown.set_postfix(describe(history), refresh=final)

        yield report


@contextmanager
def lines(iterations: int, every: int) -> Iterator[Reporter]:
    """Print a line each so many iterations, for logs and pipes."""

    def report(history: History) -> None:
        final = history.final_loss is not None
        if len(history) == 1 and not final and history.compile_seconds > NOTICED:
            seconds = f"{history.compile_seconds:.1f} s"
            print(f"compiled in {seconds}; kept for the next time", file=sys.stderr, flush=True)
        # Scores are those before an iteration's update, so the last ones belong to no iteration.
        done = len(history) if final else len(history) - 1
        if final or done % every == 0:
            scores = "  ".join(f"{name} {value}" for name, value in describe(history).items())
            left = 0 if final else sum(history.seconds) / len(history) * (iterations - len(history))
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
