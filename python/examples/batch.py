# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Many registers written at once: a palette of 256 colours travels in two messages.

    vfu serve batch.py --socket-path=/tmp/palette.sock &
    python3 batch.py /tmp/palette.sock
"""

import sys

import vfu


class Palette(vfu.Device):
    vendor_id, device_id, class_code = 0x1234, 0x9A1E, 0x038000
    bar0 = vfu.Bar(size=4096)
    colours = bar0.reg32(0, count=256)


def main(path: str) -> None:
    with vfu.Client(path) as dev:
        bar0 = dev.regions.bar0
        before = dev.stats["requests_out"]
        with dev.posting():
            for i in range(256):
                bar0.write32(4 * i, i << 16 | i << 8 | i)
        print("messages:", dev.stats["requests_out"] - before)
        print(f"colour 100: {bar0.read32(4 * 100):06x}")


if __name__ == "__main__":
    main(sys.argv[1])
