# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Serves counter.py in a process of its own and uses it: registers, DMA, interrupts; then shows what went by.

    this program: vfu.Client --traced.sock-- vfu trace --counter.sock-- vfu serve counter.py
                                                |
                                                v demo.pcapng

What it prints behind >>> and $ is what it runs.
"""

import os
import shlex
import subprocess
import sys
import tempfile
import time

import vfu

HERE = os.path.dirname(os.path.abspath(__file__))

# A line, and what it is about.
STEPS = (
    ("dev.info", "what the server says of its device"),
    ("bar0 = dev.regions.bar0", ""),
    ("bar0.write32(0x00, 42)", "a register that is plain storage"),
    ("bar0.read32(0x00)", ""),
    ("ram = dev.dma.alloc(4096)", "memory for the device, which maps it"),
    ("bar0.write32(0x04, ram.iova)", "has the device write there, and interrupt"),
    ("dev.irqs.msix[0].wait(timeout=30)", "the interrupts that came"),
    ("bytes(ram[:5])", ""),
    ("far = dev.dma.alloc(4096, shared=False)", "memory that it cannot map: by messages"),
    ("far[:64] = bytes(range(64))", ""),
    ("bar0.write32(0x0C, far.iova)", "has the device read there, and interrupt"),
    ("dev.irqs.msix[1].wait(timeout=30)", ""),
    ("bar0.read32(0x10)", "the sum of what it has read"),
    ("dev.reset()", ""),
    ("bar0.read32(0x00)", "as new"),
)


def start(directory, *words):
    """A process that serves a socket, once it does."""
    print("$ vfu", shlex.join(words), "&", flush=True)
    process = subprocess.Popen([sys.executable, "-m", "vfu", *words], cwd=directory)
    socket = next(word for word in words if word.endswith(".sock")).removeprefix("--socket-path=")
    while not os.path.exists(os.path.join(directory, socket)):
        if process.poll() is not None:
            sys.exit(f"vfu {words[0]} has ended")
        time.sleep(0.01)
    return process


def use(dev):
    names = {"dev": dev}
    for line, about in STEPS:
        print(f">>> {line:41}# {about}" if about else f">>> {line}", flush=True)
        exec(compile(line, "<demo>", "single"), names)


def main():
    with tempfile.TemporaryDirectory() as directory:
        os.symlink(os.path.join(HERE, "counter.py"), os.path.join(directory, "counter.py"))
        server = start(directory, "serve", "counter.py", "--socket-path=counter.sock")
        trace = start(directory, "trace", "traced.sock", "counter.sock", "-w", "demo.pcapng", "--one-client")
        print(">>> dev = vfu.Client('traced.sock')")
        try:
            with vfu.Client(os.path.join(directory, "traced.sock")) as dev:
                use(dev)
            trace.wait(30)
            words = ["trace", "--read", "demo.pcapng", "--filter", "region_write.offset == 0xc or dma_read"]
            print("$ vfu", shlex.join(words), flush=True)
            subprocess.run([sys.executable, "-m", "vfu", *words], cwd=directory)
        finally:
            trace.terminate()
            server.terminate()
        print(f"the server's exit status is {server.wait(30)}")
        return server.returncode


if __name__ == "__main__":
    sys.exit(main())
