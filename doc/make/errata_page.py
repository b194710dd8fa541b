# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""The errata by subject, and who does what: `errata_page.py MODEL_JSON PAGE`. One by one they are in the reference."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

from rest import TOP, erratum_link, heading, linked, message_link

SUBJECTS = {
    "messages": "Messages and their headers",
    "version": "VERSION: what is agreed on",
    "device": "The device: information, reset, the end of a connection",
    "regions": "Regions",
    "interrupts": "Interrupts",
    "dma": "DMA",
    "migration": "Features and migration",
}
ABOUT = """Where the text of the protocol is wrong, silent or not followed, by subject. What is ours holds for both ends of
libvfu. Where more than one behaviour is lawful a policy says which one is taken, and a program chooses it for each
connection, by :c:func:`vfu_server_set_policy`, :c:func:`vfu_client_set_policy` or ``--policy`` of the commands; profiles
choose for all of them: see :ref:`their table <policies>`; devices in Python have bus_master = enforce whatever the profile
(:ref:`E63 <erratum-63>`). ``vfu explain E52`` says the same of one.
"""
WORD = re.compile(r"\bE(?P<erratum>\d+)\b|(?P<message>\b[A-Z]{2,}(?:_[A-Z]+)*\b)")


def page(model: dict) -> str:
    messages = {message["name"].upper(): message["name"] for message in model["messages"]}
    policies = {policy["erratum"]: policy for policy in model["policies"]}

    def link(found: re.Match) -> str:
        if found["erratum"]:
            return erratum_link(found[0], found["erratum"])
        return message_link(found[0], messages[found[0]]) if found[0] in messages else found[0]

    def row(one: dict) -> str:
        number = one["number"]
        ours, policy = linked(one["decision"], WORD, link), policies.get(number)
        if policy:
            choices = ", ".join(f"``{choice}``" for choice in policy["choices"])
            ours += f"\n\n       Policy :ref:`{policy['name']} <policy-{policy['name'].replace('_', '-')}>`: {choices}; ``{policy['default']}`` by default"
        cells = [f"{erratum_link(f'E{number}', number)}: {linked(one['title'], WORD, link)}",
                 linked(one["text"], WORD, link), linked(one["peers"], WORD, link), ours]
        return "   * - " + "\n     - ".join(cells) + "\n"

    out = TOP.format("errata_page.py") + ".. _errata:\n\n" + heading("Errata by subject") + ABOUT + "\n"
    for subject, title in SUBJECTS.items():
        rows = "".join(row(one) for one in model["errata"] if one["subject"] == subject)
        out += heading(title, "-") + ".. list-table::\n   :header-rows: 1\n   :class: errata\n   :widths: 20 25 27 28\n\n"
        out += "   * - Erratum\n     - The text\n     - Others\n     - We\n" + rows + "\n"
    return out


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(page(json.loads(Path(sys.argv[1]).read_text())))
