# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""doc/make/header.py reads vfu.h as the compiler does, and all that it finds is explained there."""

import re
import sys

import blocks
import pytest

sys.path.append(str(blocks.TOP / "doc" / "make"))
import c_pages  # noqa: E402
import header  # noqa: E402

TEXT = (blocks.TOP / "libvfu" / "vfu.h").read_text()
ABOUT, SECTIONS = header.sections(TEXT)
ITEMS = [item for section in SECTIONS for item in section.items]


def declared(kind):
    return [one.name for item in ITEMS for one in item.declarations if one.kind == kind]


def test_every_function_once():
    exported = re.findall(r"(vfu_\w+);", (blocks.BUILD / "libvfu" / "libvfu.map").read_text())
    assert sorted(declared("function")) == sorted(exported)


def test_every_type_once():
    code = re.sub(r"/\*[\s\S]*?\*/", "", TEXT)
    assert sorted(declared("type")) == sorted(re.findall(r"^typedef .*?(\w+)\(", code, re.M))
    wanted = set(re.findall(r"^struct (\w+)(?: \{|;)", code, re.M))
    assert sorted(declared("struct")) == sorted(wanted)


def test_every_constant_once():
    code = re.sub(r"/\*[\s\S]*?\*/", "", TEXT)
    bodies = re.findall(r"^enum \w* ?\{([\s\S]*?)\}", code, re.M)
    wanted = [name for body in bodies for name in re.findall(r"^\s*(\w+)|,\s*(\w+)", body, re.M) for name in name if name]
    found = [one.name for item in ITEMS for enum in item.declarations if enum.kind == "enum"
             for inner in enum.members for one in inner.declarations]
    assert sorted(found) == sorted(wanted)


def test_functions_have_a_comment():
    assert [one.text for item in ITEMS if not item.comment for one in item.declarations if one.kind == "function"] == []


def test_nothing_of_a_comment_is_lost():
    """Words of all comments, in any order: those of the parser and those of the file."""
    body = TEXT[TEXT.index("/* ----"):]
    wanted = [word for text in re.findall(r"/\*[\s\S]*?\*/", body) for word in header.bare(text).split()]
    found = [word for section in SECTIONS for word in ["----", *section.title.split()]]
    for item in ITEMS:
        inner = [one.comment for declaration in item.declarations for one in declaration.members]
        found += [word for text in [item.comment, *inner] for word in text.split()]
    assert sorted(found) == sorted(wanted)


def test_what_belongs_to_what():
    text = """/* About. */
extern "C" {
#endif
/* ---- one: rest
 *
 * Prose.
 */
/* Shared.
 *
 *	code();
 */
int first(int a);
void second(struct s *s,
	    int b);
enum { TYPE = 1, /* behind */ OTHER };
/* Its own. */
int third(void); /* beside */

struct s {
	/* Before one. */
	int a;

	int b, *c; /* behind both */
	/* Before several. */
	void (*fn)(int x);
	uint8_t
		d[4];
};
#ifdef __cplusplus
}
"""
    _, (section,) = header.sections(text)
    shown = [(item.comment, [one.text for one in item.declarations]) for item in section.items]
    assert section.title == "one: rest"
    assert shown == [
        ("Prose.", []),
        ("Shared.\n\n\tcode();", ["int first(int a)", "void second(struct s *s, int b)"]),
        ("", ["enum"]),
        ("Its own.\n\nbeside", ["int third(void)"]),
        ("", ["struct s"]),
    ]
    (struct,) = section.items[-1].declarations
    assert [(item.comment, [one.text for one in item.declarations]) for item in struct.members] == [
        ("Before one.", ["int a"]),
        ("behind both", ["int b", "int *c"]),
        ("Before several.", []),
        ("", ["void (*fn)(int x)"]),
        ("", ["uint8_t d[4]"]),
    ]


@pytest.mark.parametrize("comment, first", [
    ("Reads it. Any thread.", "Reads it."),
    ("Takes eventfds (kept by\n the caller; -1: none). Split.", "Takes eventfds (kept by the caller; -1: none)."),
    ("True: part of the range was gone. Once.", "True: part of the range was gone."),
    ("Takes all eventfds away: nothing more is raised.", "Takes all eventfds away: nothing more is raised."),
    ("Lets the device reach [iova, iova + size). The rest.", "Lets the device reach [iova, iova + size)."),
    ("Sets what it says of it; before it listens. More.", "Sets what it says of it."),
])
def test_first_sentence(comment, first):
    assert c_pages.first_sentence(comment) == first
