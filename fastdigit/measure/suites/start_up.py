"""What the first run costs: importing, compiling, and every later start.

A trivial function for several threads is the base: what Numba costs, whatever it compiles.
"""

import random
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fastdigit.measure import answer
from fastdigit.measure.entrants import Entrant, Seat, reason
from fastdigit.measure.idle import Steal
from fastdigit.measure.paired import Topic, disturbs
from fastdigit.measure.peers import PEERS
from fastdigit.measure.result import Contender, Question, Round
from fastdigit.measure.revision import Place
from fastdigit.measure.start_up import STARTERS, TRIVIAL, Start, Starter, cold, start
from fastdigit.measure.suites.iteration import LIBRARIES
from fastdigit.measure.suites.plan import OURS, Plan, Run, Setting
from fastdigit.progress import interactive

SHOWN = (TRIVIAL, "reference-f64", "sparse-f64", "sparse-f32")
"""By default: the dense kernels share most of their code with the sparse ones."""
LEFT_OUT = ("torch-compile-f64", "torch-compile-f32")
"""A cold start of these calls a C++ compiler, for minutes."""
LEAST_ROUNDS = 3
PATIENCE = 2.0
"""Seconds to wait for an undisturbed machine before a round."""


@dataclass
class Starts:
    """Something that is started again and again, and the cache that it fills."""

    seat: Seat
    starter: Starter
    cache: Path
    place: Place | None = None
    cold: Start | None = None
    warm: list[Start] = field(default_factory=list)

    def begin(self, threads: int) -> None:
        """Start it without compiled code, and once more to fill its cache; or refuse it."""
        try:
            self.cold = cold(self.starter, threads, self.place)
            start(self.starter, self.cache, threads, self.place)
        except (ChildProcessError, OSError) as error:
            self.seat.refuse(reason(error))


@dataclass(frozen=True)
class Processes:
    """The question how long starts take; each is a process of its own."""

    topic: Topic
    starters: Mapping[str, tuple[Starter, Place | None]]
    threads: int
    base: str

    @property
    def weight(self) -> float:
        """A cold start takes several times as long as a contender's turns."""
        return 2.0 * len(self.starters)

    def answer(self, run: Run) -> Question:
        """Start everything once without compiled code, and then in turns with it."""
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="fastdigit-") as folder:
            several = self._begin(Path(folder), run)
            started = time.perf_counter()
            waited = run.parts.get("wait", 0.0)
            self._take_turns(several, run, began + run.seconds)
            waited = run.parts.get("wait", 0.0) - waited
            _spend(run.parts, "time", time.perf_counter() - started - waited)
        *own, again = several
        found = answer.question(
            self.topic,
            [one.seat for one in own],
            again.seat,
            self.base,
            self.threads,
            LEAST_ROUNDS,
            run.seed,
        )
        for one, contender in zip(own, found["contenders"], strict=True):
            _add_costs(contender, one)
        return found

    def _begin(self, folder: Path, run: Run) -> list[Starts]:
        """Return everything that is started, and the base once more, after its cold start."""
        several: list[Starts] = []
        started = time.perf_counter()
        twin = {f"{self.base} (again)": self.starters[self.base]}
        for name, (starter, place) in {**self.starters, **twin}.items():
            entrant = Entrant(name, starter.library, starter.dtype, make=tuple)
            one = Starts(Seat(entrant), starter, folder / str(len(several)), place)
            if starter.installed:
                one.begin(self.threads)
            else:
                one.seat.refuse(f"{starter.package} is not installed")
            if run.progress and not interactive():
                print(f"started {name} without compiled code", file=sys.stderr, flush=True)
            several.append(one)
        _spend(run.parts, "compile", time.perf_counter() - started)
        return several

    def _take_turns(self, several: list[Starts], run: Run, end: float) -> None:
        order = random.Random(run.seed)
        rounds = 0
        while rounds < LEAST_ROUNDS or time.monotonic() < end:
            playing = [one for one in several if not one.seat.refused]
            if not playing:
                break
            started = time.perf_counter()
            state = run.watch.wait(PATIENCE)
            _spend(run.parts, "wait", time.perf_counter() - started)
            for position, one in enumerate(order.sample(playing, len(playing))):
                steal = Steal()
                try:
                    one.warm.append(start(one.starter, one.cache, self.threads, one.place))
                except (ChildProcessError, OSError) as error:
                    one.seat.refuse(reason(error))
                    continue
                share, before, state = steal.share(), state, run.watch.look()
                others = [s.others for s in (before, state) if s.others is not None]
                seconds = one.warm[-1].import_seconds + one.warm[-1].first_seconds
                one.seat.rounds.append(
                    Round(
                        position=position,
                        seconds=[seconds],
                        counted=seconds,
                        speed=min(before.speed, state.speed),
                        steal=share,
                        others=max(others, default=None),
                        disturbed=disturbs(before, state, share),
                    )
                )
            rounds += 1


def _add_costs(contender: Contender, one: Starts) -> None:
    """Fill the columns that tell what a start costs."""
    if one.seat.refused or one.cold is None:
        return
    contender["import_seconds"] = statistics.median(s.import_seconds for s in one.warm)
    contender["compile_seconds"] = one.cold.first_seconds
    contender["cached_seconds"] = statistics.median(s.first_seconds for s in one.warm)
    whole = statistics.median(s.process_seconds for s in one.warm)
    contender["facts"] = {"whole process, s": whole}


def _spend(parts: dict[str, float], name: str, seconds: float) -> None:
    parts[name] = parts.get(name, 0.0) + seconds


def starters(peers: bool) -> dict[str, Starter]:
    """Return what is started, by name."""
    found = {name: STARTERS[name] for name in SHOWN}
    for name, peer in PEERS.items():
        if peers and name not in LEFT_OUT:
            found[name] = Starter(LIBRARIES[peer.package], peer.dtype, peer.package, name)
    return found


def plans(setting: Setting) -> list[Plan]:
    """Return the question; with a revision, one for each of ours."""
    topic = Topic(
        "start-up",
        "import and first iteration, compiled before",
        "start",
        {"threads": setting.threads},
    )
    found = starters(setting.peers)
    if setting.place is None:
        alone = {name: (starter, None) for name, starter in found.items()}
        return [Processes(topic, alone, setting.threads, TRIVIAL)]
    compared: list[Plan] = []
    for name, starter in found.items():
        if starter.library == OURS:
            earlier = f"{name} of {setting.place.revision}"
            pair = {earlier: (starter, setting.place), name: (starter, None)}
            renamed = topic._replace(name=f"{topic.name}, {name}")
            compared.append(Processes(renamed, pair, setting.threads, earlier))
    return compared
