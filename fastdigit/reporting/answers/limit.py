"""The section "How close to the limit?"."""

from fastdigit.reporting import formats
from fastdigit.reporting.charts import Reached, Roof, roofline
from fastdigit.reporting.entry import Entry
from fastdigit.reporting.formats import NOTHING, Text, percent, significant
from fastdigit.reporting.parts import Block, Chart, Missing, Note, Section, Table

QUESTION = "How close to the limit?"
BEYOND = (
    " Beyond the limit is what does not multiply floats: pixels are bytes, and a processor's unit "
    "for products of matrices of bytes does many of these at once."
)
READING = (
    "Sparse, the limit is a cycle to load, and a cycle to load and store, a row of 64 bytes for "
    "each pixel that is not 0. Dense, it is all multiply-adds with no lane left empty, or reading "
    "all images, whichever is longer. Times here are of the fastest iteration. Bytes are those "
    "between the first cache and registers (sparse), or those of the images (dense)."
)


def iterations_of(result: Entry) -> list[Entry]:
    """Return the iterations whose limits are known."""
    return [i for i in result["roofline"]["iterations"] if _complete(i)]


def fastest(iterations: list[Entry]) -> Entry:
    """Return the fastest of those with most threads."""
    return max(iterations, key=lambda i: (_positive(i["threads"]), -_positive(i["seconds"])))


def reached(result: Entry) -> Text:
    """Return which share of the limit the fastest iteration reaches."""
    found = iterations_of(result)
    return formats.share(fastest(found)["share"]) if found else NOTHING


def answer(result: Entry) -> Section:
    """Return the section."""
    found = iterations_of(result)
    rates = [r for r in result["roofline"]["rates"] if r["threads"].positive]
    if not found:
        missing = Missing(
            "This file holds no roofline. To measure one:",
            "fastdigit bench --suite iteration, or fastdigit info --roofline",
        )
        extra: list[Block] = [_rates(rates)] if rates else []
        return Section("limit", QUESTION, "This file cannot tell.", [missing, *extra])
    best = fastest(found)
    nearest = max(found, key=lambda i: i["share"].number or 0.0)
    sentence: Text = (
        f"On {_threads(best)}, the fastest iteration ({_name(best)}) reaches ",
        formats.share(best["share"]),
        " of the limit: it takes ",
        formats.seconds(best["seconds"]),
        ", and the limit of multiply-adds of floats is ",
        formats.seconds(best["limit_seconds"]),
        f"; the most is that of {_name(nearest)} on {_threads(nearest)}, ",
        formats.share(nearest["share"]),
        f".{BEYOND if (nearest['share'].number or 0.0) > 1 else ''}",
    )
    counts = sorted({i["threads"].number or 0 for i in found})
    blocks: list[Block] = [
        _chart(rate, [i for i in found if i["threads"].number == count])
        for count in {counts[0]: 0, counts[-1]: 0}
        for rate in rates
        if rate["threads"].number == count
    ]
    blocks += [_table(found), Note(READING)]
    blocks += [_rates(rates)] if rates else []
    return Section("limit", QUESTION, sentence, blocks)


def _complete(iteration: Entry) -> bool:
    keys = ("threads", "seconds", "limit_seconds", "share", "flops", "limit_flops", "intensity")
    return all(iteration[key].positive for key in keys)


def _name(iteration: Entry) -> str:
    return f"{iteration['storage'].text}, {iteration['dtype'].text}"


def _threads(entry: Entry) -> str:
    return formats.several(int(_positive(entry["threads"])), "thread")


def _positive(entry: Entry) -> float:
    return entry.positive or 1.0


def _chart(rates: Entry, iterations: list[Entry]) -> Chart:
    roofs = []
    for name in rates["multiply_adds"].names:
        rate = rates["multiply_adds"][name].positive
        if rate:
            peak = 2 * rate / 1e9
            roofs.append(Roof(f"multiply-adds {name}, {significant(peak)} GFLOP/s", peak, False))
    for level in rates["bandwidth"].names:
        rate = rates["bandwidth"][level].positive
        if rate:
            roofs.append(Roof(f"{level}, {significant(rate / 1e9)} GB/s", rate / 1e9, True))
    points = [
        Reached(
            _name(i),
            _positive(i["intensity"]),
            _positive(i["flops"]) / 1e9,
            _positive(i["limit_flops"]) / 1e9,
            percent(_positive(i["share"])),
        )
        for i in iterations
    ]
    described = "; ".join(f"{point.name}: {point.label} of its limit" for point in points)
    return roofline(
        f"Roofline, {_threads(rates)}",
        "Lines are what the machine does at most, dots are iterations, and the short bar above "
        f"each dot is its limit. {described}.",
        roofs,
        points,
    )


def _table(iterations: list[Entry]) -> Table:
    unit = formats.unit_for(i["limit_seconds"].positive for i in iterations)
    headings = (
        "iteration",
        "type",
        "threads",
        unit.name,
        f"limit {unit.name}",
        "of the limit",
        "GFLOP/s",
    )
    rows = [
        [
            i["storage"].text or NOTHING,
            i["dtype"].text or NOTHING,
            formats.figure(i["threads"]),
            formats.seconds(i["seconds"], unit, named=False),
            formats.seconds(i["limit_seconds"], unit, named=False),
            formats.share(i["share"]),
            formats.giga(i["flops"]),
        ]
        for i in iterations
    ]
    return Table("Iterations and their limits", headings, rows)


def _rates(rates: list[Entry]) -> Table:
    rows: list[list[Text]] = [["clock, GHz", *(formats.giga(r["clock"]) for r in rates)]]
    for name in dict.fromkeys(name for r in rates for name in r["multiply_adds"].names):
        cells = (formats.giga(r["multiply_adds"][name]) for r in rates)
        rows.append([f"multiply-adds {name}, thousand millions a second", *cells])
    for level in dict.fromkeys(level for r in rates for level in r["bandwidth"].names):
        rows.append(
            [f"reading {level}, GB/s", *(formats.giga(r["bandwidth"][level]) for r in rates)]
        )
    headings = [_threads(rate) for rate in rates]
    return Table("What this machine can do", ("rate", *headings), rows)
