"""Picture files of single digits: read as they are, and refused where that is not clear."""

import math
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from fastdigit.cli.streams import note
from fastdigit.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from PIL.Image import Image

SIGNATURES: dict[str, tuple[bytes, ...]] = {
    "PNG": (b"\x89PNG",),
    "JPEG": (b"\xff\xd8\xff",),
    "GIF": (b"GIF8",),
    "BMP": (b"BM",),
    "TIFF": (b"II*\0", b"MM\0*"),
    "WEBP": (b"RIFF",),
    "PPM": (b"P2", b"P3", b"P5", b"P6"),
}
EIGHT_BITS = ("1", "L", "LA", "P", "PA", "RGB", "RGBA")
BRIGHT = 127.5
MOST_PIXELS = 50_000_000


def is_picture(path: Path) -> bool:
    """Return whether a file begins as a picture does."""
    try:
        with open(path, "rb") as file:
            start = file.read(8)
    except OSError:
        return False
    return any(start.startswith(signature) for signature in SIGNATURES.values())


def read_picture(path: Path, pixels: int, invert: bool) -> "npt.NDArray[np.uint8]":
    """Return a picture as one row of so many pixels, (1, pixels), bright where there is ink.

    A picture of another size is resized, which is said. Nothing else is changed.

    Raises
    ------
    DataError
        If it is damaged, transparent, has more than 8 bits, or the network reads no squares.
    """
    import numpy as np

    side = math.isqrt(pixels)
    if side * side != pixels:
        raise DataError(f"the network has {pixels} inputs, which is no square; give it a table")
    grey = _resized(_grey(path), side, path)
    row = np.asarray(grey, dtype=np.uint8).reshape(1, pixels)
    if invert:
        return 255 - row
    if row.mean() > BRIGHT:
        note(
            f"warning: {path} is mostly bright (mean {row.mean():.0f} of 255), but the network "
            "learned bright digits on a dark ground; if this is a dark digit, use --invert"
        )
    return row


def _grey(path: Path) -> "Image":
    from PIL import Image, ImageOps

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=list(SIGNATURES)) as picture:
                if picture.width * picture.height > MOST_PIXELS:
                    raise DataError(f"{path}: {picture.width} x {picture.height} pixels; too large")
                if picture.mode not in EIGHT_BITS:
                    raise DataError(
                        f"{path}: pixels of mode {picture.mode}; save it with 8 bits per channel"
                    )
                upright = ImageOps.exif_transpose(picture)
                colours = upright.convert("RGBA") if upright.has_transparency_data else upright
                grey = colours.convert("L")
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: {error}") from error
    # What Pillow raises for damaged files depends on the format.
    except (OSError, SyntaxError, ValueError, IndexError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path}: not a picture that can be read ({error})") from error
    if colours.mode == "RGBA" and colours.getchannel("A").getextrema()[0] != 255:
        raise DataError(f"{path}: has transparent pixels; put it on a ground of one colour first")
    return grey


def _resized(picture: "Image", side: int, path: Path) -> "Image":
    from PIL import Image

    if picture.size == (side, side):
        return picture
    note(f"{path} is {picture.width} x {picture.height} pixels, resized to {side} x {side}")
    return picture.resize((side, side), Image.Resampling.LANCZOS)
