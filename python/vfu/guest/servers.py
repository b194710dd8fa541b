# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Processes that serve devices to a guest."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from .boot import signal_name

# How long a server may take to end when told to, in seconds.
PATIENCE = 10.0


def serve_command(*arguments: str) -> list[str]:
    """`vfu serve` of this very package."""
    return [sys.executable, "-m", "vfu", "serve", *arguments]


class Server:
    """One of them. The socket listens before it runs: whoever connects waits for it, not for a file to appear.

    command: gets --fd=N added. name: for people. stderr: a file for what it says on either stream, our stderr unless
    given, for stdout is the guest's.
    told: whether somebody knows that it has ended by itself."""

    def __init__(self, command: Sequence[str], path: Path, name: str, stderr: int | None = None):
        self.name, self.path = name, path
        self.told = False
        # What Python looks through here, for a package that is not installed.
        environment = dict(os.environ, PYTHONPATH=os.pathsep.join(entry for entry in sys.path if entry))
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
            listener.listen(1)
            self.process = subprocess.Popen(
                [*command, f"--fd={listener.fileno()}"], env=environment, pass_fds=[listener.fileno()],
                stdin=subprocess.DEVNULL, stdout=2 if stderr is None else stderr, stderr=stderr, start_new_session=True,
            )

    def fault(self) -> str | None:
        """What is to be told if it has ended by itself, once."""
        status = self.process.poll()
        if status is None or self.told:
            return None
        self.told = True
        return f"the server of {self.name} has ended {signal_name(status)}"

    def stop(self) -> int | None:
        """Ends it politely; its exit status, or None if it had to be killed."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return None
        finally:
            self.path.unlink(missing_ok=True)
