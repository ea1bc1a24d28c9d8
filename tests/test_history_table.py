"""The record of results: a row for each, however often it is added."""

import copy
import json
from pathlib import Path

import pytest
from sampled_result import result

from fastdigit import cli
from fastdigit.errors import DataError
from fastdigit.reporting.entry import Entry, read
from fastdigit.reporting.record import added, cells, row

ROOT = Path(__file__).parent.parent
RECORD = ROOT / "reports" / "history.md"


def dated(date, **more):
    document = result(rounds=3)
    document["machine"] = {**document["machine"], "date": date, **more}
    return document


def body(table):
    return [cells(line) for line in table.split("\n") if line.startswith("|")][2:]


def test_a_row():
    document = result()
    target = document["questions"][1]
    target["parameters"] = {"target": 0.98}
    ours = document["questions"][0]["contenders"][3]
    date, revision, machine, work, name, milliseconds, ratio, limit, seconds = row(Entry(document))
    assert date == "2026-12-01T08:19:50+00:00"
    assert (revision, machine, work) == ("0123456789ab", "Intel Xeon", "784-10-10, 41,000 images")
    assert name == ours["name"] == "sparse-f32"
    assert float(milliseconds) == pytest.approx(1e3 * ours["median_seconds"], rel=5e-3)
    assert float(ratio[:-1]) == pytest.approx(ours["ratio"]["median"], rel=5e-3)
    assert limit == "83 %"
    assert float(seconds) == pytest.approx(0.31, rel=0.2)


def test_rows_are_in_order_and_added_once():
    table = ""
    for date in ("2026-03-01", "2026-01-01", "2026-02-01", "2026-01-01"):
        table = added(table, Entry(dated(date)))
    assert [line[0] for line in body(table)] == ["2026-01-01", "2026-02-01", "2026-03-01"]
    assert table.count("# Record") == 1
    assert added(table, Entry(dated("2026-02-01"))) == table


@pytest.mark.parametrize(
    "content", [b"my notes, precious\n", b"label,pixel0\n", b"\x89PNG\xff\x00"]
)
def test_nothing_else_is_overwritten(content, tmp_path, capsys):
    (tmp_path / "result.json").write_text(json.dumps(result(rounds=3)))
    (tmp_path / "notes.md").write_bytes(content)
    words = ["report", str(tmp_path / "result.json"), "--history", str(tmp_path / "notes.md")]
    assert cli.main(words) == 1
    assert "no record of results" in capsys.readouterr().err
    assert (tmp_path / "notes.md").read_bytes() == content


def test_a_result_that_was_corrected_takes_its_place():
    before = added("", Entry(dated("2026-01-01")))
    slower = copy.deepcopy(dated("2026-01-01"))
    for contender in slower["questions"][0]["contenders"]:
        contender["median_seconds"] = 1.0 if contender["median_seconds"] else None
    after = added(before, Entry(slower))
    assert len(body(after)) == 1
    assert after != before


def test_hostile_names_stay_in_their_cells():
    odd = dated("2026-01-01", git_revision="a | b <script>\n| c |")
    table = added("", Entry(odd))
    assert added(table, Entry(odd)) == table
    assert len(body(table)) == 1
    assert "<" not in table


def test_a_result_without_an_iteration():
    for document in ({}, {"questions": []}, dated("")):
        with pytest.raises(DataError, match="no row in the record"):
            added("", Entry(document))


def test_the_command(tmp_path, capsys):
    path, table = tmp_path / "r.json", tmp_path / "history.md"
    path.write_text(json.dumps(result(rounds=3)))
    for said in ("", " (was up to date)"):
        assert cli.main(["report", str(path), "--history", str(table)]) == 0
        assert capsys.readouterr().out == f"record: {table}{said}\n"
    assert not (tmp_path / "report.html").exists()


def test_the_committed_record_holds_the_committed_results():
    rows = {tuple(line[:2]): line for line in body(RECORD.read_text(encoding="utf-8"))}
    found = 0
    for path in (ROOT / "reports").glob("*/*.json"):
        document = read(path)
        date, revision = (document["machine"][key].text for key in ("date", "git_revision"))
        if (date, revision) in rows:
            table = added("", document)
            assert body(table) == [rows[date, revision]], path
            found += 1
    assert found
