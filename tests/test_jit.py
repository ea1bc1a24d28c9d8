"""Compiled code on disk: it is reused, it is nowhere in the way, and it is never wrong."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fastdigit import jit

# One small function, so that each of these programs compiles for a second at most.
PROGRAM = """
import warnings
import numpy as np
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    from fastdigit.data.csv_parser import parse_lines
    table = np.zeros((2, 2), np.uint8)
    parse_lines(table, np.array(list(b"1,22\\n"), np.uint8))
print(table[0].tolist())
print(len(caught))
for warning in caught:
    print(warning.category.__name__, warning.message)
print("hits", sum(parse_lines.stats.cache_hits.values()))
"""
RESULT = "[1, 22]"


def compiled_files(cache, ending):
    return sorted(Path(cache).rglob(f"*.{ending}"))


@pytest.fixture(scope="module")
def filled_cache(tmp_path_factory):
    """Return a cache directory in which the function is already compiled."""
    cache = tmp_path_factory.mktemp("filled")
    sources = Path(jit.__file__).resolve().parent.parent
    variables = os.environ | {"XDG_CACHE_HOME": str(cache), "PYTHONPATH": str(sources)}
    subprocess.run([sys.executable, "-c", PROGRAM], env=variables, check=True, capture_output=True)
    return cache


def test_second_run_uses_what_the_first_compiled(filled_cache, output_of):
    assert compiled_files(filled_cache, "nbc")
    lines = output_of(PROGRAM, environment={"XDG_CACHE_HOME": str(filled_cache)})
    assert lines == [RESULT, "0", "hits 1"]


def test_compiled_code_is_loaded_without_the_compiler(filled_cache, output_of):
    program = f"{PROGRAM}\nimport sys; print('numba.np.linalg' in sys.modules)"
    lines = output_of(program, environment={"XDG_CACHE_HOME": str(filled_cache)})
    assert lines[-2:] == ["hits 1", "False"]


def test_the_directory_is_named_by_versions_and_sources(filled_cache):
    (directory,) = (filled_cache / "fastdigit" / "compiled").iterdir()
    assert re.fullmatch(r"numba-[\w.]+-llvmlite-[\w.]+-[0-9a-f]{16}", directory.name)


def test_what_no_version_has_used_for_a_month_is_removed(tmp_path, output_of):
    compiled = tmp_path / "fastdigit" / "compiled"
    elsewhere = tmp_path / "elsewhere"
    key = "numba-0.60.0-llvmlite-0.43.0-0123456789abcde"
    old, recent, foreign, link = (
        compiled / name for name in (f"{key}0", f"{key}1", "x", f"{key}2")
    )
    for directory in (old, recent, foreign, elsewhere):
        directory.mkdir(parents=True)
        (directory / "file").write_text("")
    link.symlink_to(elsewhere)
    for directory in (old, foreign, elsewhere, link):
        os.utime(directory, (0, 0), follow_symlinks=False)
    os.utime(recent, (time.time() - 29 * 86400,) * 2)
    output_of(PROGRAM, environment={"XDG_CACHE_HOME": str(tmp_path)})
    assert not old.exists()
    for directory in (recent, foreign, elsewhere, link):
        assert (directory / "file").exists(), directory
    (own,) = set(compiled.iterdir()) - {recent, foreign, link}
    os.utime(own, (0, 0))
    old.mkdir()
    os.utime(old, (0, 0))
    output_of(PROGRAM, environment={"XDG_CACHE_HOME": str(tmp_path)})
    assert time.time() - own.stat().st_mtime < 3600
    assert old.exists()  # only a new version looks for old ones


@pytest.mark.parametrize(
    "environment",
    [
        {"XDG_CACHE_HOME": __file__},
        {"XDG_CACHE_HOME": None, "HOME": "/proc/nothing"},
    ],
    ids=["a file", "no home"],
)
def test_without_a_directory_there_is_one_warning_and_the_right_result(environment, output_of):
    lines = output_of(PROGRAM, environment=environment)
    assert lines[0] == RESULT
    assert lines[1] == "1"
    assert lines[2].startswith("RuntimeWarning compiled kernels cannot be kept on disk")
    assert "XDG_CACHE_HOME" in lines[2]
    assert lines[3] == "hits 0"


@pytest.mark.skipif(getattr(os, "geteuid", int)() == 0, reason="root may write everywhere")
def test_a_read_only_directory_gives_one_warning(tmp_path, output_of):
    tmp_path.chmod(0o555)
    lines = output_of(PROGRAM, environment={"XDG_CACHE_HOME": str(tmp_path)})
    assert lines[:2] == [RESULT, "1"]


def test_home_is_unset(tmp_path, output_of):
    """The password database knows the home directory, or else there is a warning."""
    lines = output_of(PROGRAM, environment={"HOME": None, "XDG_CACHE_HOME": None})
    assert lines[0] == RESULT
    assert int(lines[1]) <= 1


@pytest.mark.parametrize(
    ("ending", "content"),
    [("nbc", None), ("nbc", b"foreign\n"), ("nbi", b""), ("nbi", b"foreign\n")],
    ids=["code cut", "code foreign", "index empty", "index foreign"],
)
def test_damaged_files_are_not_used(content, ending, filled_cache, tmp_path, output_of):
    cache = tmp_path / "cache"
    shutil.copytree(filled_cache, cache)
    for file in compiled_files(cache, ending):
        file.write_bytes(file.read_bytes()[:100] if content is None else content)
    lines = output_of(PROGRAM, environment={"XDG_CACHE_HOME": str(cache)})
    assert lines[0] == RESULT
    assert int(lines[1]) <= 1


@pytest.mark.skipif(os.name != "posix", reason="needs resource limits")
def test_a_full_disk_gives_one_warning_and_the_right_result(tmp_path, output_of):
    limit = (
        "import resource, signal\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))\n"
    )
    lines = output_of(limit + PROGRAM, environment={"XDG_CACHE_HOME": str(tmp_path)})
    assert lines[0] == RESULT
    assert int(lines[1]) <= 1


def copied_package(directory):
    package = directory / "fastdigit"
    ignored = shutil.ignore_patterns("__pycache__", "cli", "measure", "reporting")
    shutil.copytree(Path(jit.__file__).parent, package, ignore=ignored)
    return package


def key_of(package):
    """Return the key that a package in another place would have, worked out anew."""
    specification = importlib.util.spec_from_file_location("copied_jit", package / "jit.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module.source_key()


def test_other_kernel_sources_have_another_key(tmp_path):
    package = copied_package(tmp_path)
    first = key_of(package)
    assert key_of(package) == first
    (package / "errors.py").write_text((package / "errors.py").read_text() + "\n")
    assert key_of(package) == first
    for name in ("kernels/simd.py", "kernels/dense.py", "jit.py"):
        file = package / name
        before = file.read_text()
        file.write_text(before + "\n# edited\n")
        assert key_of(package) != first, name
        file.write_text(before)
    assert key_of(package) == first


def test_processes_that_start_cold_at_once_agree(tmp_path):
    sources = Path(jit.__file__).resolve().parent.parent
    variables = os.environ | {"XDG_CACHE_HOME": str(tmp_path), "PYTHONPATH": str(sources)}
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM],
            env=variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    for run in runs:
        out, err = run.communicate(timeout=120)
        assert run.returncode == 0, err
        assert out.splitlines()[:2] == [RESULT, "0"]
