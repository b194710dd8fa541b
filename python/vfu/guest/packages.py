# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Debian's packages, unpacked below a directory: not installed, and without root.

They come through apt with a configuration of its own, from the mirror that this machine's apt uses already:

    this machine's apt --mirror--> Apt.directory: lists and archives of ours --dpkg -x--> a root
"""

import os
import re
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from .errors import Unavailable

# What is told of a step that takes long: its name and how much of it is done, 0.0 to 1.0.
Progress = Callable[[str, float], None]

SUITE = "trixie"
BACKPORTS = SUITE + "-backports"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
OUTSIDE = (
    "this is not Debian on amd64, where all a guest needs would be fetched: give --kernel (a Linux kernel for x86-64) "
    "and --qemu (QEMU 11.1 or newer, or have it on PATH), and have busybox on PATH; lspci, setpci and, for modules, "
    "mksquashfs if wanted"
)

CONFIGURATION = """\
APT::Architecture "amd64";
APT::Architectures { "amd64"; };
APT::Install-Recommends "false";
APT::Sandbox::User "";
Acquire::Languages "none";
Debug::NoLocking "true";
Dir::State "%(dir)s";
Dir::State::status "%(dir)s/status";
Dir::Cache "%(dir)s";
Dir::Etc::sourcelist "%(dir)s/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
"""


def output(command: Sequence[str], environment: Mapping[str, str] | None = None) -> str:
    """What a command prints; "" if there is no such command, or it fails."""
    try:
        done = subprocess.run(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
    except OSError:
        return ""
    return done.stdout if done.returncode == 0 else ""


def codename(os_release: str) -> str | None:
    """Which Debian a file /etc/os-release speaks of; None if of none."""
    fields = dict(re.findall(r'^(\w+)="?([^"\n]*)"?$', os_release, re.MULTILINE))
    return fields.get("VERSION_CODENAME", "sid") if fields.get("ID") == "debian" else None


def find_mirror() -> str:
    """Where the main archive is, as apt itself reads its configuration: in either format, wherever the files are."""
    try:
        name = codename(Path("/etc/os-release").read_text())
    except OSError:
        name = None
    if name is None or output(["dpkg", "--print-architecture"]).strip() != "amd64":
        raise Unavailable(OUTSIDE)
    if not os.access(KEYRING, os.R_OK):
        raise Unavailable(f"there is no {KEYRING}: install the package debian-archive-keyring")
    wanted = "$(RELEASE) $(COMPONENT) $(REPO_URI)"  # apt expands these
    targets = output(["apt-get", "indextargets", "--format", wanted, "Created-By: Packages"])
    for line in targets.splitlines():
        release, component, uri = line.split(" ", 2)
        if release in (name, "stable", "testing", "unstable", "sid") and component == "main":
            return uri
    raise Unavailable(f"apt's configuration has no mirror for {name} main")


class Apt:
    """An apt of its own in a directory, which fetches packages of SUITE and BACKPORTS for amd64."""

    def __init__(self, directory: Path, progress: Progress):
        self.directory = directory
        self._progress = progress
        self._environment = dict(os.environ, APT_CONFIG=str(directory / "apt.conf"), LC_ALL="C")

    def update(self) -> None:
        """Reads the lists of packages, once; raises Unavailable without a mirror or network."""
        if (self.directory / "apt.conf").exists():
            return
        mirror = find_mirror()
        for part in "lists/partial", "archives/partial":
            (self.directory / part).mkdir(parents=True, exist_ok=True)
        (self.directory / "status").touch()
        sources = [f"deb [arch=amd64 signed-by={KEYRING}] {mirror} {suite} main\n" for suite in (SUITE, BACKPORTS)]
        (self.directory / "sources.list").write_text("".join(sources))
        (self.directory / "apt.conf").write_text(CONFIGURATION % {"dir": self.directory})
        for attempt in range(3):  # a mirror in the middle of a sync is right again soon
            if attempt:
                time.sleep(20)
            said = self._run("lists of packages", "update", "-qq", "-o", "APT::Update::Error-Mode=any")
            if said is None:
                return
        (self.directory / "apt.conf").unlink()
        raise Unavailable(f"no {SUITE} and {BACKPORTS} on this machine's mirror, or no network: {said}")

    def kernel_package(self) -> str:
        """The package that linux-image-amd64 stands for."""
        text = output(["apt-cache", "depends", f"linux-image-amd64/{SUITE}"], self._environment)
        found = re.search(r"^ *Depends: *(linux-image-[0-9]\S*)$", text, re.MULTILINE)
        if not found:
            raise Unavailable(f"{SUITE} has no kernel")
        return found[1]

    def unpack(self, what: str, root: Path, packages: Sequence[str], needs: bool = True) -> None:
        """Unpacks packages into root, with all that they need or alone."""
        if needs:
            said = self._run(what, "install", "-qq", "-y", "--download-only", "-t", BACKPORTS, *packages)
        else:
            said = self._run(what, "download", "-qq", *packages)
        if said is not None:
            raise Unavailable(f"packages cannot be fetched: {said}")
        archives = sorted((self.directory / "archives").glob("*.deb"))
        for number, archive in enumerate(archives):
            self._progress(f"unpacking {what}", number / len(archives))
            subprocess.run(["dpkg", "-x", str(archive), str(root)], check=True)
            archive.unlink()
        self._progress(f"unpacking {what}", 1.0)

    def _run(self, what: str, *arguments: str) -> str | None:
        """Runs apt-get; what it complained of, or None."""
        reader, writer = os.pipe()
        complaints = self.directory / "complaints"
        with open(reader) as status, open(complaints, "w") as stderr:
            process = subprocess.Popen(
                ["apt-get", "-o", f"APT::Status-Fd={writer}", *arguments],
                cwd=self.directory / "archives", env=self._environment, pass_fds=[writer],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=stderr,
            )
            os.close(writer)
            try:
                self._progress(f"fetching {what}", 0.0)
                for line in status:
                    fields = line.split(":")
                    if fields[0] == "dlstatus":
                        self._progress(f"fetching {what}", float(fields[2]) / 100)
                process.wait()
            finally:
                if process.poll() is None:
                    process.terminate()
                    process.wait()
        if process.returncode == 0:
            self._progress(f"fetching {what}", 1.0)
            return None
        return "; ".join(complaints.read_text().split("\n")[:3]) or f"apt-get {arguments[0]} failed"
