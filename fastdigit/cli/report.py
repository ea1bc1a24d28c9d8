"""``fastdigit report``: results as a page to read, in the README, and in the record."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from fastdigit.cli import arguments
from fastdigit.cli.streams import note, say
from fastdigit.errors import DataError

if TYPE_CHECKING:
    from fastdigit.reporting.entry import Entry

PAGE, DATA = "report.html", "results.json"
README = Path("README.md")


def add_to(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the parser."""
    parser = subparsers.add_parser(
        "report",
        help="make a page, the README's tables or a line of the record from a result",
        description="Make one HTML page from a result that fastdigit bench, fastdigit compare or "
        "pytest --benchmark-only wrote. It opens without a network.",
    )
    parser.add_argument(
        "result", nargs="?", type=Path, metavar="RESULT.json", help="what a benchmark wrote"
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="DIR",
        help=f"where {PAGE} goes, and {DATA} beside it (default: the folder of RESULT.json)",
    )
    parser.add_argument(
        "--history",
        type=Path,
        metavar="MD",
        help="write the line of this result into a record, such as reports/history.md, instead of "
        "a page",
    )
    parser.add_argument(
        "--update-readme",
        nargs="?",
        const=README,
        type=Path,
        metavar="MD",
        help=f"write what stands between markers anew from the results they name (default: "
        f"{README})",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Write what was asked for."""
    if options.result is None and options.update_readme is None:
        raise arguments.ArgumentError("name a RESULT.json, or give --update-readme")
    if options.result is None and (options.history or options.output):
        raise arguments.ArgumentError("--history and --output need a RESULT.json")
    if options.result is not None:
        if options.history is not None:
            _record(options.result, options.history)
        if options.history is None or options.output is not None:
            _page(options.result, options.output or options.result.parent)
    if options.update_readme is not None:
        _readme(options.update_readme)


def _document(path: Path) -> "Entry":
    """Return a result, also out of what pytest-benchmark wrote."""
    from fastdigit.measure.from_pytest import from_pytest, is_from_pytest
    from fastdigit.reporting.entry import Entry, read

    document = read(path)
    if is_from_pytest(document.value):
        try:
            return Entry(from_pytest(document.value))
        except DataError as error:
            note(f"warning: {path}: {error}")
    return document


def _page(result: Path, folder: Path) -> None:
    from fastdigit.reporting.page import page
    from fastdigit.storage import check_writable, write_whole

    document = _document(result)
    beside = folder / (result.name if folder.resolve() == result.resolve().parent else DATA)
    try:
        content = page(document, beside.name)
    except ModuleNotFoundError as error:
        if error.name != "jinja2":
            raise
        raise DataError(
            "the page needs jinja2; install it by: python -m pip install jinja2"
        ) from error
    folder.mkdir(parents=True, exist_ok=True)
    check_writable(folder / PAGE)
    if beside.resolve() != result.resolve():
        write_whole(beside, result.read_bytes())
    write_whole(folder / PAGE, content.encode())
    say(f"report: {folder / PAGE}")


def _record(result: Path, table: Path) -> None:
    from fastdigit.reporting.record import added
    from fastdigit.storage import write_whole

    try:
        before = table.read_text(encoding="utf-8") if table.exists() else ""
    except UnicodeDecodeError as error:
        raise DataError(f"{table}: this is no text, and so no record of results") from error
    document = _document(result)
    try:
        after = added(before, document)
    except DataError as error:
        raise DataError(f"{table}: {error}") from error
    if after != before:
        write_whole(table, after.encode())
    say(f"record: {table}{'' if after != before else ' (was up to date)'}")


def _readme(path: Path) -> None:
    from fastdigit.reporting.readme import updated
    from fastdigit.storage import write_whole

    before = path.read_text(encoding="utf-8")
    after = updated(before, path.parent)
    if after != before:
        write_whole(path, after.encode())
    say(f"written: {path}" if after != before else f"{path} was up to date")
