"""The page of a result: eight answers, every number as measured, whatever the document holds."""

import copy
import json
import math
import re
from decimal import Decimal
from html.parser import HTMLParser
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sampled_result import result

from fastdigit.measure import result as form
from fastdigit.reporting import charts, formats, scales
from fastdigit.reporting.entry import LONGEST, Entry
from fastdigit.reporting.page import page

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>&lt; {{ 7 * 7 }} \ud800"
FACTORS = (1, 1e2, 1e3, 1e6, 1e9, 1e-9)
"""Units that a number may be written in: itself, per cent, ms, us, ns, thousand millions."""
VOID = {"meta", "line", "circle", "br"}


class Page(HTMLParser):
    """What a browser would see."""

    def __init__(self, text):
        super().__init__()
        self.text = text
        self.tags, self.numbers, self.words, self.stack = [], [], [], []
        self.feed(text)
        self.close()
        assert self.stack == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.stack.append(tag)
        if tag == "data":
            self.numbers.append([dict(attributes), ""])

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.stack.pop() == tag

    def handle_data(self, text):
        self.words.append(text)
        if self.stack and self.stack[-1] == "data":
            self.numbers[-1][1] += text

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


def shown(document):
    return Page(page(Entry(document)))


@pytest.fixture(scope="module")
def document():
    return result()


@pytest.fixture(scope="module")
def whole(document):
    return shown(document)


def at(document, path):
    for key in path.split("."):
        document = document[int(key) if isinstance(document, list) else key]
    return document


def evaluated(document, source):
    """Return what a source says: a place, or places with strokes and brackets between them."""
    terms = re.split(r"( / \(?|\)$)", source)
    numbers = [repr(at(document, term)) if re.match(r"\w", term) else term for term in terms]
    return eval("".join(numbers), {})


def written(text):
    """Return the number in a text, and the weight of its last digit."""
    number = Decimal(re.match(r"[-\d.,]+(e[-+]\d+)?", text)[0].replace(",", ""))
    return float(number), 10.0 ** number.as_tuple().exponent


def test_every_number_is_that_of_the_document(document, whole):
    assert len(whole.numbers) > 300
    for attributes, text in whole.numbers:
        value = float(attributes["value"])
        expected = evaluated(document, attributes["data-source"])
        assert value == pytest.approx(expected, rel=1e-12), attributes
        number, last = written(text)
        apart = min(abs(number - factor * value) / last for factor in FACTORS)
        assert apart <= 0.5 + 1e-6, (attributes, text)


def test_cells_of_numbers_hold_nothing_else(whole):
    cells = re.findall(r'<td class="number">(.*?)</td>', whole.text)
    assert len(cells) > 200
    bare = {re.sub(r"<data.*?</data>", "#", cell) for cell in cells}
    dash = formats.NOTHING
    assert bare <= {"#", "# to #", dash, "", "1.2 %"}


def test_eight_questions_each_with_answer_picture_and_table(whole):
    sections = re.findall(r'<section id="(\w+)".*?</section>', whole.text, re.DOTALL)
    expected = ["faster", "equal", "setting", "sure", "limit", "scale", "first", "losses"]
    assert sections == expected
    for text in re.findall(r"<section.*?</section>", whole.text, re.DOTALL):
        places = [text.index(part) for part in ("<h2", 'class="answer"', "<svg role", "<table")]
        assert places == sorted(places)
        assert len(re.search(r'class="answer">(.*?)</p>', text)[1]) > 20


def test_answers(whole):
    words = re.sub(r"\s+", " ", "".join(whole.words))
    assert "sparse-f32 is" in words
    assert "the fastest other library, torch-csr-f32, takes" in words
    assert "1 was refused a time" in words
    assert "its weights are off by 3.1e-02 after 3 iterations" in words
    assert "With 4 threads, sparse-f32 is" in words
    assert "1 time is better than ours in 9 questions; the largest gap is torch" in words
    assert "in no part" in words


def test_numbers_of_threads_may_be_contenders_of_one_question(document):
    given = next(q for q in document["questions"] if q["suite"] == "scaling")
    ours = next(c for c in given["contenders"] if c["name"] == "sparse-f32")
    several = [
        ours
        | {"name": f"sparse-f32, {count} threads", "threads": count, "median_seconds": 0.06 / count}
        for count in (1, 2, 3)
    ]
    one = given | {"parameters": {"images": 41_000}, "contenders": several}
    found = shown(document | {"questions": [one]})
    words = re.sub(r"\s+", " ", "".join(found.words))
    assert re.search(r"With 3 threads, sparse-f32 is 3\.00\S* as fast as with 1\.", words)
    assert "Scaling with threads" in words


def test_nothing_is_lost_where_nothing_is(document):
    alone = copy.deepcopy(document)
    alone["questions"] = alone["questions"][:1]
    words = "".join(shown(alone).words)
    assert "Nowhere in this run: no contender beats fastdigit in 1 question." in words


def test_questions_of_one_name_are_told_apart(document):
    two = copy.deepcopy(document)
    first = two["questions"][0] | {"name": "relu", "parameters": {"images": 1000}}
    two["questions"] = [first, first | {"parameters": {"images": 41_000}}]
    found = shown(two)
    assert "One training iteration: relu, 1,000 images" in found.words
    assert "One training iteration, relu, 41,000 images: sparse-f32 is " in found.words


def test_nothing_is_claimed_of_a_busy_machine(document):
    busy = copy.deepcopy(document)
    first = busy["questions"][0]
    first["busy"] = "machine busy: 0 of 15 rounds were undisturbed"
    for contender in first["contenders"]:
        contender["verdict"] = None
    found = shown(busy)
    title = re.search(r"<h1>(.*?)</h1>", found.text)[1]
    assert title.endswith("as fast as the notebook (no verdict)")
    words = "".join(found.words)
    assert "No verdict is given: machine busy: 0 of 15 rounds were undisturbed" in words


def test_it_is_said_that_some_have_a_verdict(document):
    busy = copy.deepcopy(document)
    busy["questions"][0]["busy"] = "machine busy: 6 of 15 rounds were undisturbed"
    assert "No verdict is given for some: machine busy" in "".join(shown(busy).words)


def test_the_first_run_is_told_of_the_contender_of_which_most_is_known(document):
    for name in ("sparse-f32", "fastdigit"):
        known = copy.deepcopy(document)
        for question in known["questions"]:
            for contender in question["contenders"]:
                seconds = 1.0 if contender["name"] == name else None
                contender |= dict.fromkeys(("import_seconds", "cached_seconds"), seconds)
                contender |= dict.fromkeys(("compile_seconds", "prepare_seconds"), 1.0)
        text = page(Entry(known))
        first = re.search(r'"first-question".*?class="answer">(.*?):', text, re.DOTALL)
        assert first[1] == name


def test_a_close_call_is_called_so(document):
    close = copy.deepcopy(document)
    for contender in close["questions"][0]["contenders"]:
        contender["verdict"] = "too close to call"
    title = re.search(r"<h1>(.*?)</h1>", page(Entry(close)))[1]
    assert title == "sparse-f32 and the notebook are too close to call"


def test_every_round_is_a_dot(document, whole):
    figure = re.search(r"<figure>.*?</figure>", whole.text, re.DOTALL)[0]
    plot = figure[: figure.index('class="axis x"')]
    turns = [t for c in document["questions"][0]["contenders"] for t in c["rounds"]]
    assert plot.count("<circle") == len(turns)
    assert plot.count('<circle class="disturbed') == sum(turn["disturbed"] for turn in turns) > 0


def test_pictures_have_words(whole):
    pictures = [svg for svg in whole.all("svg") if svg.get("role") == "img"]
    assert len(pictures) >= 9
    identities = [attributes["id"] for _, attributes in whole.tags if "id" in attributes]
    assert len(set(identities)) == len(identities)
    for picture in pictures:
        assert set(picture["aria-labelledby"].split()) <= set(identities)
    others = [svg for svg in whole.all("svg") if svg.get("role") != "img"]
    assert all(svg["aria-hidden"] == "true" for svg in others)
    descriptions = re.findall(r"<desc [^>]*>([^<]*)</desc>", whole.text)
    assert len(descriptions) == len(pictures)
    assert all(len(text) > 40 for text in descriptions)


def test_it_needs_neither_network_nor_script(whole):
    assert whole.all("script") == whole.all("link") == whole.all("img") == []
    assert not [key for _, attributes in whole.tags for key in attributes if key.startswith("on")]
    targets = {a["href"] for a in whole.all("a")}
    assert all(target.startswith("#") for target in targets)
    assert "http" not in whole.text.replace("http-equiv", "")
    assert "default-src 'none'" in whole.all("meta")[3]["content"]


def test_wide_tables_scroll_in_their_box_and_by_keyboard(whole):
    assert whole.text.count("<table>") == whole.text.count('<div class="box" role="region" tab')
    assert not re.search(r"width:\s*\d{3,}px", whole.text)


def test_a_large_result_stays_small():
    many = result(rounds=200)
    first = many["questions"][0]
    many["questions"] = [{**first, "name": f"question {number}"} for number in range(10)]
    assert len(page(Entry(many)).encode()) < 3e6


# --- documents that are not as they should be ----------------------------------------------------


@pytest.mark.parametrize(
    "document",
    [{}, [], None, 3, "text", {"questions": []}, {"questions": {}}, {"questions": [1, None, []]}],
)
def test_empty_documents(document):
    words = "".join(shown(document).words)
    assert "A fastdigit result without times" in words
    assert words.count("This file") >= 7
    assert "fastdigit bench" in words


def test_each_missing_part_is_said_with_a_command(document):
    for key, command in {
        "roofline": "fastdigit info --roofline",
        "parts": "",
        "machine": "fastdigit bench",
        "questions": "fastdigit bench --suite start-up",
    }.items():
        words = "".join(shown({k: v for k, v in document.items() if k != key}).words)
        assert command in words


def test_older_and_newer_documents(document):
    assert "schema 3, newer than 2" in "".join(shown(document | {"schema": 3}).words)


def hostile(value, key=""):
    if isinstance(value, dict):
        return {HOSTILE: "x", **{k: hostile(v, k) for k, v in value.items()}}
    if isinstance(value, list):
        return [hostile(one) for one in value]
    # A question must still be of a suite to be shown.
    return HOSTILE if isinstance(value, str) and key != "suite" else value


def test_hostile_texts_are_escaped(document):
    found = shown(hostile(document))
    assert found.all("script") == found.all("img") == []
    assert "<script>alert(1)" in "".join(found.words)
    assert "{{ 7 * 7 }}" in "".join(found.words)
    found.text.encode()


@pytest.mark.parametrize("suite", ["start-up", "scaling"])
def test_what_has_a_section_of_its_own_is_in_front_where_nothing_else_is(suite, document):
    alone = copy.deepcopy(document)
    alone["questions"] = [{**alone["questions"][0], "suite": suite}]
    words = "".join(shown(alone).words)
    assert "without times" not in words
    assert "nothing was timed." not in words


def test_long_texts_are_cut(document):
    long = copy.deepcopy(document)
    long["questions"][0]["contenders"][0]["name"] = 100_000 * "x"
    text = page(Entry(long))
    assert (LONGEST + 1) * "x" not in text
    assert len(text) < 1e6


def test_numbers_that_are_none_are_named(document):
    odd = copy.deepcopy(document)
    odd["questions"][0]["contenders"][2]["median_seconds"] = math.nan
    odd["steal"] = math.inf
    words = "".join(shown(odd).words)
    assert "2 numbers in this file are infinite or not a number, and left out: steal" in words
    assert "questions.0.contenders.2.median_seconds" in words
    assert not re.search(r"\b(nan|inf)\b", words)


ODD = st.sampled_from(
    [None, True, 0, -1, -1e-300, 1e300, 10**400, math.nan, math.inf, "", HOSTILE, [], {}, [[]], [0]]
)


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_any_damage_still_renders(data):
    damaged = result(rounds=2)
    for _ in range(data.draw(st.integers(1, 6))):
        place = damaged
        while True:
            keys = list(place) if isinstance(place, dict) else range(len(place))
            if not keys:
                break
            key = data.draw(st.sampled_from(list(keys)))
            below = place[key]
            if not isinstance(below, dict | list) or data.draw(st.integers(0, 3)) == 0:
                place[key] = copy.deepcopy(data.draw(ODD))  # may be damaged as well
                break
            place = below
    found = shown(damaged)
    assert len(re.findall(r"<section", found.text)) == 8
    for attributes in found.all("circle") + found.all("line"):
        numbers = [attributes.get(key) for key in ("cx", "cy", "x1", "x2", "y1", "y2")]
        assert all(math.isfinite(float(n.rstrip("%"))) for n in numbers if n is not None)


# --- parts ---------------------------------------------------------------------------------------


def test_the_sample_has_the_form_of_a_result(document):
    (question, *_), machine = document["questions"], document
    assert set(machine) == set(form.Result.__annotations__)
    assert set(question) == set(form.Question.__annotations__)
    for contender in question["contenders"]:
        assert set(contender) == set(form.Contender.__annotations__)
    first = question["contenders"][1]
    assert set(first["rounds"][0]) == set(form.Round.__annotations__)
    assert set(first["check"]) == set(form.Check.__annotations__)
    json.dumps(document, allow_nan=False)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0123, "0.0123"),
        (1.2, "1.20"),
        (9.996, "10.0"),
        (1234.5, "1,234"),
        (0, "0"),
        (2e-9, "2.0e-09"),
    ],
)
def test_significant(value, text):
    assert formats.significant(value) == text


def test_units():
    assert [formats.unit_for([s]).name for s in (2, 0.2, 2e-4, 2e-7, 2e-11)] == [
        "s",
        "ms",
        "µs",
        "ns",
        "ns",
    ]
    assert formats.plain(formats.seconds(Entry(0.0116))) == "11.6 ms"
    assert formats.seconds(Entry("x")) == formats.NOTHING


@pytest.mark.parametrize("values", [[1.0], [3, 7], [0.001, 5000], [1e-9, 2e-9], [58, 3.9, 19.5]])
def test_axes(values):
    axis = scales.axis(values)
    assert axis.logarithmic == (max(values) / min(values) > 10)
    places = [axis.place(value) for value in sorted(values)]
    assert places == sorted(places)
    assert all(0 <= place <= 100 for place in places)
    assert 1 <= len(axis.ticks) <= scales.MOST_TICKS + 1
    assert all(0 <= tick.place <= 100 for tick in axis.ticks)
    for tick in axis.ticks:
        if "e" not in tick.text:
            assert axis.place(float(tick.text.replace(",", ""))) == pytest.approx(
                tick.place, abs=0.1
            )


def test_labels_are_moved_apart():
    assert scales.apart([10.0, 12.0, 50.0, 11.0], 5) == [10.0, 20.0, 50.0, 15.0]


def test_the_ideal_line_is_straight_and_dashed():
    ideal = charts.Line("ideal", [(1, 1), (8, 8)], ideal=True)
    ours = charts.Line("ours", [(1, 1), (2, 1.9), (8, 6)])
    chart = charts.lines("t", "d", [ideal, ours], "threads", "times")
    assert [line.look for line in chart.stretches] == ["series ideal", "series s1", "series s1"]
    assert [tick.text for tick in chart.x_ticks] == ["1", "2", "8"]
    heights = [mark.y for mark in chart.marks]
    assert all(above > below for above, below in pairwise(heights))


def test_points_stay_below_their_roofs():
    roofs = [charts.Roof("peak", 100, False), charts.Roof("L1", 50, True)]
    point = charts.Reached("ours", 0.5, 15, 25, "60 %")
    chart = charts.roofline("t", "d", roofs, [point])
    gap = next(line for line in chart.stretches if line.look.startswith("gap"))
    slope = next(line for line in chart.stretches if line.look == "series s0")
    assert gap.y1 > gap.y2
    # The limit of this one lies on the slope.
    share = (gap.x1 - slope.x1) / (slope.x2 - slope.x1)
    assert slope.y1 + share * (slope.y2 - slope.y1) == pytest.approx(gap.y2, abs=0.5)
