"""From the turns of all contenders to the answer: what counts, what it says, and how surely."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from fastdigit.measure import interval
from fastdigit.measure.entrants import Seat
from fastdigit.measure.result import Contender, Question, Ratio


class Topic(NamedTuple):
    """What is asked; see `result.Question`."""

    suite: str
    name: str
    repetition: str
    parameters: dict[str, Any]


def question(
    topic: Topic,
    seats: Sequence[Seat],
    again: Seat | None,
    base: str,
    threads: int,
    enough: int,
    seed: int,
) -> Question:
    """Return everything that was found out.

    Parameters
    ----------
    topic
        What was asked.
    seats
        All entrants, and what became of them.
    again
        The base in its second process, if there was one.
    base
        Name of the one that ratios are against.
    threads
        Of every contender that has no number of its own.
    enough
        Undisturbed rounds below which disturbed ones count, too, and no verdict is given.
    seed
        Draws the samples.
    """
    first = _seat_of(base, seats)
    ratios = {
        seat.entrant.name: _ratio(first, seat, enough, seed)
        for seat in [*seats, *([again] if again else [])]
        if first and not (seat is first or seat.refused)
    }
    repeated = ratios.get(again.entrant.name) if again else None
    floor = interval.noise_floor(repeated) if repeated else None

    def record(seat: Seat) -> Contender:
        ratio = ratios.get(seat.entrant.name)
        found = _contender(seat, threads, enough, ratio)
        if first and ratio and floor is not None and _sure(enough, first, again, seat):
            found["verdict"] = interval.verdict(ratio, floor)
        return found

    return Question(
        suite=topic.suite,
        name=topic.name,
        repetition=topic.repetition,
        base=base,
        noise_floor=floor,
        busy=_busy(seats, again, first, enough),
        parameters=topic.parameters,
        contenders=[record(seat) for seat in seats],
        again=record(again) if again else None,
    )


def widest(seats: Sequence[Seat], base: str, enough: int, seed: int) -> float:
    """Return half the width of the widest interval so far, as a share of its ratio.

    It is infinite where too few undisturbed rounds are known, or there is nothing to compare.
    """
    first = _seat_of(base, seats)
    widths = [np.inf]
    if first:
        others = [seat for seat in seats if seat is not first]
        if all(len(_undisturbed(first, seat)) >= enough for seat in others):
            widths = [
                interval.half_width(_ratio(first, seat, enough, seed)["paired"]) for seat in others
            ]
    return max(widths, default=np.inf)


def _seat_of(name: str, seats: Sequence[Seat]) -> Seat | None:
    return next((s for s in seats if s.entrant.name == name and not s.refused), None)


def _undisturbed(*seats: Seat) -> list[int]:
    """Return the numbers of the rounds in which no turn of theirs was disturbed."""
    turns = zip(*(seat.rounds for seat in seats), strict=True)
    return [i for i, both in enumerate(turns) if not any(turn["disturbed"] for turn in both)]


def _counted(enough: int, *seats: Seat) -> list[int]:
    """Return the numbers of the rounds that count: undisturbed ones, or else all."""
    clean = _undisturbed(*seats)
    return clean if len(clean) >= enough else list(range(len(seats[0].rounds)))


def _ratio(base: Seat, seat: Seat, enough: int, seed: int) -> Ratio:
    counted = _counted(enough, base, seat)
    first, other = ([one.rounds[i]["counted"] for i in counted] for one in (base, seat))
    return interval.ratio(first, other, seed)


def _sure(enough: int, *seats: Seat | None) -> bool:
    """Return whether there are so many undisturbed rounds for each of them beside the first."""
    base, *others = seats
    return all(base and seat and len(_undisturbed(base, seat)) >= enough for seat in others)


def _busy(seats: Sequence[Seat], again: Seat | None, base: Seat | None, enough: int) -> str | None:
    """Return why a verdict is missing, and which, if so."""
    if base is None:
        return None
    if again is None or again.refused:
        return f"{base.entrant.name} did not run twice: {again.refused if again else 'no time'}"
    others = [seat for seat in [*seats, again] if seat is not base and not seat.refused]
    clean = {seat.entrant.name: len(_undisturbed(base, seat)) for seat in others}
    few = {name: count for name, count in clean.items() if count < enough}
    if not few:
        return None
    counts = ", ".join(f"{count} for {name}" for name, count in few.items())
    return (
        f"machine busy: of {len(base.rounds)} rounds beside {base.entrant.name}, too few were "
        f"undisturbed to be sure ({counts}; {enough} are needed)"
    )


def _contender(seat: Seat, threads: int, enough: int, ratio: Ratio | None) -> Contender:
    ready = seat.worker.ready if seat.worker and not seat.refused else None
    found = Contender(
        name=seat.entrant.name,
        library=seat.entrant.library,
        dtype=seat.entrant.dtype,
        threads=seat.entrant.threads or threads,
        refused=seat.refused,
        check=seat.check,
        import_seconds=None,
        compile_seconds=None,
        cached_seconds=None,
        prepare_seconds=None,
        rounds=seat.rounds,
        median_seconds=None,
        quartiles_seconds=None,
        ratio=ratio,
        verdict=None,
        facts=seat.facts,
    )
    if ready:
        cached = ready.compiled is not None and not ready.compiled["misses"]
        found["import_seconds"] = ready.import_seconds
        found["cached_seconds" if cached else "compile_seconds"] = ready.compile_seconds
        found["prepare_seconds"] = ready.prepare_seconds
        found["facts"] = {
            "blas_threads": ready.blas_threads,
            "threading_layer": ready.threading_layer,
            "compiled": ready.compiled,
            "repetitions": seat.repetitions,
            **seat.facts,
        }
    if seat.rounds:
        times = [seat.rounds[i]["counted"] for i in _counted(enough, seat)]
        found["median_seconds"] = float(np.median(times))
        found["quartiles_seconds"] = [float(value) for value in np.percentile(times, [25, 75])]
    return found
