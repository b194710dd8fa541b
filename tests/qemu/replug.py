# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Takes a device out of a running guest and puts it in again, as somebody at the machine would: QMP.

    guest: "unplug" ---> device_del, DEVICE_DELETED ---> guest: sees it go
    guest: "plug"   ---> device_add                 ---> guest: sees it come, and uses it anew

QEMU 11.1.3 itself aborts when a device with MSI-X is taken out: this is for others.
"""

import contextlib
import json
import socket
import threading

# Only hanging counts.
SECONDS = 300


class Qmp:
    """A connection to QEMU's monitor."""

    def __init__(self, path):
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(SECONDS)
        self._socket.connect(str(path))
        self._lines = self._socket.makefile("r")
        self._events = []
        self._next()
        self.execute("qmp_capabilities")

    def close(self):
        self._lines.close()
        self._socket.close()

    def execute(self, command, **arguments):
        """Raises RuntimeError with what QEMU has against it."""
        self._socket.sendall(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
        while "event" in (answer := self._next()):
            self._events.append(answer)
        if "error" in answer:
            raise RuntimeError(f"{command}: {answer['error']['desc']}")
        return answer["return"]

    def await_event(self, name, **data):
        """Until there was one with such data."""
        while not any(event["event"] == name and data.items() <= event["data"].items() for event in self._events):
            self._events.append(self._next())

    def _next(self):
        line = self._lines.readline()
        if not line:
            raise RuntimeError("QEMU has ended")
        return json.loads(line)


def unplug(qmp, device):
    qmp.execute("device_del", id=device["id"])
    qmp.await_event("DEVICE_DELETED", device=device["id"])


def plug(qmp, device):
    qmp.execute("device_add", **device)


class Step(threading.Thread):
    """One of these, beside the loop that passes on what the guest says. device: what device_add takes."""

    def __init__(self, what, path, device):
        super().__init__(daemon=True)
        self._what, self._path, self._device, self._fault = what, path, device, None
        self.start()

    def run(self):
        try:
            with contextlib.closing(Qmp(self._path)) as qmp:
                self._what(qmp, self._device)
        except (OSError, RuntimeError) as error:
            self._fault = error

    def outcome(self):
        """When it is over."""
        self.join()
        return f"{self._what.__name__}: {self._fault or 'done'}"
