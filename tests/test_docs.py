"""The README and the pages of docs/: code runs, names exist, links lead somewhere.

Code runs on a few built-in digits: `data`, `train`, `dev`, `fd`, `np` and a train.csv are given.
"""

import ast
import builtins
import importlib
import inspect
import json
import re
import shlex
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import fastdigit as fd
from fastdigit.cli import build_parser

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\[([^\]]*)\]\(([^)\s]+)\)")
USER_FILES = (".csv", ".npz", ".safetensors", ".json")
IMAGES = 1100
"""The README holds out 1,000 of them."""

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def blocks(page, language):
    return [code for kind, code in FENCED.findall(page.read_text("utf-8")) if kind == language]


def prose(page):
    """Return the page without what is fenced."""
    return FENCED.sub("", page.read_text("utf-8"))


def spans(page):
    return SPAN.findall(prose(page))


# --- code ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def digits():
    return fd.make_digits(IMAGES, seed=0)


@pytest.fixture(scope="module")
def csv(digits, tmp_path_factory):
    path = tmp_path_factory.mktemp("digits") / "train.csv"
    header = ",".join(["label", *(f"pixel{j}" for j in range(784))])
    rows = [",".join(map(str, row)) for row in np.c_[digits.labels, digits.images].tolist()]
    path.write_text("\n".join([header, *rows, ""]))
    return path


@pytest.mark.parametrize(
    "page", [p for p in PAGES if blocks(p, "python")], ids=lambda page: page.name
)
def test_the_code_of_a_page_runs(page, digits, csv, tmp_path, monkeypatch):
    import matplotlib.pyplot as plt

    plt.switch_backend("agg")
    (tmp_path / "train.csv").symlink_to(csv)
    monkeypatch.chdir(tmp_path)
    train, dev = digits.split(dev=1000, seed=0)
    given = {"fd": fd, "np": np, "data": digits, "train": train, "dev": dev}
    given |= {"X_train": train.images.T / 255, "Y_train": train.labels}
    for number, code in enumerate(blocks(page, "python"), start=1):
        exec(compile(code, f"{page.name}, block {number}", "exec"), given)
    plt.close("all")


@each_page
def test_commands_have_these_options(page):
    lines = [line.partition("#")[0] for code in blocks(page, "sh") for line in code.splitlines()]
    parts = [part.strip() for line in lines for part in line.split("&&")]
    for part in parts:
        if part.startswith("fastdigit ") and "COMMAND" not in part:
            options = build_parser().parse_args(shlex.split(part)[1:])
            assert callable(options.run)


# --- names ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def known():
    """Return every name and string of the package, and the names of Python and NumPy."""
    found = {*dir(builtins), *dir(np), *dir(np.random), "np", "fd", "fastdigit", "train", "dev"}
    for path in (ROOT / "fastdigit").rglob("*.py"):
        found.add(path.stem)
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            found |= {
                text
                for field in ("id", "attr", "name", "arg", "module")
                if isinstance(text := getattr(node, field, None), str)
            }
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(node.value)
    return found


@cache
def options_of_commands():
    """Return the options of each command."""
    (commands,) = (a.choices for a in build_parser()._actions if isinstance(a.choices, dict))
    return {
        name: {option for action in command._actions for option in action.option_strings}
        for name, command in commands.items()
    }


def unknown(span, known):
    """Return what a span in backticks mentions that is not there; [] if there is nothing."""
    words = span.split()
    table = options_of_commands()
    if words[0] in ("python", "pytest"):
        files = [word for word in words if word.endswith(".py")]
        return [file for file in files if not (ROOT / file).is_file()]
    if words[0] == "fastdigit" and len(words) > 1 and "COMMAND" not in words:
        if words[1] not in table:
            return words[1:2]
        return [w for w in words[2:] if w.startswith("-") and w not in table[words[1]]]
    if span.startswith("--"):
        return [w for w in words[:1] if not any(w in options for options in table.values())]
    if span.endswith(".py"):
        there = (ROOT / span).is_file() or any((ROOT / "fastdigit").rglob(span))
        return [] if there else [span]
    if span.endswith(USER_FILES) or "COMMAND" in span:
        return []
    if re.fullmatch(r"fastdigit(\.\w+)+", span):
        return [] if resolves(span) else [span]
    return [name for name in names(span) if name not in known]


def resolves(dotted):
    module, _, name = dotted.rpartition(".")
    try:
        return hasattr(importlib.import_module(module), name) or bool(
            importlib.import_module(dotted)
        )
    except ImportError:
        return False


def names(code):
    """Return the names and strings in a piece of Python, or of the arguments of a call."""
    for text in (code, f"f({code})", f"f({code}None)"):
        try:
            tree = ast.parse(text)
            break
        except SyntaxError:
            continue
    else:
        return [code]
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            found.append(node.id)
        elif isinstance(node, ast.Attribute):
            found.append(node.attr)
        elif isinstance(node, ast.keyword):
            found.append(node.arg)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.append(node.value)
    return found if text == code else [name for name in found if name != "f"]


@each_page
def test_what_is_in_backticks_exists(page, known):
    assert {span: missing for span in spans(page) if (missing := unknown(span, known))} == {}


@pytest.mark.parametrize(
    "span",
    [
        "learning_speed",
        'optimizer="adagrad"',
        "fd.fitt",
        "fastdigit.kernels.sparser",
        "fastdigit trian",
        "fastdigit train --momentums",
        "--momentums",
        "python bench/nothing.py",
        "nothing.py",
        "patiences=",
        "a b",
    ],
)
def test_what_does_not_exist_is_found(span, known):
    assert unknown(span, known)


def test_every_argument_of_fit_is_explained():
    text = (ROOT / "docs" / "training.md").read_text("utf-8")
    arguments = set(inspect.signature(fd.fit).parameters) - {"network", "data"}
    assert {name for name in arguments if name not in text} == set()


# --- links ---------------------------------------------------------------------------------------


def anchors(page):
    """Return the names that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@each_page
def test_links_lead_somewhere(page):
    for text, target in LINK.findall(prose(page)):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        place = (page.parent / path).resolve() if path else page
        assert place.exists(), target
        assert place.is_relative_to(ROOT), target
        assert not anchor or anchor in anchors(place), target
        if place.suffix == ".py":
            tree = ast.parse(place.read_text("utf-8"))
            defined = {getattr(node, "name", None) for node in tree.body}
            assigned = [target for node in tree.body for target in getattr(node, "targets", ())]
            defined |= {getattr(target, "id", None) for target in assigned}
            for name in SPAN.findall(text):
                assert name in defined or name == place.name or resolves(name), target


def test_every_page_is_in_the_index():
    index = (ROOT / "docs" / "README.md").read_text("utf-8")
    pages = {page.name for page in PAGES if page.parent.name == "docs"} - {"README.md"}
    assert pages == {target for _, target in LINK.findall(index)}


def test_every_picture_is_shown():
    shown = {target for page in PAGES for _, target in LINK.findall(page.read_text("utf-8"))}
    assert {path.name for path in (ROOT / "docs").glob("*.png")} <= shown


# --- what scripts write --------------------------------------------------------------------------


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "bench")
    return importlib.import_module


def test_recipes_are_those_of_the_package(bench):
    page = (ROOT / "docs" / "recipes.md").read_text("utf-8")
    for name, content in bench("recipe_page").parts().items():
        assert bench("markers").rewritten(page, name, content) == page, "run bench/recipe_page.py"


def test_ingredients_are_those_measured(bench):
    page = (ROOT / "docs" / "mathematics.md").read_text("utf-8")
    found = json.loads((ROOT / "docs" / "ingredients.json").read_text())
    for name, content in bench("ingredients").tables(found).items():
        new = bench("markers").rewritten(page, name, content)
        assert new == page, "run bench/ingredients.py --tables"


def test_ingredients_measure_what_fit_does(bench, digits):
    ingredients = bench("ingredients")
    train, held_out = ingredients.parts(digits)
    settings = ingredients.NOTEBOOK | {"iterations": 20, "activation": "tanh"}
    net = fd.Network([784, 10, 10], seed=1, init="uniform", activation="tanh")
    fd.fit(net, train, iterations=20, learning_rate=0.1, seed=1, progress=False)
    expected = net.accuracy(held_out.images, held_out.labels)
    assert (len(train), len(held_out)) == (916, 184)
    assert ingredients.accuracy(settings, train, held_out, 1, threads=1) == expected


def test_markers(bench):
    rewritten = bench("markers").rewritten
    page = "a\n<!-- x -->\nold\n<!-- end -->\nb\n<!-- y -->\nstays\n<!-- end -->\n"
    assert rewritten(page, "x", "new") == page.replace("old", "new")
    for wrong in ("a\n", page.replace("y -->", "x -->"), "<!-- x -->\nno end\n"):
        with pytest.raises(ValueError, match="must have one line <!-- x -->"):
            rewritten(wrong, "x", "new")


def test_pictures_show_what_was_trained(bench, digits, monkeypatch):
    pictures = bench("mathematics_pictures")
    monkeypatch.setattr(pictures, "UPDATES", (1, 9))
    monkeypatch.setattr(pictures, "ITERATIONS", 3)
    monkeypatch.setattr(pictures, "EPOCHS", 4)
    parts = bench("ingredients").parts(digits)
    all_images, batches = pictures.batches(*parts, threads=1).axes[1].lines
    assert list(all_images.get_xdata()) == [1, 2, 3]
    assert list(batches.get_xdata()) == [1 / 8, 9 / 8]
    net = fd.Network([784, 10, 10], seed=0)
    fd.fit(net, parts[0], iterations=3, learning_rate=0.1, progress=False)
    expected = 100 * net.accuracy(parts[1].images, parts[1].labels)
    assert all_images.get_ydata()[-1] == pytest.approx(expected)
    rates, scores = pictures.schedules(*parts, threads=1).axes
    assert [len(line.get_xdata()) for line in rates.lines] == [32] * 4
    assert [len(line.get_xdata()) for line in scores.lines] == [4] * 4
