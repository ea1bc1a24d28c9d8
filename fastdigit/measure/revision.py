"""An earlier revision of fastdigit, checked out beside this one and run in processes of its own.

What measures is always this version: `fastdigit.measure`. In a child that has entered the place of
another revision, everything else of the package is that revision's.

Nothing is imported here that imports NumPy.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from fastdigit.errors import DataError

PACKAGE = "fastdigit"
MEASURING = "fastdigit.measure"
TIMEOUT = 120
"""Seconds for a command of git."""


class Place(NamedTuple):
    """Where a revision lies."""

    revision: str
    """Short, as git abbreviates it."""
    root: Path
    """Of its files."""
    cache: Path
    """Where its compiled code is kept, apart from that of this version."""

    def enter(self) -> None:
        """Let this process import the revision's package; only what measures stays this one's."""
        for name in list(sys.modules):
            if name.startswith(f"{PACKAGE}.") and not _inside(name, MEASURING):
                del sys.modules[name]
        sys.modules[PACKAGE].__path__ = [str(self.root / PACKAGE)]
        os.environ.update(self.environment())

    def environment(self) -> dict[str, str]:
        """Return the variables that lead to its cache."""
        return {"XDG_CACHE_HOME": str(self.cache)}


@dataclass(frozen=True)
class Earlier:
    """Builds what a constructor builds, of another revision's kernels; see `Worker`."""

    make: Callable[[Any], Any]
    place: Place

    def __call__(self, task: Any) -> Any:
        """Build it."""
        return self.make(task)


@contextmanager
def checked_out(revision: str) -> Iterator[Place]:
    """Give the place of a revision while a with-block lasts; afterwards it is removed.

    Parameters
    ----------
    revision
        Whatever git takes for a commit, in the repository that this package runs from, or else
        in that of the current directory.

    Raises
    ------
    DataError
        If there is no such repository or revision, or no fastdigit in it.
    """
    repository = _repository()
    commit = _git(repository, "rev-parse", "--verify", "--end-of-options", f"{revision}^{{commit}}")
    short = _git(repository, "rev-parse", "--short=12", commit)
    folder = Path(tempfile.mkdtemp(prefix="fastdigit-"))
    place = Place(short, folder / "revision", folder / "cache")
    try:
        _git(repository, "worktree", "add", "--detach", str(place.root), commit)
        if not (place.root / PACKAGE / "__init__.py").is_file():
            raise DataError(f"revision {revision} has no {PACKAGE}")
        yield place
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        _git(repository, "worktree", "prune")


def _repository() -> Path:
    """Return the repository that holds fastdigit."""
    for place in (Path(__file__).parents[2], Path.cwd()):
        if (place / ".git").exists():
            return place
    raise DataError(
        "a git revision needs a clone of fastdigit's repository: run this in its directory, or "
        "give an earlier result"
    )


def _git(repository: Path, *words: str) -> str:
    git = shutil.which("git")
    if git is None:
        raise DataError("git is not installed; without it, give an earlier result, not a revision")
    done = subprocess.run(
        [git, "-C", str(repository), *words], capture_output=True, text=True, timeout=TIMEOUT
    )
    if done.returncode:
        said = done.stderr.strip().splitlines()[-1:] or ["it does not say why"]
        raise DataError(f"git {words[0]} failed in {repository}: {said[0]}")
    return done.stdout.strip()


def _inside(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")
