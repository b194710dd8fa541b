# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""The parts of a manual page in troff's language, for those who write one."""

from __future__ import annotations

import re
from typing import Iterable


def text(words: str) -> str:
    """Words as troff takes them literally."""
    escaped = words.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("`", "\\(ga").replace("^", "\\(ha")
    return re.sub(r"^\.", r"\\&.", escaped.replace("~", "\\(ti"), flags=re.M)


def sentence(words: str) -> str:
    """With a large letter, and the others as they are."""
    return words[:1].upper() + words[1:]


def literal(lines: str) -> str:
    """As it is."""
    return f".PP\n.EX\n{text(lines)}\n.EE\n"


def title(name: str, section: int, release: str, manual: str) -> str:
    """What a page begins with."""
    return "".join([
        '.\\" SPDX-License-Identifier: BSD-3-Clause\n',
        f'.TH {text(name.upper())} {section} "" "libvfu {release}" "{manual}"\n.nr HY 0\n.nh\n.ad l\n.ds AD l\n.ss 12 0\n',
    ])


def names(found: Iterable[str], about: str) -> str:
    """By what man finds the page, and what it says of it in a line."""
    return f".SH NAME\n{text(', '.join(found))} \\- {text(about.rstrip('.'))}\n"


def see_also(pages: Iterable[str]) -> str:
    """The pages beside it, as "vfu-read(1)"."""
    return ".SH SEE ALSO\n" + ",\n".join(f".BR {text(page).replace('(', ' (')}" for page in pages) + "\n"
