# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""The rules of each message and structure, as pages have them: all pages are to have the same."""

import pathlib
import re

from places import generated

# What pages put around the words of a rule, each in its own way: the choice of a policy, the errno.
AROUND = re.compile(r"(, where| and| — only where) (the )?policy \w+ is \w+|; if not: E[A-Z]+| E[A-Z0-9]+$| \(E\d+\)|``|\.$")


def plain(rule):
    while AROUND.search(rule):
        rule = AROUND.sub("", rule)
    return " ".join(rule.replace("\\", "").lower().split())


def of_reference():
    """{("message" or "struct", name): sorted rules}, of protocol.rst: its numbered lines."""
    out, key = {}, None
    text = pathlib.Path(generated("doc", "gen", "protocol.rst")).read_text()
    for line in re.sub(r"\n   (?=\S)", " ", text).split("\n"):
        if found := re.fullmatch(r"\.\. _(message|struct|flags)-([a-z0-9-]+):", line):
            key = (found[1], found[2].replace("-", "_"))
            out[key] = []
        elif key and line.startswith("#. "):
            out[key].append(plain(line[3:]))
    return {key: sorted(rules) for key, rules in out.items() if key[0] != "flags"}
