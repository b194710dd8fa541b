# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""The pictures, most of which are generated: complete, well formed, and to be read on light and dark ground.

How wide words are is estimated as codegen/svg.lua does, from above.
"""

import importlib.util
import itertools
import json
import os
import pathlib
import re
import time
import xml.etree.ElementTree as ET

import pytest
from places import generated

TOP = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("abs_builddir") or ".")
SVG = "{http://www.w3.org/2000/svg}"
PLOTS = [pathlib.Path(generated("doc", "gen", "speed.svg"))]
GENERATED = sorted(BUILD.glob("doc/gen/boxes/*.svg")) + sorted(BUILD.glob("doc/gen/sequences/*.svg"))
BOXES = {path.stem: path for path in GENERATED if path.parent.name == "boxes"}
BY_HAND = sorted(TOP.glob("doc/pictures/*.svg"))
EACH = {"head": 0.66, "note": 0.58}  # of the size, a character; 0.605 where all are alike
WIDEST = 700
CONTRAST = 4.5  # WCAG AA


def model():
    return json.loads(pathlib.Path(generated("doc", "gen", "vfio-user.json")).read_text())


class Picture:
    def __init__(self, path):
        self.root = ET.fromstring(path.read_text())
        self.style = self.root.find(f"{SVG}style").text
        self.view = [float(n) for n in self.root.get("viewBox").split()]
        self.sizes = {kind: int(px) for kind, px in re.findall(r"\.t-(\w+)\{[^}]*font-size:(\d+)px", self.style)}
        self.texts = [self.place(e) for e in self.root.iter(f"{SVG}text")]

    def place(self, e):
        """(words, left, top, right, bottom)"""
        kind = e.get("class").removeprefix("t-")
        size, x, y = self.sizes[kind], float(e.get("x")), float(e.get("y"))
        width = len(e.text) * size * EACH.get(kind, 0.605)
        left = x - {"end": width, "middle": width / 2}.get(e.get("text-anchor"), 0)
        return e.text, left, y - 0.8 * size, left + width, y + 0.2 * size

    def colors(self, dark):
        """{class: (fill, stroke or None)}"""
        light_part, _, dark_part = self.style.partition("@media (prefers-color-scheme:dark){")
        rules = re.findall(r"\.([\w-]+)\{fill:([#\w]+)(?:;stroke:([#\w]+))?\}", dark_part if dark else light_part)
        return {name: (fill, stroke) for name, fill, stroke in rules}


@pytest.fixture(params=GENERATED + PLOTS + BY_HAND, ids=lambda path: f"{path.parent.name}/{path.stem}")
def picture(request):
    return Picture(request.param)


def test_it_says_what_it_is(picture):
    root = picture.root
    assert root.tag == SVG + "svg" and root.get("role") == "img"
    named = {e.get("id"): e.text for e in root if e.tag in (SVG + "title", SVG + "desc")}
    assert set(root.get("aria-labelledby").split()) == set(named) and all(named.values())
    assert float(root.get("width")) == picture.view[2] <= WIDEST
    assert not re.search(r"url\(|@import", picture.style)
    assert not any("href" in name for e in root.iter() for name in e.attrib)


def test_words_lie_inside_and_apart(picture):
    _, _, width, height = picture.view
    for words, left, top, right, bottom in picture.texts:
        assert 0 <= left and right <= width and 0 <= top and bottom <= height, words
    for a, b in itertools.combinations(picture.texts, 2):
        apart = a[3] <= b[1] or b[3] <= a[1] or a[4] <= b[2] or b[4] <= a[2]
        assert apart, f"{a[0]!r} lies on {b[0]!r}"


def test_words_lie_in_their_box(picture):
    for group in picture.root.iter(SVG + "g"):
        box = group.find(SVG + "rect")
        if box is None:
            continue
        x, y, width, height = (float(box.get(k)) for k in ("x", "y", "width", "height"))
        assert x + width <= picture.view[2] and y + height <= picture.view[3]
        for words, left, top, right, bottom in map(picture.place, group.iter(SVG + "text")):
            assert x <= left and right <= x + width and y <= top and bottom <= y + height, words


def light(color):
    def linear(c):
        return c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4

    red, green, blue = (linear(int(color[i : i + 2], 16) / 255) for i in (1, 3, 5))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("dark", [False, True])
def test_contrast(dark):
    """Of the generated ones, whose colours are those of all."""
    colors = Picture(BOXES["header"]).colors(dark)
    assert set(colors) == set(Picture(BOXES["header"]).colors(not dark))
    for kind, (ink, _) in colors.items():
        for ground in ("s-ground", "s-field", "s-tail"):
            if kind.startswith("t-"):
                a, b = sorted((light(ink), light(colors[ground][0])))
                assert (b + 0.05) / (a + 0.05) >= CONTRAST, (kind, ground)


# ---- boxes ----


def test_everything_has_its_boxes():
    m = model()
    assert set(BOXES) == {"header"} | {e["name"] for e in m["messages"] + m["structs"]}


def names(part):
    inside = [f["name"] for f in part["fields"]] + ([part["tail"]["name"]] if "tail" in part else [])
    return inside + [f["name"] for alt in part.get("alternatives", []) for f in alt["fields"]]


def test_boxes_have_all_fields():
    m = model()
    wanted = {e["name"]: names(e["request"]) + names(e["reply"]) for e in m["messages"]}
    wanted |= {e["name"]: names(e) for e in m["structs"]}
    for name, fields in wanted.items():
        root = ET.fromstring(BOXES[name].read_text())
        assert [e.text for e in root.iter(SVG + "text") if e.get("class") == "t-name"] == fields


def test_boxes_lie_where_the_bytes_do():
    """A row has eight; a field is as wide as its bytes, and ends where the next begins."""
    root = ET.fromstring(BOXES["io_fd"].read_text())
    rects = [e for e in root.iter(SVG + "rect") if e.get("class") == "s-field"]
    fields = next(s for s in model()["structs"] if s["name"] == "io_fd")["fields"]
    byte = float(rects[0].get("width")) / 8
    left = float(rects[0].get("x"))
    for rect, field in zip(rects, fields, strict=True):
        assert float(rect.get("x")) == left + byte * (field["offset"] % 8)
        assert float(rect.get("width")) == byte * int(field["type"][1:]) / 8


# ---- orders of messages ----

SEQUENCES = {path.stem: path for path in GENERATED if path.parent.name == "sequences"}
PAGE = TOP / "doc" / "explanation" / "what-happens-when.md"


def recorded(name):
    """The lines of the recording that a picture is made from."""
    path = re.search(r"Generated from (\S+) by", SEQUENCES[name].read_text()).group(1)
    return [json.loads(line) for line in (TOP / path).read_text().splitlines()]


def drawn(name):
    """What it shows from above to below: ("REGION_READ #4", direction), or a number of messages that are left out."""
    picture = Picture(SEQUENCES[name])
    found = []
    for e in picture.root.iter(SVG + "text"):
        y, kind = float(e.get("y")), e.get("class")
        if kind == "t-name" and not e.text.isdigit():
            found.append((y, (e.text, "s2c" if e.get("text-anchor") == "end" else "c2s")))
        elif kind == "t-note" and (count := re.match(r"⋮ +(\d+) message", e.text)):
            found.append((y, int(count.group(1))))
    return [what for _, what in sorted(found, key=lambda entry: entry[0])]


def words(line):
    """What a picture says of a line of a recording."""
    if "ev" in line:
        return line["what"]
    return ("" if line["type"] == "cmd" else "reply to ") + f"{line['name']} #{line['id']}"


@pytest.mark.parametrize("name", sorted(SEQUENCES))
def test_what_is_drawn_was_recorded(name):
    """In this order, with as many left out as it says, from the side it says."""
    lines = iter([line for line in recorded(name) if "dir" in line or line["ev"] in ("memory", "eventfd", "skipped")])
    shown = drawn(name)
    left_out, started = 0, isinstance(shown[0], int)
    for what in shown:
        if isinstance(what, int):
            left_out = what
            continue
        passed = 0
        for line in lines:
            if line.get("ev") == "skipped":
                passed += line["count"]
            elif words(line) == what[0] and line.get("dir", "s2c") == what[1]:
                break
            else:
                passed += 1
        else:
            pytest.fail(f"{what} is not recorded here")
        assert passed == left_out, what
        left_out = 0
    assert started or drawn(name)[0][0].startswith("VERSION")


def arrows(name):
    """(from, to) of each, from above to below."""
    root = ET.fromstring(SEQUENCES[name].read_text())
    lines = [re.match(r"M([\d.]+) ([\d.]+)H([\d.]+)$", e.get("d")) for e in root.iter(SVG + "path")]
    return [tuple(map(float, m.groups())) for m in lines if m]


@pytest.mark.parametrize("name", sorted(SEQUENCES))
def test_time_goes_down_and_arrows_point(name):
    found = arrows(name)
    assert [y for _, y, _ in found] == sorted(y for _, y, _ in found)
    shown = [what for what in drawn(name) if not isinstance(what, int)]
    assert len(found) == len(shown)
    for (start, _, end), (what, direction) in zip(found, shown, strict=True):
        assert (start < end) == (direction == "c2s") or what == "the device writes"


def test_a_tag_for_each_descriptor():
    for name in SEQUENCES:
        tags = sum(int(n) for n in re.findall(r"\+ (\d+) fd: \w", SEQUENCES[name].read_text()))
        shown = {what[0] for what in drawn(name) if not isinstance(what, int)}
        assert tags == sum(line["nfds"] for line in recorded(name) if "dir" in line and words(line) in shown)


def recorder():
    spec = importlib.util.spec_from_file_location("record", TOP / "tests/data/sequences/record.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["interrupt", "twin", "unmap"])
def test_recording_anew_gives_the_same(name):
    record = recorder()
    assert set(record.WORK) == {"interrupt", "twin", "unmap"}
    kept = [json.loads(line) for line in (TOP / f"tests/data/sequences/{name}.jsonl").read_text().splitlines()]
    assert record.shape(record.record(name)) == record.shape(kept)


def test_a_recording_that_fails_waits_for_its_relay(monkeypatch):
    ended = []

    class Slow(recorder().Relay):
        def serve(self, one_client):
            super().serve(one_client)
            time.sleep(0.2)
            ended.append(True)

    def fails(path, device, note):
        raise EOFError

    record = recorder()
    monkeypatch.setattr(record, "Relay", Slow)
    monkeypatch.setitem(record.WORK, "fails", fails)
    with pytest.raises(EOFError):
        record.record("fails")
    assert ended


@pytest.mark.parametrize("name", sorted(SEQUENCES))
def test_the_page_explains_each_step(name):
    """Each number of the picture is said once, in order: `**3, 4**` or `**5 to 8**`."""
    section = re.search(rf"\(/gen/sequences/{name}\.svg\)(.*?)(\n## |\Z)", PAGE.read_text(), re.S).group(1)
    said = []
    for label in re.findall(r"^- \*\*([\d, to]+)\*\*", section, re.M):
        numbers = [int(n) for n in re.findall(r"\d+", label)]
        said += range(numbers[0], numbers[1] + 1) if " to " in label else numbers
    assert said == list(range(1, len(arrows(name)) + 1))


# ---- the plot ----


def test_bars_are_as_long_as_what_was_measured():
    root = ET.fromstring(PLOTS[0].read_text())
    said = [e.text for e in root.iter(SVG + "text") if e.get("text-anchor") == "end"]
    rects = [float(e.get("width")) for e in root.iter(SVG + "rect") if e.get("class") in ("s-bar", "s-otherbar", "s-tail")]
    record = (TOP / "tests/data/bench/recorded.txt").read_text()
    rows = [line for line in record.splitlines() if not re.match(r"[#= ]|row |.* ns$", line)]
    rows.sort(key=lambda row: ".." in row)  # counts come first
    assert len(rows) == len(said) == len(rects) > 20
    for row, words, width in zip(rows, said, rects, strict=True):
        wide = re.search(r"  ([\d.]+) +[\d.]+\.\.", row)  # cost and spread, else calls and instructions
        value, whole = (float(wide.group(1)), 2.5) if wide else (float(row.split()[2]), 3500)
        assert float(re.match(r"[\d.]+", words).group()) == value
        assert width == pytest.approx(154 * min(value / whole, 1), abs=0.01)


def test_the_page_says_what_was_recorded():
    page = (TOP / "doc/explanation/speed.md").read_text()
    said = [int(number.replace(",", "")) for number in re.findall(r"^\|.*\| ([\d,]+) \|$", page, re.M)]
    record = (TOP / "tests/data/bench/recorded.txt").read_text().partition("== per operation of the server\n")[2]
    counted = [float(line.split()[2]) for line in record.partition("==")[0].splitlines()[1:]]
    assert said == pytest.approx(counted, rel=0.05)
