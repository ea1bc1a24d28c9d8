"""`fastdigit report`: files it writes, older results, and what it says when it cannot."""

import json
import re
import sys
from pathlib import Path

import pytest
from sampled_result import result

from fastdigit import cli
from fastdigit.reporting import page

REPORTS = Path(__file__).parent.parent / "reports"
OLDER = sorted(REPORTS.glob("*/*.json"))


@pytest.fixture
def document(tmp_path):
    path = tmp_path / "run.json"
    path.write_text(json.dumps(result(rounds=3)))
    return path


def report(*arguments):
    return cli.main(["report", *map(str, arguments)])


def test_a_page_and_its_data(document, tmp_path, capsys):
    folder = tmp_path / "new" / "folder"
    assert report(document, "-o", folder) == 0
    assert sorted(path.name for path in folder.iterdir()) == ["report.html", "results.json"]
    assert (folder / "results.json").read_bytes() == document.read_bytes()
    assert '<a href="results.json">' in (folder / "report.html").read_text()
    assert str(folder / "report.html") in capsys.readouterr().out


def test_beside_the_result_nothing_is_copied(document):
    assert report(document) == 0
    assert sorted(path.name for path in document.parent.iterdir()) == ["report.html", "run.json"]
    assert '<a href="run.json">' in (document.parent / "report.html").read_text()


@pytest.mark.parametrize("path", OLDER, ids=lambda path: path.parent.name)
def test_committed_results_make_a_page(path, tmp_path):
    assert report(path, "-o", tmp_path) == 0
    found = (tmp_path / "report.html").read_text()
    assert len(re.findall("<section", found)) == 8
    assert len(found) < 3e6
    document = json.loads(path.read_text())
    for contender in document.get("contenders", ()):
        assert f">{contender['name']}</th>" in found
        assert f'value="{contender["milliseconds_median"] / 1e3}"' in found
    for name, (_, median, _) in document.get("findings", {}).get("seconds_quartiles", {}).items():
        assert f">{name}</th>" in found
        assert f'value="{median}"' in found


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "line 1, column 1"),
        (b"<html>", "line 1, column 1"),
        (b'{"schema": 2,\n "questions": [', "line 2, column 16"),
        (b"\xff\xfe\x00", "is no JSON"),
        (b"[" * 100_000, "is no JSON"),
        (b"9" * 10_000, "is no JSON"),
    ],
)
def test_what_is_no_json_is_refused_in_one_sentence(content, said, tmp_path, capsys):
    path = tmp_path / "broken.json"
    path.write_bytes(content)
    assert report(path, "-o", tmp_path / "out") == 1
    error = capsys.readouterr().err
    assert said in error
    assert "broken.json" in error
    assert len(error.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_what_pytest_wrote_and_is_not_ours(tmp_path, capsys):
    path = tmp_path / "pytest.json"
    path.write_text('{"benchmarks": [], "machine_info": {}}')
    assert report(path) == 0
    assert "this is no JSON that pytest" in capsys.readouterr().err
    assert "A fastdigit result without times" in (tmp_path / "report.html").read_text()


def test_a_missing_file(tmp_path, capsys):
    assert report(tmp_path / "no.json") == 1
    assert "no.json" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [(), ("--history", "h.md"), ("-o", "x", "--update-readme")])
def test_a_result_is_needed(arguments, capsys):
    assert report(*arguments) == 2
    assert "RESULT.json" in capsys.readouterr().err


def test_without_jinja2(document, monkeypatch, capsys):
    page._template.cache_clear()
    monkeypatch.setitem(sys.modules, "jinja2", None)
    assert report(document) == 1
    assert "python -m pip install jinja2" in capsys.readouterr().err
