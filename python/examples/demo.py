# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Serves counter.py in a process of its own and uses it: registers, DMA, interrupts."""

import os
import subprocess
import sys
import tempfile
import time

import vfu

COUNTER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "counter.py")


def connect(path, server):
    """Connects once the server listens."""
    for _ in range(100):
        try:
            return vfu.Client(path)
        except (FileNotFoundError, ConnectionRefusedError, vfu.Error):
            if server.poll() is not None:
                sys.exit("the server has ended")
            time.sleep(0.05)
    sys.exit("the server does not listen")


def use(dev):
    print(f"connected: vendor {dev.config.vendor_id:#06x}, device {dev.config.device_id:#06x}, {dev.info}")
    bar0 = dev.regions.bar0

    bar0.write32(0x00, 42)
    print(f"register:  wrote 42 to ticks, read back {bar0.read32(0x00)}")

    for kind, shared in (("the device maps it", True), ("by messages", False)):
        ram = dev.dma.alloc(4096, iova=0x8000_0000, shared=shared)
        bar0.write32(0x04, ram.iova)
        fired = dev.irqs.msix[0].wait(timeout=5)
        print(f"DMA write: {kind}: memory says {bytes(ram[:5])!r}, {fired} interrupt(s), done = {bar0.read32(0x08)}")

        ram[:64] = bytes(range(64))
        bar0.write32(0x0C, ram.iova)
        fired = dev.irqs.msix[1].wait(timeout=5)
        print(f"DMA read:  {kind}: sum is {bar0.read32(0x10)} (expected {sum(range(64))}), {fired} interrupt(s)")
        dev.dma.unmap(ram)

    dev.reset()
    print(f"reset:     ticks = {bar0.read32(0x00)}, done = {bar0.read32(0x08)}")


def main():
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "counter.sock")
        command = [sys.executable, "-m", "vfu", "serve", COUNTER, f"--socket-path={path}"]
        with subprocess.Popen(command) as server:
            try:
                with connect(path, server) as dev:
                    use(dev)
            finally:
                server.terminate()
        print(f"server:    ended with status {server.returncode}")
        return server.returncode


if __name__ == "__main__":
    sys.exit(main())
