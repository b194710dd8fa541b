# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""The generated pictures: complete, well formed, and to be read on light and dark ground.

How wide words are is estimated as codegen/svg.lua does, from above.
"""

import itertools
import json
import os
import pathlib
import re
import xml.etree.ElementTree as ET

import pytest

TOP = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("abs_builddir") or ".")
SVG = "{http://www.w3.org/2000/svg}"
GENERATED = sorted(BUILD.glob("doc/gen/*/*.svg"))
BOXES = {path.stem: path for path in GENERATED if path.parent.name == "boxes"}
EACH = {"head": 0.66, "note": 0.58}  # of the size, a character; 0.605 where all are alike
WIDEST = 700
CONTRAST = 4.5  # WCAG AA


def model():
    return json.loads(next(p / "doc/gen/vfio-user.json" for p in (BUILD, TOP) if (p / "doc/gen/vfio-user.json").exists()).read_text())


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


@pytest.fixture(params=GENERATED, ids=lambda path: f"{path.parent.name}/{path.stem}")
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
