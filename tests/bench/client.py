# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""client.py DIRECTORY SOCKET PID [ROUNDS]: a client in Python, against the bare socket.

DIRECTORY has limit, PID is the server's. As load does in its mode cputime it takes turns with the bare socket,
pins both ends to CPU 0, counts the processor time of both, and prints the medians.
"""

import os
import statistics
import subprocess
import sys
import time

import vfu

OPERATIONS = 20000

# What limit calls it: (title, most that it should cost, one operation of a region)
ROWS = {
    "read4": ("4 B read of a Python client", 1.5, lambda bar: bar.read32(0)),
    "post1": ("posted 4 B write of one", None, lambda bar: bar.write32(0, 1, post=True)),
}


def measure_bare(directory: str, row: str) -> float:
    command = [f"{directory}/limit", f"--rows={row}", "--mode=cputime", "--rounds=1"]
    return float(subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout.split()[-1])


def cpu_ns(pid: int) -> int:
    """Of this process and of that one, whose clock has a number made of its own: see clock_getcpuclockid(3)."""
    return time.process_time_ns() + time.clock_gettime_ns(~pid << 3 | 2)


def measure(bar: vfu.Region, operation, pid: int) -> float:
    """Nanoseconds for one; the first round warms up, and a read tells that all that was posted is done."""
    for _ in range(2):
        start = cpu_ns(pid)
        for _ in range(OPERATIONS):
            operation(bar)
        bar.read32(0)
    return (cpu_ns(pid) - start) / OPERATIONS


def main(directory: str, path: str, pid: str, rounds: str = "5") -> None:
    for process in (0, int(pid)):
        os.sched_setaffinity(process, {0})
    with vfu.Client(path) as dev:
        for row, (title, target, operation) in ROWS.items():
            bare, cost = [], []
            for _ in range(int(rounds)):
                bare.append(measure_bare(directory, row))
                cost.append(measure(dev.regions.bar0, operation, int(pid)) / bare[-1])
            middle = statistics.median(cost)
            print(f"{title:32} {statistics.median(bare):10.0f} {middle:9.2f} {min(cost):7.2f}..{max(cost):.2f}", end="")
            print(f" {target:9.2f}{'  over' if middle > target else ''}" if target else "")


main(*sys.argv[1:])
