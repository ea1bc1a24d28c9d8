"""What is seen of a comparison while it runs: a bar for each contender, or plain lines."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from fastdigit.progress import interactive

if TYPE_CHECKING:
    from fastdigit.measure.comparison import Run


class Watch(Protocol):
    """Told of what happens."""

    def started(self, run: "Run") -> None:
        """Show that a contender was built."""

    def stepped(self, run: "Run") -> None:
        """Show that a contender has had a turn."""


class Silence:
    """Shows nothing."""

    def started(self, run: "Run") -> None:
        """Show nothing."""

    def stepped(self, run: "Run") -> None:
        """Show nothing."""


class Lines:
    """Prints a line when a contender is ready, and one for each round."""

    def __init__(self, names: Sequence[str], iterations: int) -> None:
        self._iterations = iterations
        self._latest: dict[str, str] = dict.fromkeys(names, "")
        self._turns = 0

    def started(self, run: "Run") -> None:
        """Say that it is ready, and how long compiling took."""
        compiled = run.ready.compile_seconds
        self._print(
            f"{run.name} is ready" + (f", compiled in {compiled:.2f} s" if compiled else "")
        )

    def stepped(self, run: "Run") -> None:
        """At the end of a round, say how fast each one was."""
        self._latest[run.name] = f"{run.name} {milliseconds(run):.2f}"
        self._turns += 1
        if self._turns % len(self._latest) == 0:
            done = len(run.seconds)
            times = ", ".join(self._latest.values())
            self._print(f"iteration {done}/{self._iterations}, ms an iteration: {times}")

    def _print(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)


class Bars:
    """Draws a bar for each contender, below each other."""

    def __init__(self, bars: dict[str, Any]) -> None:
        self._bars = bars

    def started(self, run: "Run") -> None:
        """Draw the empty bar."""
        self._bars[run.name].refresh()

    def stepped(self, run: "Run") -> None:
        """Move the bar, and show the newest numbers."""
        bar = self._bars[run.name]
        bar.set_postfix_str(
            f"loss {run.loss[-1]:.3f}, right {run.accuracy[-1]:.1%}, {milliseconds(run):.2f} ms",
            refresh=False,
        )
        bar.update(len(run.turns[-1].seconds))
        bar.refresh()


@contextmanager
def watch(names: Sequence[str], iterations: int, quiet: bool) -> Iterator[Watch]:
    """Give the right one for where stderr goes; take its bars away at the end."""
    if quiet:
        yield Silence()
    elif not interactive():
        yield Lines(names, iterations)
    else:
        from tqdm.auto import tqdm

        width = max(map(len, names))
        bars = {
            name: tqdm(
                total=iterations,
                desc=name.ljust(width),
                position=position,
                # A rate would count the time that others had their turns.
                bar_format="{desc} {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt}{postfix}",
                dynamic_ncols=True,
            )
            for position, name in enumerate(names)
        }
        try:
            yield Bars(bars)
        finally:
            for bar in bars.values():
                bar.close()


def milliseconds(run: "Run") -> float:
    """Return the median of the newest turn."""
    seconds = sorted(run.turns[-1].seconds)
    return 1e3 * seconds[len(seconds) // 2]
