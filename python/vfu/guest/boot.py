# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Runs QEMU, passes on what the guest says, and ends it in whatever way this ends.

    guest's ttyS0..3 --chardevs--> pipes --loop of run()--> sinks of console, stdout, stderr, control
    QEMU's stderr    ------------> pipe  ---------------'
"""

import contextlib
import os
import selectors
import signal
import subprocess
import termios
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import IO

Sink = Callable[[bytes], object]

# How long QEMU may take to end when told to, in seconds.
PATIENCE = 5.0
# How often the loop looks at servers and the time, in seconds.
INTERVAL = 0.2


class Lines:
    """A sink that calls a function with each whole line, without what ends it."""

    def __init__(self, function: Callable[[str], object]):
        self._function, self._rest = function, b""

    def __call__(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._function(line.decode(errors="replace").rstrip("\r"))


class Pipes:
    """One pipe for each sink; the writing ends are for QEMU."""

    def __init__(self, sinks: Mapping[str, Sink]):
        self._selector = selectors.DefaultSelector()
        self.writers: dict[str, int] = {}
        for name, sink in sinks.items():
            reader, self.writers[name] = os.pipe()
            self._selector.register(reader, selectors.EVENT_READ, sink)

    def close_writers(self) -> None:
        """QEMU has them."""
        for writer in self.writers.values():
            os.close(writer)
        self.writers = {}

    def pump(self, timeout: float) -> bool:
        """Passes on what has come; False once all pipes have ended."""
        for key, _ in self._selector.select(timeout):
            data = os.read(key.fd, 65536)
            if data:
                key.data(data)
            else:
                self._selector.unregister(key.fd)
                os.close(key.fd)
        return bool(self._selector.get_map())

    def close(self) -> None:
        """Lets go of all."""
        self.close_writers()
        for key in list(self._selector.get_map().values()):
            os.close(key.fd)
        self._selector.close()


@contextlib.contextmanager
def kept_terminal(wanted: bool) -> Iterator[None]:
    """QEMU makes the terminal raw, and leaves it so if it is killed."""
    if not wanted:
        yield
        return
    before = termios.tcgetattr(0)
    flags = [os.get_blocking(fd) for fd in (0, 1, 2)]
    try:
        yield
    finally:
        for fd, blocking in enumerate(flags):
            os.set_blocking(fd, blocking)
        termios.tcsetattr(0, termios.TCSADRAIN, before)


def end(process: "subprocess.Popen[bytes]") -> None:
    """Ends QEMU, politely first."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def run(
    command: Callable[[dict[str, str]], Sequence[str]],
    sinks: Mapping[str, Sink],
    *,
    terminal: bool = False,
    timeout: float | None = None,
    watch: Callable[[], bool] = lambda: True,
) -> int | None:
    """Runs QEMU to its end; its exit status, None after the timeout or once watch() says no.

    command: its command line, given the character devices. sinks: for "console", "stdout", "stderr", "control" and
    "qemu", which is QEMU's own stderr; with terminal, "stdout" is the terminal instead."""
    pipes = Pipes({name: sink for name, sink in sinks.items() if not (terminal and name == "stdout")})
    channels = {"console": "", "stdout": "stdio,mux=on,signal=off", "stderr": "", "control": ""}
    fdsets: list[str] = []
    for number, name in enumerate(channels):
        if name in pipes.writers:
            fdsets += ["-add-fd", f"fd={pipes.writers[name]},set={number}"]
            channels[name] = f"file,path=/dev/fdset/{number},append=on"
    deadline = None if timeout is None else time.monotonic() + timeout
    process: subprocess.Popen[bytes] | None = None
    try:
        with kept_terminal(terminal):
            try:
                standard: int | IO[bytes] | None = None if terminal else subprocess.DEVNULL
                process = subprocess.Popen(
                    [*command(channels), *fdsets], stdin=standard, stdout=standard, stderr=pipes.writers["qemu"],
                    pass_fds=list(pipes.writers.values()),
                    # Ctrl-C is for us; but of the terminal QEMU has to be in the foreground.
                    start_new_session=not terminal,
                )
                pipes.close_writers()
                while pipes.pump(INTERVAL):
                    if not watch() or (deadline is not None and time.monotonic() > deadline):
                        return None
                return process.wait()
            finally:
                if process is not None:
                    end(process)
    finally:
        pipes.close()


def signal_name(status: int) -> str:
    """How a process ended, in words."""
    if status < 0:
        return f"by signal {signal.Signals(-status).name}"
    return f"with status {status}"
