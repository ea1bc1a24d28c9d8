"""An earlier revision: checked out, run in a process of its own, and removed again."""

import subprocess
import sys
from pathlib import Path

import pytest

from fastdigit.errors import DataError
from fastdigit.measure import revision


def git(folder, *words):
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.invalid"]
    done = subprocess.run(
        ["git", "-C", str(folder), *identity, *words], capture_output=True, text=True, check=True
    )
    return done.stdout


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A repository with two revisions of a package fastdigit, of which the second is edited."""
    package = tmp_path / "fastdigit"
    package.mkdir()
    git(tmp_path, "init", "-q")
    for number in (1, 2):
        (package / "__init__.py").write_text("")
        (package / "number.py").write_text(f"NUMBER = {number}\n")
        git(tmp_path, "add", ".")
        git(tmp_path, "commit", "-qm", str(number))
    (package / "number.py").write_text("NUMBER = 3\n")
    monkeypatch.setattr(revision, "_repository", lambda: tmp_path)
    return tmp_path


def worktrees(repository):
    return git(repository, "worktree", "list").splitlines()


def test_files_of_the_revision(repository):
    for name, number in (("HEAD~1", 1), ("HEAD", 2)):
        with revision.checked_out(name) as place:
            assert (place.root / "fastdigit/number.py").read_text() == f"NUMBER = {number}\n"
            assert git(repository, "rev-parse", name).startswith(place.revision)
            assert len(worktrees(repository)) == 2
        assert not place.root.exists()
        assert len(worktrees(repository)) == 1


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_removed_after_errors(repository, error):
    with pytest.raises(error), revision.checked_out("HEAD") as place:
        raise error
    assert not place.root.parent.exists()
    assert len(worktrees(repository)) == 1


def test_what_cannot_be_checked_out(repository, tmp_path):
    for name in ("no-such-branch", "--all", ""):
        with pytest.raises(DataError, match="git rev-parse failed"), revision.checked_out(name):
            pass
    git(repository, "rm", "-qrf", "fastdigit")
    git(repository, "commit", "-qm", "empty", "--allow-empty")
    with pytest.raises(DataError, match="has no fastdigit"), revision.checked_out("HEAD"):
        pass
    assert len(worktrees(repository)) == 1


def test_no_repository(tmp_path, monkeypatch):
    monkeypatch.setattr(revision, "__file__", str(tmp_path / "a/b/c.py"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="needs a clone"), revision.checked_out("HEAD"):
        pass


def test_a_process_that_enters(repository, tmp_path):
    program = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "import fastdigit.errors, fastdigit.measure.threads\n"
        "from fastdigit.measure.revision import Place\n"
        "Place('1', Path(sys.argv[1]), Path(sys.argv[2])).enter()\n"
        "import fastdigit.measure.machine, fastdigit.number\n"
        "print(fastdigit.number.NUMBER, os.environ['XDG_CACHE_HOME'])\n"
        "print('fastdigit.errors' in sys.modules)\n"
        "print(fastdigit.measure.machine.__file__)\n"
    )
    words = [str(repository), str(tmp_path / "cache")]
    done = subprocess.run(
        [sys.executable, "-c", program, *words], capture_output=True, text=True, check=True
    )
    number, errors, measuring = done.stdout.splitlines()
    assert number == f"3 {tmp_path / 'cache'}"
    assert errors == "False"
    assert Path(measuring).parent == Path(revision.__file__).parent
