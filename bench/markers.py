"""Parts of a Markdown page that a script writes: all between its marker and the next end."""

from fastdigit.storage import write_whole

END = "<!-- end -->"


def rewritten(text, name, content):
    """Return a page with what stands between ``<!-- name -->`` and ``<!-- end -->`` replaced.

    Raises
    ------
    ValueError
        If the page has no such part, or more than one.
    """
    begin = f"<!-- {name} -->\n"
    before, *after = text.split(begin)
    if len(after) != 1 or END not in after[0]:
        raise ValueError(f"the page must have one line {begin.strip()}, and {END} after it")
    return before + begin + content + "\n" + after[0][after[0].index(END) :]


def rewrite(path, parts):
    """Write the parts of a page anew, from their names and contents; say whether any changed."""
    old = text = path.read_text(encoding="utf-8")
    for name, content in parts.items():
        text = rewritten(text, name, content)
    write_whole(path, text.encode())
    print(f"written: {path}" if text != old else f"{path} was up to date")
