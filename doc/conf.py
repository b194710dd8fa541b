# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""The site, as Sphinx is to build it: `make html` does, in a tree of links that doc/build-site makes.

    doc/site/            the files of the tree, so that links to them lead somewhere
    doc/site/doc/        what Sphinx reads: the pages of doc/, and as gen/ what is generated
    doc/html/            the site

Nothing of it is fetched when it is read: it works from file://.
"""

import logging
import os
import re
import shutil
import sys
from pathlib import Path

from docutils import nodes
from sphinx import addnodes
from sphinx.util.nodes import make_refnode

project = "libvfu"
author = "the libvfu authors"
copyright = "2026 the libvfu authors"

sys.path.append(str(Path(__file__).parent / "make"))
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_copybutton", "docstrings", "names"]
autodoc_member_order = "bysource"
exclude_patterns = ["examples", "make"]
nitpicky = True
# What the languages' own libraries have.
nitpick_ignore_regex = [("py:class", ".*")]  # of annotations, which name what is private, too
suppress_warnings = ["ref.python"]  # theirs may be short names, which are in vfu and in vfu.aio
nitpick_ignore = [("c:identifier", name) for name in "int8_t int32_t uint8_t uint16_t uint32_t uint64_t size_t pollfd".split()]
highlight_language = "none"
smartquotes = False

# Links to `page.md#heading` mean in the site what they mean on a forge.
myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence", "deflist"]

html_theme = "furo"
pygments_style, pygments_dark_style = "default", "github-dark"  # the theme's own have colours that are hard to read
html_title = "libvfu"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_extra_path = ["gen/explorer.html"]  # a page that needs no theme
html_copy_source = False
html_theme_options = {"navigation_with_keys": True}
copybutton_selector = "div.highlight:not(.highlight-text > *):not(.highlight-output > *) pre"  # what is to be run
copybutton_prompt_text = r"\$ |>>> |\.\.\. "
copybutton_prompt_is_regexp = True


def copied(app, doc, path, name, content):
    """A link of a page to a copy of a file."""
    copy = Path(app.outdir, "_tree", name)
    copy.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, copy)
    return linked(app, doc, f"_tree/{name}", content)


# Pages that stand beside what they are about: doc/build-site has links to them.
ELSEWHERE = {"gen/spec-language": "spec/README.md", "gen/generators": "codegen/README.md", "gen/model": "codegen/MODEL.md"}


def linked(app, doc, target, content):
    """A link of a page to a file of the site."""
    here = os.path.dirname(app.builder.get_target_uri(doc))
    return nodes.reference("", "", content, internal=True, refuri=os.path.relpath(target, here or "."))


def tree_link(app, env, node, content):
    """What a link to something of the tree that is no page leads to: a copy of the file; of a directory only the text."""
    if node["reftype"] not in ("any", "myst"):  # MyST asks as "any"
        return None
    tree, doc = Path(app.srcdir).parent, node["refdoc"]
    place = tree / ELSEWHERE[doc] if doc in ELSEWHERE else Path(env.doc2path(doc))
    target, _, anchor = node["reftarget"].partition("#")
    path = Path(os.path.normpath(place.parent / target))  # not through the links that directories are
    if not target or not path.exists():
        return None
    if path.is_dir():
        return content
    name = os.path.relpath(path, tree)
    if name == "doc/gen/explorer.html":
        return linked(app, doc, "explorer.html", content)
    for page, origin in ELSEWHERE.items():
        if name == origin:
            return make_refnode(app.builder, doc, page, anchor, content)
    return copied(app, doc, path, name, content)


def tree_links(app, doctree):
    """MyST has links to files as downloads; we want to read them. The explorer is no page of Sphinx's. What is no page
    MyST 4 would not ask us for later, and it names pages in full, without their suffix."""
    for node in list(doctree.findall(addnodes.download_reference)):
        node.replace_self(tree_link(app, app.env, node, node[0]))
    for node in [one for one in doctree.findall(addnodes.pending_xref) if one["reftype"] == "myst"]:
        if node["refdomain"] == "doc" and node["reftarget"] not in app.env.found_docs:
            here = os.path.dirname(app.env.doc2path(node["refdoc"]))
            node["reftarget"] = os.path.relpath(node["reftarget"], here) + ".md#" + (node["reftargetid"] or "")
        elif node["refdomain"] == "doc":
            continue
        if link := tree_link(app, app.env, node, node[0]):
            node.replace_self(link)
    for node in doctree.findall(nodes.reference):  # of the reference, which lies beside it elsewhere
        if node.get("refuri", "").startswith("explorer.html#"):
            node.replace_self(linked(app, app.env.docname, node["refuri"], node[0]))


def spec_links(app, doctree):
    """The reference names lines of the spec: they lead to a copy that browsers show."""
    for node in list(doctree.findall(nodes.emphasis)):
        found = re.fullmatch(r"(spec/\w+\.lua):\d+", node.astext())
        if found:
            path = Path(app.srcdir).parent / found[1]
            node.replace_self(copied(app, app.env.docname, path, f"{found[1]}.txt", node.deepcopy()))


def mended(sheet):
    """Debian's furo has a style sheet of a web server's, which becomes part of its own, and lacks dark for who asks the system for it."""
    sheet = re.sub(r"@import url\(/(javascript/[^)]+)\);", lambda found: Path("/usr/share", found[1]).read_text(), sheet)
    dark = re.search(r'body\[data-theme="?dark"?\] ?{([^}]*)}', sheet)
    if dark and "prefers-color-scheme" not in sheet:
        sheet += f'@media screen and (prefers-color-scheme: dark) {{ body:not([data-theme="light"]) {{{dark[1]}}} }}\n'
    return sheet


def stand_alone(app, error):
    """As it is installed, furo's script is a module of another one, too, and those need a web server."""
    styles, scripts = Path(app.outdir, "_static", "styles"), Path(app.outdir, "_static", "scripts")
    if error:
        return
    sheet, script, module = styles / "furo.css", scripts / "furo.js", scripts / "gumshoe-patched.js"
    sheet.write_text(mended(sheet.read_text()))
    text = script.read_text()
    alone = text.replace('import Gumshoe from "./gumshoe-patched.js";', "")
    if alone != text:
        script.write_text(module.read_text() + alone)


def setup(app):
    app.connect("missing-reference", tree_link)
    app.connect("doctree-read", tree_links, priority=400)
    app.connect("doctree-read", spec_links)
    app.connect("build-finished", stand_alone)


def matters(record):
    return "didn't match any documents" not in str(record.msg)


# Sections list their pages in order, and then "*": pages that nobody has put in order yet. There may be none.
logging.getLogger("sphinx.sphinx.directives.other").addFilter(matters)
