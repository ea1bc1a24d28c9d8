"""``fastdigit info``: what is installed here, and what fastdigit would run on."""

import argparse
import os
from pathlib import Path

from fastdigit.cli import roofline
from fastdigit.cli.streams import say


def add_to(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the parser."""
    parser = subparsers.add_parser(
        "info", help="show versions, processor, threads, compiled code and data"
    )
    parser.add_argument(
        "--warm-up",
        action="store_true",
        help="compile everything first, so that nothing has to be compiled later",
    )
    roofline.add_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Print facts, one a line."""
    roofline.check(options)
    if options.warm_up:
        from fastdigit.cli.warm_up import warm_up

        warm_up()
    from fastdigit.measure.machine import machine
    from fastdigit.reporting.tables import pairs
    from fastdigit.threads import available_threads, launch

    launch()  # so that their layer is known
    facts = machine()
    cpu, memory, versions = facts["cpu"], facts["memory"], facts["versions"]
    load = facts["load_average"]
    blas_threads = facts["blas_threads"]
    say(
        pairs(
            [
                ("fastdigit", f"{versions.pop('fastdigit')}, {facts['git_revision'] or 'no git'}"),
                *((name, version or "not installed") for name, version in versions.items()),
                ("BLAS", " ".join(facts["blas"].values())),
                ("BLAS threads", str(blas_threads or "unknown (threadpoolctl not installed)")),
                ("system", facts["system"]),
                ("processor", cpu["model"]),
                ("vectors", " ".join(cpu["vectors"]) or "unknown"),
                ("matrix unit", matrix_unit_used()),
                ("caches", ", ".join(f"{name} {size}" for name, size in cpu["caches"].items())),
                ("cores", f"{cpu['cores_allowed']} allowed of {cpu['cores']}"),
                ("threads", f"{available_threads()}{threads_reason(cpu['cores_allowed'])}"),
                ("thread layer", facts["threading_layer"] or "unknown"),
                ("load average", ", ".join(map(str, load)) if load else "unknown"),
                ("memory", f"{memory['available_gb']} of {memory['total_gb']} GB available"),
                ("compiled code", compiled_code()),
                ("data", data_found()),
            ]
        )
    )
    if options.roofline:
        roofline.run(options)


def matrix_unit_used() -> str:
    """Return whether kernels use the processor's unit for products of matrices."""
    from fastdigit.jit import matrix_unit

    if matrix_unit():
        return "AMX"
    return "switched off" if os.environ.get("FASTDIGIT_MATRIX_UNIT") == "0" else "none to be used"


def threads_reason(cores: int) -> str:
    """Return what the number of threads comes from, unless it is that of the cores."""
    from fastdigit.processors import quota

    given, limit = os.environ.get("NUMBA_NUM_THREADS"), quota()
    if given:
        return f" (NUMBA_NUM_THREADS={given})"
    return f" (a quota of {limit:g} processors)" if limit and limit < cores else ""


def compiled_code() -> str:
    """Return where compiled kernels are kept, and how much there is."""
    from fastdigit.jit import cache_directory

    directory = cache_directory()
    if directory is None:
        return "not kept: no directory can be written"
    files = [path for path in directory.rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files)
    return f"{directory} ({len(files)} files, {size / 1e6:.1f} MB)"


def data_found() -> str:
    """Return what FASTDIGIT_DATA leads to."""
    from fastdigit.data import load_data
    from fastdigit.data.default import ENVIRONMENT_VARIABLE
    from fastdigit.errors import DataError

    place = os.environ.get(ENVIRONMENT_VARIABLE)
    if not place:
        return f"{ENVIRONMENT_VARIABLE} is not set: built-in digits"
    try:
        data = load_data(Path(place))
    except DataError as error:
        return f"{ENVIRONMENT_VARIABLE}={place} cannot be used: {error}"
    return f"{ENVIRONMENT_VARIABLE}={place}: {len(data):,} images from {data.source}"
