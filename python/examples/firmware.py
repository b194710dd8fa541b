#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Places the BARs of a served device, as firmware does, and prints them and what its capabilities say.

    vfu serve counter.py --socket-path=/tmp/counter.sock &
    python3 firmware.py /tmp/counter.sock

Some devices refuse all accesses to their BARs before that.
"""

from __future__ import annotations

import argparse

import vfu


def main() -> None:
    parser = argparse.ArgumentParser(description="Places the BARs of a device.")
    parser.add_argument("socket", metavar="SOCKET", help="where the device is served")
    with vfu.Client(parser.parse_args().socket, irqs=False) as dev:
        for bar in dev.assign_bars(memory=range(0xE000_0000, 0xF000_0000)):
            kind = "I/O" if bar.io else "memory"
            name = f"BAR {bar.bar}" if bar.bar < 6 else "ROM"
            print(f"{name}: {bar.size} bytes of {kind} at {bar.address:#x}")
        for capability in dev.config.capabilities:
            print(f"{capability.name}: {capability.fields}")
            if capability.name == "MSI-X":
                print(f"vector 0: {dev.config.msix()[0]}")


if __name__ == "__main__":
    main()
