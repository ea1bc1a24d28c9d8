"""What `pytest --benchmark-only --benchmark-json` writes, as a result like any other.

Those benchmarks run one after the other in one process, so there is no noise floor and no verdict:
ratios are told with what is known of them, and no more.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from fastdigit.errors import DataError
from fastdigit.measure import interval
from fastdigit.measure.result import SCHEMA, Contender, Question, Result, Round

KEY = "fastdigit"
"""Where everything of ours is, in the document and in each benchmark."""
BUSY = "timed one after the other in one process; for verdicts, run fastdigit bench"


def is_from_pytest(document: Any) -> bool:
    """Return whether a document was written by pytest-benchmark."""
    return isinstance(document, Mapping) and "benchmarks" in document


def from_pytest(document: Mapping[str, Any]) -> Result:
    """Return the result that a document of pytest-benchmark holds.

    Parameters
    ----------
    document
        The JSON that ``--benchmark-json`` has written.

    Raises
    ------
    DataError
        If it holds nothing of fastdigit's suites.
    """
    try:
        benchmarks = [
            b["extra_info"][KEY] for b in document["benchmarks"] if KEY in b["extra_info"]
        ]
        run = document[KEY]
        machine = document["machine_info"][KEY]
        questions = _questions(benchmarks)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(
            f"this is no JSON that pytest --benchmark-only --benchmark-json has written in bench/: "
            f"{type(error).__name__}: {error}"
        ) from error
    return Result(
        schema=SCHEMA,
        kind="pytest --benchmark-only",
        machine=machine,
        load_average_after=run["load_average_after"],
        steal=None,
        settings=run["settings"],
        data=run["data"],
        wall_seconds=run["wall_seconds"],
        parts={},
        roofline=run.get("roofline"),
        questions=questions,
    )


def _questions(benchmarks: list[dict[str, Any]]) -> list[Question]:
    groups: dict[str, list[dict[str, Any]]] = {}
    for found in benchmarks:
        asked = [found["suite"], found["name"], sorted(found["parameters"].items())]
        groups.setdefault(repr(asked), []).append(found)
    return [_question(several) for several in groups.values()]


def _question(several: list[dict[str, Any]]) -> Question:
    first = several[0]
    contenders = [_contender(found) for found in several]
    base = next((c for c in contenders if c["name"] == first["base"]), None)
    for contender in contenders:
        if base and contender is not base:
            before, own = _seconds(base), _seconds(contender)
            rounds = min(len(before), len(own))
            contender["ratio"] = interval.ratio(before[:rounds], own[:rounds])
    return Question(
        suite=first["suite"],
        name=first["name"],
        repetition=first["repetition"],
        base=first["base"],
        noise_floor=None,
        busy=BUSY,
        parameters=first["parameters"],
        contenders=contenders,
        again=None,
    )


def _contender(found: dict[str, Any]) -> Contender:
    known, seconds = found["contender"], found["seconds"]
    rounds = [
        Round(
            position=0,
            seconds=[second],
            counted=second,
            speed=None,
            steal=None,
            others=None,
            disturbed=False,
        )
        for second in seconds
    ]
    return Contender(
        name=known["name"],
        library=known["library"],
        dtype=known["dtype"],
        threads=known["threads"],
        refused=None,
        check=known["check"],
        import_seconds=known.get("import_seconds"),
        compile_seconds=known.get("compile_seconds"),
        cached_seconds=known.get("cached_seconds"),
        prepare_seconds=known.get("prepare_seconds"),
        rounds=rounds,
        median_seconds=float(np.median(seconds)),
        quartiles_seconds=[float(value) for value in np.percentile(seconds, [25, 75])],
        ratio=None,
        verdict=None,
        facts=known["facts"],
    )


def _seconds(contender: Contender) -> list[float]:
    return [turn["seconds"][0] for turn in contender["rounds"]]
