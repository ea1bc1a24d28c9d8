"""The first bytes of a file, and what they say it is."""

# In this order: the first entry that fits wins.
SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"\x1f\x8b", "gzip data"),
    (b"PK", "a zip archive (such as .npz)"),
    (b"\x93NUMPY", "a NumPy .npy array"),
    (b"\x00\x00\x08\x03", "IDX images"),
    (b"\x00\x00\x08\x01", "IDX labels"),
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"GIF8", "a GIF picture"),
    (b"%PDF", "a PDF document"),
    (b"\x89HDF", "an HDF5 file"),
    (b"PAR1", "a Parquet file"),
    (b"BZh", "bzip2 data"),
    (b"\xfd7zXZ", "xz data"),
    (b"7z\xbc\xaf", "a 7-Zip archive"),
    (b"\x28\xb5\x2f\xfd", "zstd data"),
    (b"SQLite", "an SQLite database"),
    (b"\x80\x02", "a Python pickle, which fastdigit never opens"),
    (b"\x80\x03", "a Python pickle, which fastdigit never opens"),
    (b"\x80\x04", "a Python pickle, which fastdigit never opens"),
    (b"\x80\x05", "a Python pickle, which fastdigit never opens"),
    (b"\xff\xfe", "UTF-16 text"),
    (b"\xfe\xff", "UTF-16 text"),
    (b"version https://git-lfs", "a Git LFS pointer instead of the file itself"),
)
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def describe(first_bytes: bytes) -> str:
    """Say what a file is, judging by its first bytes (64 are plenty).

    Examples
    --------
    >>> describe(b"<!DOCTYPE html>")
    'an HTML page'
    """
    if not first_bytes:
        return "an empty file"
    for start, name in SIGNATURES:
        if first_bytes.startswith(start):
            return name
    text = first_bytes.removeprefix(BYTE_ORDER_MARK)
    if text.lstrip()[:5].lower() in (b"<!doc", b"<html", b"<head", b"<body"):
        return "an HTML page"
    if text.lstrip().startswith(b"<"):
        return "XML or HTML text"
    # Only the very start is judged: what comes later is for the reader of the format, who can
    # name the line.
    if all(byte >= 32 or byte in b"\t\r\n" for byte in text[:4]):
        return f"text that begins with {text[:16].decode('utf-8', 'replace')!r}"
    return f"unknown data that begins with the bytes {first_bytes[:8].hex(' ')}"


def is_foreign(first_bytes: bytes) -> bool:
    """Return whether a file is certainly neither CSV, nor IDX, nor npz, nor gzip of one."""
    known = (b"\x1f\x8b", b"PK", b"\x00\x00\x08")
    return not first_bytes.startswith(known) and not describe(first_bytes).startswith("text")
