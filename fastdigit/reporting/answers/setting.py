"""The section "On what?"."""

from fastdigit.reporting import formats
from fastdigit.reporting.charts import Point, Row, dots
from fastdigit.reporting.entry import Entry
from fastdigit.reporting.formats import NOTHING, Text, plain
from fastdigit.reporting.parts import Block, Missing, Section, Table

QUESTION = "On what?"
FINGERPRINT = 16
"""Characters that are shown of it."""
ACCOUNTED = 0.97
"""Share of the wall time that the parts should add up to."""


def answer(result: Entry) -> Section:
    """Return the section."""
    blocks: list[Block] = []
    parts = [result["parts"][name] for name in result["parts"].names]
    if any(part.positive for part in parts) and result["wall_seconds"].positive:
        blocks += _time(result, [part for part in parts if part.positive])
    facts = [(name, fact) for name, fact in _facts(result) if plain(fact) not in ("", NOTHING)]
    if facts:
        blocks.append(Table("What was run, on what", ("fact", "value"), facts, numbers=False))
    else:
        blocks.append(
            Missing(
                "This file does not say what it was measured on. To record it:", "fastdigit bench"
            )
        )
    return Section("setting", QUESTION, _sentence(result), blocks)


def processor(result: Entry) -> str:
    """Return the name of the processor in a few words."""
    model = result["machine"]["cpu"]["model"].text
    for noise in ("(R)", "(TM)", "(tm)", "Processor", "CPU"):
        model = model.replace(noise, "")
    return " ".join(model.split())


def day(result: Entry) -> str:
    """Return the day on which it was measured."""
    return result["machine"]["date"].text[:10]


def _sentence(result: Entry) -> Text:
    cpu, versions = result["machine"]["cpu"], result["machine"]["versions"]
    model = processor(result)
    if not model:
        return "This file does not say."
    words: list[formats.Piece] = [f"{model}, "]
    if cpu["cores_allowed"].number is not None:
        words += [formats.figure(cpu["cores_allowed"]), " cores allowed, "]
    words.append(
        {"True": "in a virtual machine", "False": "not in a virtual machine"}.get(
            str(cpu["hypervisor"].value), "in a virtual machine or not"
        )
    )
    named = [
        f"{title} {versions[name].text}"
        for name, title in (("python", "Python"), ("numpy", "NumPy"), ("numba", "Numba"))
        if versions[name].text
    ]
    words.append(f"; {', '.join(named)}" if named else "")
    words.append(f"; measured on {day(result)}" if day(result) else "")
    return (*words, ".")


def _time(result: Entry, parts: list[Entry]) -> list[Block]:
    wall = result["wall_seconds"]
    whole = wall.positive or 1.0
    rows = [
        Row(
            part.path.removeprefix("parts."),
            f"{plain(formats.seconds(part))}, {formats.percent((part.positive or 0.0) / whole)}",
            "",
            [Point(part.positive or 0.0, "ours")],
            ours=True,
        )
        for part in sorted(parts, key=lambda part: -(part.positive or 0.0))
    ]
    rest = 1 - sum(part.positive or 0.0 for part in parts) / whole
    described = "; ".join(f"{row.name}: {row.note}" for row in rows)
    chart = dots(
        "Where the time of the run went",
        f"A dot for each part. {described}.",
        rows,
        "seconds of the run",
    )
    table = Table(
        "Where the time of the run went",
        ("part", "time", "share of the run"),
        [
            *(
                [row.name, formats.seconds(part), formats.quotient_percent(part, wall)]
                for row, part in zip(
                    rows, sorted(parts, key=lambda p: -(p.positive or 0)), strict=True
                )
            ),
            ["the whole run", formats.seconds(wall), ""],
            ["in no part", "", formats.percent(max(rest, 0.0))],
        ],
    )
    return [chart, table]


def _facts(result: Entry) -> list[tuple[str, Text]]:
    machine, data, settings = result["machine"], result["data"], result["settings"]
    cpu, memory = machine["cpu"], machine["memory"]
    versions = machine["versions"]
    named = {"command"}
    return [
        ("command", settings["command"].text),
        *(
            (name.replace("_", " "), formats.anything(settings[name]))
            for name in [key for key in settings.names if key not in named][: formats.MANY]
        ),
        *(
            (f"data: {name.replace('_', ' ')}", _datum(data[name]))
            for name in data.names[: formats.MANY]
        ),
        ("processor", cpu["model"].text),
        (
            "cores allowed",
            (formats.figure(cpu["cores_allowed"]), " of ", formats.figure(cpu["cores"])),
        ),
        ("quota of processors", formats.anything(cpu["quota"])),
        ("threads of a core", formats.anything(cpu["hyperthreads"])),
        ("affinity", formats.anything(cpu["affinity"])),
        ("caches", ", ".join(f"{k} {cpu['caches'][k].text}" for k in cpu["caches"].names)),
        ("vector instructions", formats.anything(cpu["vectors"])),
        ("stolen since the machine started", formats.share(machine["steal_since_start"])),
        ("governor", cpu["governor"].text),
        ("virtual machine", formats.anything(cpu["hypervisor"])),
        ("memory", formats.figure(memory["total_gb"], " GB")),
        ("system", machine["system"].text),
        ("BLAS", " ".join(machine["blas"][k].text for k in machine["blas"].names)),
        ("BLAS library", formats.anything(machine["blas_library"])),
        ("BLAS threads", formats.figure(machine["blas_threads"])),
        ("compiled code", formats.anything(machine["compiled"])),
        ("threading layer", machine["threading_layer"].text),
        (
            "versions",
            ", ".join(f"{k} {versions[k].text}" for k in versions.names if versions[k].text),
        ),
        ("revision", machine["git_revision"].text),
        ("date", machine["date"].text),
    ]


def _datum(entry: Entry) -> Text:
    if entry.path.endswith("fingerprint"):
        return entry.text[:FINGERPRINT]
    if entry.path.split(".")[-1].startswith("share"):
        return formats.share(entry)
    return formats.anything(entry)
