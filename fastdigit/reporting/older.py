"""Results written before schema 2, brought into its form as far as they go."""

from collections.abc import Sequence
from typing import Any

from fastdigit.reporting.entry import Entry

SCHEMA = 2
"""The form that this package reads; `fastdigit.measure.result` says what is in it."""


def current(document: Entry) -> Entry:
    """Return a document in today's form: itself, if it has that already."""
    if document["questions"].value is not None:
        return document
    contenders = list(document["contenders"])
    if contenders:
        questions = [_compared(document, contenders)]
    elif document["runs"].names:
        questions = [_processes(document)]
    else:
        questions = []
    machine = document["machine"].value
    return Entry(
        {
            "schema": document["schema"].value,
            "kind": document["kind"].value,
            "machine": machine,
            "load_average_after": document["load_average_after"].value,
            "settings": document["settings"].value,
            "data": document["data"].value,
            "questions": questions,
        }
    )


def _compared(document: Entry, contenders: Sequence[Entry]) -> dict[str, Any]:
    settings, data = document["settings"], document["data"]
    predicting = document["kind"].text.startswith("prediction")
    sizes = [size.number for size in settings["sizes"]]
    network = "-".join(f"{size:g}" for size in sizes if size is not None)
    images = (settings["images"] if predicting else data["training"]).number
    counted = f", {images:,} images" if images is not None else ""
    records = [_contender(record, settings) for record in contenders]
    refused = document["left_out"]
    records += [_refused(name, refused[name].text) for name in refused.names]
    return {
        "suite": "predict" if predicting else "iteration",
        "name": f"{network}{counted}" + ("" if predicting else ", full batch"),
        "repetition": f"{images:,} images" if predicting and images else "iteration",
        "base": "fastdigit" if predicting else "notebook",
        "noise_floor": None,
        "busy": None,
        "parameters": {},
        "contenders": records,
    }


def _contender(record: Entry, settings: Entry) -> dict[str, Any]:
    """Return a contender; quartiles of ratios are no interval of their median, and stay facts."""
    facts = {
        "half of the ratios": record["ratio_quartiles"].value,
        "training accuracy": record["accuracy_training"].value,
        "held-out accuracy": record["accuracy_held_out"].value,
        "labels equal": record["labels_equal"].value,
        "images at a time": record["chunk_size"].value,
        "compiling, or loading what was compiled, s": record["compile_seconds"].positive,
    }
    return {
        "name": record["name"].value,
        "library": record["backend"].value,
        "dtype": record["dtype"].value,
        "threads": settings["threads"].value,
        "check": _check(record),
        "prepare_seconds": record["prepare_seconds"].value,
        "rounds": _rounds(record),
        "median_seconds": _seconds(record["milliseconds_median"]),
        "quartiles_seconds": [_seconds(value) for value in record["milliseconds_quartiles"]],
        "ratio": {"median": record["ratio"].value},
        "facts": {name: value for name, value in facts.items() if value is not None},
    }


def _check(record: Entry) -> dict[str, Any] | None:
    if record["weight_difference"].number is not None:
        return {"what": "weights", "difference": record["weight_difference"].value}
    right = record["labels_equal"].number
    if right is not None:
        return {"what": "labels: the share that differs", "difference": 1 - right}
    return None


def _rounds(record: Entry) -> list[dict[str, Any]]:
    """Return the seconds of each round, which `compare.json` keeps in one list for all."""
    rounds, every = list(record["rounds"]), [entry.number for entry in record["seconds"]]
    found, begin = [], 0
    for turn in rounds:
        count = int(turn["iterations"].positive or 0)
        seconds = turn["seconds"].value or every[begin : begin + count]
        begin += count
        found.append({"position": turn["position"].value, "seconds": seconds})
    return found


def _seconds(milliseconds: Entry) -> float | None:
    value = milliseconds.positive
    return None if value is None else value / 1e3


def _refused(name: str, why: str) -> dict[str, Any]:
    return {"name": name, "refused": why}


def _processes(document: Entry) -> dict[str, Any]:
    """Return whole processes as a question, the first of them as its base."""
    findings, runs = document["findings"], document["runs"]
    base = runs.names[0]
    contenders = []
    for name in runs.names:
        quartiles = findings["seconds_quartiles"][name]
        first = runs[name][0]
        contenders.append(
            {
                "name": name,
                "library": "fastdigit" if name.startswith("fastdigit") else "numpy",
                "threads": document["settings"]["threads"].value,
                "rounds": [{"seconds": [run["seconds"].value]} for run in runs[name]],
                "median_seconds": quartiles[1].value,
                "quartiles_seconds": [quartiles[0].value, quartiles[2].value],
                "ratio": {"median": 1.0 if name == base else findings["ratio_of_medians"].value},
                "facts": {
                    "training accuracy": _share(first["training"]),
                    "held-out accuracy": _share(first["held_out"]),
                },
            }
        )
    rows = document["data"]["rows"].number
    return {
        "suite": "training",
        "name": "from train.csv to a network" + (f", {rows:,} rows" if rows is not None else ""),
        "repetition": "process",
        "base": base,
        "parameters": {},
        "contenders": contenders,
    }


def _share(percent: Entry) -> float | None:
    return None if percent.number is None else percent.number / 100
