# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""An extension of Sphinx: names of the interface that stand as code in a page's text lead to the reference.

    `vfu_client_fd`, `struct vfu_device`, `VFU_OPT_TIMEOUT_MS`, `vfu.Client`, `Device.on_reset`

A page says nothing for it; a name that the reference lacks stays code.
"""

from __future__ import annotations

import re

from docutils import nodes
from sphinx import addnodes

C = re.compile(r"(?:struct |enum )?((?:vfu|VFU)_\w+)(?:\(\))?")
PYTHON = re.compile(r"(?:vfu\.)?([A-Z]\w*(?:\.\w+)?|\w+\.\w+)(?:\(\))?")


def found(app, page, literal):
    """The link for a piece of code, or None."""
    c, python = C.fullmatch(literal.astext()), PYTHON.fullmatch(literal.astext())
    xref = addnodes.pending_xref()
    if c:
        domain, name = "c", c[1]
    elif python and f"vfu.{python[1]}" in app.env.domains["py"].objects:
        domain, name = "py", f"vfu.{python[1]}"
    else:
        return None
    links = app.env.domains[domain].resolve_any_xref(app.env, page, app.builder, name, xref, literal.deepcopy())
    return links[0][1] if links else None


def is_text(node):
    """Not of a link, of a heading or of what is being described."""
    while node.parent:
        node = node.parent
        if isinstance(node, (nodes.reference, nodes.title, addnodes.desc_signature)):
            return False
    return True


def link_names(app, doctree, page):
    for literal in filter(is_text, list(doctree.findall(nodes.literal))):
        link = found(app, page, literal)
        if link:
            literal.replace_self(link)


def setup(app):
    app.connect("doctree-resolved", link_names)
    return {"parallel_read_safe": True}
