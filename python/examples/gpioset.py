#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Sets outputs of a served IDIO-16 card, as the gpioset of libgpiod does of a kernel's.

    vfu serve gpio.py --socket-path=/tmp/gpio.sock &
    python3 gpioset.py /tmp/gpio.sock 3=1 7=0

They stay so when it ends, for a device's state outlives its connections; see gpioget.py.
"""

from __future__ import annotations

import argparse

import vfu

OUT_LOW, OUT_HIGH = 0, 4  # of BAR 2; each has 8 lines


def setting(text: str) -> tuple[int, int]:
    line, _, value = text.partition("=")
    if line not in map(str, range(16)) or value not in ("0", "1"):
        raise argparse.ArgumentTypeError(f"{text!r} is not LINE=VALUE, with a line from 0 to 15 and a value of 0 or 1")
    return int(line), int(value)


def set_line(bar: vfu.Region, line: int, value: int) -> None:
    port, bit = OUT_HIGH if line >= 8 else OUT_LOW, 1 << line % 8
    others = bar.read8(port) & ~bit
    bar.write8(port, others | (bit if value else 0))


def main() -> None:
    parser = argparse.ArgumentParser(description="Sets outputs.")
    parser.add_argument("socket", metavar="SOCKET", help="where the card is served")
    parser.add_argument("settings", metavar="LINE=VALUE", type=setting, nargs="+", help="0=0 to 15=1")
    options = parser.parse_args()
    with vfu.Client(options.socket, irqs=False) as card:
        for line, value in options.settings:
            set_line(card.regions.bar2, line, value)


if __name__ == "__main__":
    main()
