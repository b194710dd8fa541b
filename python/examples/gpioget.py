#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Prints lines of a served IDIO-16 card, as the gpioget of libgpiod does of a kernel's.

    vfu serve gpio.py --socket-path=/tmp/gpio.sock &
    python3 gpioget.py /tmp/gpio.sock 3 19      # prints: 0 0

Lines are numbered as Linux's driver does: 0 to 15 are the card's outputs, 16 to 31 its inputs.
"""

from __future__ import annotations

import argparse

import vfu

OUT_LOW, IN_LOW, OUT_HIGH, IN_HIGH = 0, 1, 4, 5  # of BAR 2; each has 8 lines
PORTS = (OUT_LOW, OUT_HIGH, IN_LOW, IN_HIGH)  # in the order of the lines' numbers


def get_line(bar: vfu.Region, line: int) -> int:
    return bar.read8(PORTS[line // 8]) >> line % 8 & 1


def main() -> None:
    parser = argparse.ArgumentParser(description="Prints 0 or 1 for each line.")
    parser.add_argument("socket", metavar="SOCKET", help="where the card is served")
    parser.add_argument("lines", metavar="LINE", type=int, nargs="+", choices=range(32), help="0 to 31")
    options = parser.parse_args()
    with vfu.Client(options.socket, irqs=False) as card:
        print(*(get_line(card.regions.bar2, line) for line in options.lines))


if __name__ == "__main__":
    main()
