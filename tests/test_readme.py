"""Numbers in the README: those of the results that its markers name."""

import json
import shutil
from pathlib import Path

import pytest
from sampled_result import result

from fastdigit import cli
from fastdigit.errors import DataError
from fastdigit.reporting.readme import WRITERS, updated

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"


def test_the_readme_says_what_was_measured():
    text = README.read_text(encoding="utf-8")
    assert text.count("<!-- fastdigit: ") >= 5
    assert updated(text, ROOT) == text, "run: fastdigit report --update-readme"


def test_a_number_that_was_changed_is_found(tmp_path, capsys):
    shutil.copytree(ROOT / "reports", tmp_path / "reports")
    text = README.read_text(encoding="utf-8")
    path = tmp_path / "README.md"
    path.write_text(text.replace("| sparse-f32 | ", "| sparse-f32 | 1"), encoding="utf-8")
    assert updated(path.read_text(encoding="utf-8"), tmp_path) == text
    assert cli.main(["report", "--update-readme", str(path)]) == 0
    assert path.read_text(encoding="utf-8") == text
    assert cli.main(["report", "--update-readme", str(path)]) == 0
    assert capsys.readouterr().out.splitlines() == [f"written: {path}", f"{path} was up to date"]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "r.json").write_text(json.dumps(result(rounds=3)))
    return tmp_path


def block(folder, name):
    text = f"before\n<!-- fastdigit: r.json {name} -->\nstale\n<!-- end -->\nafter\n"
    first, marker, *written, end, last, empty = updated(text, folder).split("\n")
    assert (first, end, last, empty) == ("before", "<!-- end -->", "after", "")
    assert marker == f"<!-- fastdigit: r.json {name} -->"
    return "\n".join(written)


@pytest.mark.parametrize("name", WRITERS)
def test_every_writer_writes_of_a_result(name, folder):
    found = block(folder, name)
    assert found
    assert "stale" not in found
    assert all(len(line) <= 118 for line in found.split("\n") if not line.startswith("|"))


def test_a_table(folder):
    heading, _, base, *rows = block(folder, "contenders").split("\n")
    assert heading == "| contender | ms for one iteration | ratio | 99 % interval | off by |"
    assert base.startswith("| notebook | ")
    assert rows[-1].startswith("| sparse-f32 | ")
    assert len(rows) == 7


def test_another_suite(folder):
    assert "torch" in block(folder, "rivals predict")
    assert "sparse-f32" in block(folder, "rivals")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x\n<!-- fastdigit: r.json nonsense -->\n<!-- end -->", "line 2: there is no 'nonsense'"),
        ("<!-- fastdigit: no.json what -->\n<!-- end -->", "line 1: no.json cannot be read"),
        ("<!-- fastdigit: r.json what -->\ntext", "line 1: the marker is not followed"),
        ("<!-- fastdigit: r.json rivals start-up -->\n<!-- end -->", "no times of start-up"),
        (
            "<!-- fastdigit: r.json what -->\n<!-- fastdigit: r.json what -->\n<!-- end -->",
            "line 1",
        ),
    ],
)
def test_a_marker_that_cannot_be_followed(text, said, folder):
    with pytest.raises(DataError, match=said):
        updated(text, folder)


def test_nothing_in_a_result_leaves_its_cell(folder):
    hostile = result(rounds=2)
    hostile["settings"]["command"] = "`<script>` | x\n<!-- end -->"
    hostile["questions"][0]["contenders"][3]["name"] = "a | b <script>\n<!-- end -->"
    (folder / "r.json").write_text(json.dumps(hostile))
    table = block(folder, "contenders")
    assert "<" not in table
    assert len({line.replace("\\|", "").count("|") for line in table.split("\n")}) == 1
    assert "\n<!--" not in block(folder, "what")
