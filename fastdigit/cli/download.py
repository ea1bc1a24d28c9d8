"""``fastdigit download``: fetch a data set, when asked to."""

import argparse

from fastdigit.cli.streams import say


def add_to(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the parser."""
    parser = subparsers.add_parser(
        "download",
        help="fetch MNIST",
        description="Fetch MNIST's four files and check their content; the only command that "
        "uses a network.",
    )
    parser.add_argument("name", metavar="mnist", choices=("mnist",))
    parser.add_argument(
        "directory",
        metavar="DIRECTORY",
        nargs="?",
        help="where to put them (default: in your data directory)",
    )
    parser.add_argument("--quiet", action="store_true", help="show no progress")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Download, and say how to use it."""
    import shlex

    from fastdigit.data.download import download_mnist

    folder = download_mnist(options.directory, progress=not options.quiet)
    place = shlex.quote(str(folder))
    say(f"MNIST is in {folder}")
    say(f"use it by: fastdigit train {place}")
    if options.directory is None:
        say("it is also what all commands use that are given no data")
    else:
        say(f"or for everything: export FASTDIGIT_DATA={place}")
