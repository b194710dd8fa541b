# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""nvme.py, of which check-qemu makes sure: Linux's own driver makes a file system on it, and what is written outlives the
guest, and a server that is killed. Its rates are shown beside those of the nvme that QEMU has built in."""

import contextlib
import tempfile
import time
from pathlib import Path

from vfu import guest
from vfu.guest.boot import Lines

# Only hanging counts.
SECONDS = 900

SIZE = 64 << 20
BUILT_IN = 0x17  # the slot of QEMU's own

# What guest/nvme.sh says before the rates, by guest: the first with shared RAM, the second by messages.
KEPT = "8 files written, and the same when mounted again"
GUESTS = {
    "disk, shared RAM": (True, ["vfu NVMe 64 MiB", "a new file system", KEPT]),
    "disk, private RAM": (False, ["vfu NVMe 64 MiB", "an earlier guest's file system, 8 files are as they were", KEPT]),
}


class Checks:
    def __init__(self, report, examples, kit, log_path, complaints):
        self._report, self._examples, self._kit = report, examples, kit
        self._log_path, self._complaints = log_path, complaints

    def all(self):
        with tempfile.TemporaryDirectory(prefix="check-disk.") as name:
            self._directory = Path(name)
            (self._directory / "built-in").write_bytes(b"")
            with open(self._directory / "built-in", "r+b") as file:
                file.truncate(SIZE)
            for number, (name, (share, wanted)) in enumerate(GUESTS.items()):
                with self._served(name, number) as server:
                    self._boot(name, server, share, wanted)

    @contextlib.contextmanager
    def _served(self, name, number):
        """A server that has no time to put anything in order."""
        with open(self._log_path(name + " server"), "w") as log:
            command = guest.serve_command(str(self._examples / "nvme.py"), f"file={self._directory / 'disk'}", f"size={SIZE}")
            server = guest.Server(command, self._directory / f"nvme{number}", "nvme", stderr=log)
        try:
            yield server
            self._is(name, "the server's fault", server.fault(), None)
        finally:
            server.process.kill()
            server.process.wait()
        said = self._log_path(name + " server").read_text()
        self._is(name, "what the server had to say before SIGKILL", said, "")

    def _boot(self, name, server, share, wanted):
        said = []

        def line(text):
            said.append(text)
            if len(said) == 2:  # the guest uses it
                maps = Path(f"/proc/{server.process.pid}/maps").read_text()
                self._is(name, "whether the server has mapped the RAM", "/memfd:memory-backend-memfd" in maps, share)

        drive = f"file={self._directory / 'built-in'},if=none,id=built-in,format=raw"
        arguments = ["-drive", drive, "-device", f"nvme,drive=built-in,serial=1,addr={BUILT_IN:#x}"]
        machine = guest.Machine([guest.Slot(str(server.path))], share, memory="256M", arguments=arguments)
        task = guest.Task((self._examples / "guest" / "nvme.sh").read_bytes(), drivers=["nvme"])
        start = time.monotonic()
        with open(self._log_path(name + " guest"), "wb", 0) as log, open(self._log_path(name + " console"), "wb", 0) as console:
            try:
                outcome = guest.run(
                    machine, task, self._kit, stdout=Lines(line), stderr=log.write, console=console.write, timeout=SECONDS
                )
            except guest.GuestError as error:
                self._report.line(False, name, str(error))
                return
        self._is(name, f"exit status after {time.monotonic() - start:.1f} s", outcome.status, 0)
        self._is(name, wanted[1], said[:3], wanted)
        rates = [text for text in said[3:] if "MiB/s" in text]
        self._is(name, "; ".join(rates), len(rates), 2)
        found = self._complaints.search(self._log_path(name + " console").read_text(errors="replace"))
        self._is(name, "complaints of the guest's kernel", found and found[0], None)

    def _is(self, name, what, have, wanted):
        self._report.line(have == wanted, name, what if have == wanted else f"{what}: {have!r}, should be {wanted!r}")
