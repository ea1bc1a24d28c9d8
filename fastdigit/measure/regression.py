"""Whether fastdigit has become slower: against an earlier revision, or against an earlier result.

A revision was run in turns with this version, so its times count. An earlier result comes from
another day, and on a shared machine the same build can be 16 % apart from one run to the next: so
what counts there is how each contender stands to the base of its own run. On the same machine its
times must say the same as well.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from fastdigit.errors import DataError
from fastdigit.measure import interval
from fastdigit.measure.result import (
    SCHEMA,
    Contender,
    Interval,
    Question,
    Ratio,
    Result,
    Verdict,
    misfit,
)
from fastdigit.measure.suites.plan import OURS

SAME = (("cpu", "model"), ("cpu", "cores_allowed"), ("cpu", "caches"), ("cpu", "vectors"))
"""Facts of a machine: where all are equal, it counts as the same."""


class Change(NamedTuple):
    """What has become of one contender."""

    suite: str
    question: str
    contender: str
    speed: Interval | None
    """How many times as fast as before; None if that is not known."""
    verdict: Verdict | None
    why: str | None = None
    """Why there is no verdict."""

    def regressed(self, threshold: float) -> bool:
        """Return whether it takes longer by more than a share, and that is no noise."""
        slower = self.verdict == "slower" and self.speed is not None
        return slower and 1 / self.speed["median"] - 1 > threshold  # type: ignore[index]


def since_revision(questions: list[Question]) -> list[Change]:
    """Return what has changed since a revision whose contenders were the bases."""
    found = []
    for question in questions:
        base = next(c for c in question["contenders"] if c["name"] == question["base"])
        for contender in question["contenders"]:
            if contender is base:
                continue
            why = base["refused"] and f"of the revision: {base['refused']}"
            why = _refusal(contender) or why or question["busy"]
            ratio = contender["ratio"]
            speed = ratio["paired"] if ratio else None
            verdict = contender["verdict"]
            found.append(_change(question, contender, speed, verdict, why))
    return found


def since_result(now: Result, before: Result) -> list[Change]:
    """Return what has changed since an earlier result; see `checked`."""
    same = same_machine(now, before)
    asked = {_key(question): question for question in before["questions"]}
    found = []
    for question in now["questions"]:
        earlier = asked.get(_key(question))
        for contender in question["contenders"]:
            if contender["library"] == OURS:
                found.append(_since(question, contender, earlier, same))
    return found


def same_machine(now: Result, before: Result) -> bool:
    """Return whether two results come from machines of the same kind."""

    def facts(result: Result) -> list[Any]:
        return [result["machine"].get(part, {}).get(name) for part, name in SAME]

    return facts(now) == facts(before)


def checked(document: Any, name: str, now: Mapping[str, Any]) -> Result:
    """Return an earlier result, or say why it cannot be compared.

    Parameters
    ----------
    document
        What its file holds.
    name
        Of the file.
    now
        What is known of the data now; see `Result`.

    Raises
    ------
    DataError
        If it is no result, or one of another form, or of other data.
    """
    if not isinstance(document, dict) or not isinstance(document.get("questions"), list):
        raise DataError(f"{name} is no result of fastdigit bench; give what its -o has written")
    if document.get("schema") != SCHEMA:
        raise DataError(
            f"{name} has schema {document.get('schema')!r}, expected {SCHEMA}; run fastdigit bench "
            "of that revision again, or name the revision itself"
        )
    if place := misfit(document) or _not_positive(document["questions"]):
        raise DataError(f"{name} is damaged: {place} is not what fastdigit bench has written")
    if document["data"].get("fingerprint") != now["fingerprint"]:
        raise DataError(
            f"{name} was measured on other data, or on another number of --rows: "
            f"{document['data'].get('source')}, {document['data'].get('images')} images"
        )
    result: Result = document  # type: ignore[assignment]
    return result


def _not_positive(questions: list[Question]) -> str | None:
    """Return the first ratio that is not above 0, as all have to be."""
    for question in questions:
        for contender in question["contenders"]:
            ratio = contender["ratio"]
            if ratio and min(ratio["low"], ratio["median"], ratio["high"]) <= 0:
                return f"the ratio of {contender['name']} in {question['name']}"
    return None


def _since(question: Question, contender: Contender, before: Question | None, same: bool) -> Change:
    earlier = _named(before, contender["name"])
    why = _refusal(contender)
    if earlier is None or before is None:
        return _change(question, contender, None, None, why or "not in the earlier result")
    why = why or (earlier["refused"] and f"earlier: {earlier['refused']}")
    why = why or question["busy"] or before["busy"]
    floors = [q["noise_floor"] for q in (question, before) if q["noise_floor"] is not None]
    seen = list(_speeds(contender, earlier, same))
    if not seen:
        return _change(question, contender, None, None, why or "no ratio to a base")
    if len(floors) < 2:
        return _change(question, contender, seen[0], None, why or "no noise floor")
    verdicts = {interval.verdict(_ratio(speed), max(floors)) for speed in seen}
    verdict: Verdict = verdicts.pop() if len(verdicts) == 1 else "too close to call"
    return _change(question, contender, seen[0], verdict, why)


def _speeds(now: Contender, before: Contender, same: bool) -> Iterator[Interval]:
    """Yield how many times as fast it is, by its ratio to the base, and by time if that counts."""
    mine, theirs = now["ratio"], before["ratio"]
    if mine and theirs:
        yield Interval(
            median=mine["median"] / theirs["median"],
            low=mine["low"] / theirs["high"],
            high=mine["high"] / theirs["low"],
        )
    if same and now["rounds"] and before["rounds"]:
        rounds = min(len(now["rounds"]), len(before["rounds"]))
        old, new = ([turn["counted"] for turn in c["rounds"][:rounds]] for c in (before, now))
        yield interval.ratio(old, new)


def _ratio(speed: Interval) -> Ratio:
    """Return an interval in the form that a verdict is given on."""
    return Ratio(**{**speed, "rounds": 0, "paired": speed})


def _change(
    question: Question,
    contender: Contender,
    speed: Interval | None,
    verdict: Verdict | None,
    why: str | None,
) -> Change:
    name = contender["name"]
    return Change(
        question["suite"], question["name"], name, speed, None if why else verdict, why or None
    )


def _refusal(contender: Contender) -> str | None:
    return contender["refused"] and f"refused: {contender['refused']}"


def _key(question: Question) -> tuple[str, str, str]:
    return question["suite"], question["name"], repr(sorted(question["parameters"].items()))


def _named(question: Question | None, name: str) -> Contender | None:
    contenders = question["contenders"] if question else []
    return next((c for c in contenders if c["name"] == name), None)
