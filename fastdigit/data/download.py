"""Downloading MNIST, when the user asks for it: the only place where fastdigit uses a network.

Needs the extra ``download`` (the library pooch).
"""

import hashlib
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from platformdirs import user_data_path

from fastdigit.data.compressed import first_bytes, is_gzip, opened
from fastdigit.data.signature import describe
from fastdigit.errors import DataError

MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "http://yann.lecun.com/exdb/mnist/",
)
TIMEOUT_SECONDS = 30
CHUNK_BYTES = 1 << 16


class Content(NamedTuple):
    """What a file holds once unpacked.

    The packed bytes differ from mirror to mirror with whoever packed them; these do not.
    """

    size: int
    sha256: str


MNIST: Mapping[str, Content] = {
    "train-images-idx3-ubyte.gz": Content(
        47_040_016, "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"
    ),
    "train-labels-idx1-ubyte.gz": Content(
        60_008, "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"
    ),
    "t10k-images-idx3-ubyte.gz": Content(
        7_840_016, "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"
    ),
    "t10k-labels-idx1-ubyte.gz": Content(
        10_008, "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"
    ),
}


def download_mnist(
    directory: str | os.PathLike[str] | None = None,
    base_urls: Sequence[str] = MIRRORS,
    progress: bool = True,
    registry: Mapping[str, Content] = MNIST,
) -> Path:
    """Fetch MNIST's four files, unless they are there already, and check their content.

    Parameters
    ----------
    directory
        Where to put them; by default ``mnist`` in the user's data directory for fastdigit.
    base_urls
        Where to get them from: each is tried until one gives the right file.
    progress
        Whether to show bars, if the error stream is a terminal.
    registry
        The names of the files, and what each must hold once unpacked.

    Returns
    -------
    Path
        The directory, as `fastdigit.load_data` takes it. A file is in it under its name only
        once it was found to be right.

    Raises
    ------
    DataError
        If pooch is not installed, if no mirror gives the right file (says why for each, and where
        to put the file by hand), or if another file of that name is in the way.
    """
    pooch = _pooch()
    folder = default_folder() if directory is None else Path(directory).expanduser()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{folder}: cannot be made: {error.strerror}") from error
    bar = progress and sys.stderr is not None and sys.stderr.isatty()
    downloader = pooch.HTTPDownloader(
        progressbar=bar, timeout=TIMEOUT_SECONDS, chunk_size=CHUNK_BYTES
    )
    for name, content in registry.items():
        target = folder / name
        if not target.exists():
            _fetch(target, content, base_urls, downloader)
            continue
        fault = find_fault(target, content)
        if fault:
            raise DataError(
                f"{target}: is there already, but {fault}; move it away, or choose another "
                "directory, and download again"
            )
    return folder


def default_folder() -> Path:
    """Return where `download_mnist` puts the files when it is not told."""
    return user_data_path("fastdigit") / "mnist"


def _pooch() -> Any:
    try:
        import pooch
    except ImportError as error:
        raise DataError(
            'downloading needs the library pooch: pip install "fastdigit[download]"'
        ) from error
    return pooch


def _fetch(target: Path, content: Content, base_urls: Sequence[str], downloader: Any) -> None:
    """Download one file from the first mirror that has it, under a temporary name until checked."""
    # The process in the name keeps two downloads at once from writing into one file.
    temporary = target.with_name(f"{target.name}.{os.getpid()}.part")
    failures = []
    try:
        for base_url in base_urls:
            url = f"{base_url.rstrip('/')}/{target.name}"
            try:
                downloader(url, str(temporary), None)
                fault = find_fault(temporary, content)
                if not fault:
                    temporary.replace(target)
                    return
            # The errors of requests are OSErrors, except for a few about the URL itself.
            except (OSError, ValueError) as error:
                fault = f"{type(error).__name__}: {error}"
            failures.append(f"  {url}: {fault}")
    finally:
        temporary.unlink(missing_ok=True)
    raise DataError(
        f"{target.name} could not be downloaded:\n"
        + "\n".join(failures)
        + f"\nGet it in another way, such as by a browser, and put it at {target}"
    )


def find_fault(path: Path, content: Content) -> str:
    """Say how a file differs from what it should hold; an empty string if it does not.

    At most one byte more than the expected size is unpacked.
    """
    try:
        if not is_gzip(path):
            return f"it is not gzip data but {describe(first_bytes(path))}"
        digest = hashlib.sha256()
        size = 0
        with opened(path) as file:
            while chunk := file.read(min(CHUNK_BYTES, content.size + 1 - size)):
                digest.update(chunk)
                size += len(chunk)
    except DataError as error:
        return str(error).removeprefix(f"{path}: ")
    if size != content.size:
        amount = "more" if size > content.size else str(size)
        return f"it unpacks to {amount} bytes, expected {content.size}"
    if digest.hexdigest() != content.sha256:
        return f"its content has SHA-256 {digest.hexdigest()}, expected {content.sha256}"
    return ""
