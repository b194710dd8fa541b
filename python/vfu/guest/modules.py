# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""A kernel's modules: all of them on a disk, which the guest mounts when it wants the first; those that it needs for
that in the initramfs.

    /lib/modules/VERSION --mksquashfs--> modules.squashfs    (any modprobe)
                         --decompressed--> BOOT's            (virtio_blk, squashfs)
"""

import gzip
import lzma
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from .errors import GuestError, Unavailable

BOOT = ("virtio_blk", "squashfs")


def canonical(name: str) -> str:
    """A module's name as the kernel says it, of its name in any spelling or its file."""
    return re.sub(r"\.ko(\.\w+)?$", "", name.rpartition("/")[2]).replace("-", "_")


class Modules:
    """The directory /lib/modules/VERSION of a kernel, here or somewhere else."""

    def __init__(self, directory: Path):
        self.directory = directory
        self._needs: dict[str, list[str]] = {}
        for line in (directory / "modules.dep").read_text().splitlines():
            file, _, needs = line.partition(":")
            self._needs[canonical(file)] = [file, *needs.split()]
        builtin = directory / "modules.builtin"
        self._builtin = {canonical(line) for line in builtin.read_text().split()} if builtin.exists() else set()

    def names(self) -> list[str]:
        """All that modprobe can be asked for."""
        return sorted({*self._needs, *self._builtin})

    def files(self, names: Sequence[str]) -> list[Path]:
        """What has to be loaded for these, in order; nothing for what the kernel has built in."""
        found: dict[str, None] = {}
        for name in map(canonical, names):
            if name in self._builtin:
                continue
            if name not in self._needs:
                raise GuestError(f"the kernel has no module {name}")
            # modules.dep lists what is needed last first.
            found.update(dict.fromkeys(reversed(self._needs[name])))
        return [self.directory / file for file in found]


def read(file: Path) -> bytes:
    """A module's content, decompressed."""
    data = file.read_bytes()
    if file.suffix == ".xz":
        return lzma.decompress(data)
    if file.suffix == ".gz":
        return gzip.decompress(data)
    if file.suffix == ".zst":
        zstd = shutil.which("zstd")
        if zstd is None:
            raise Unavailable(f"{file} is compressed with zstd: install zstd")
        return subprocess.run([zstd, "-q", "-d", "-c"], input=data, stdout=subprocess.PIPE, check=True).stdout
    return data


def needs(module: bytes) -> list[str]:
    """The modules that the content of one says it depends on."""
    found = re.search(rb"\0depends=([^\0]*)\0", module)
    return found[1].decode().split(",") if found and found[1] else []


def make_disk(directory: Path, to: Path, mksquashfs: Sequence[str]) -> None:
    """A file system of all modules, for they are compressed already, as they are."""
    done = subprocess.run(
        [*mksquashfs, str(directory), str(to), "-noI", "-noD", "-noF", "-noX", "-all-root", "-no-progress", "-quiet",
         "-no-xattrs", "-e", "build", "source"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )
    if done.returncode != 0:
        raise GuestError(f"mksquashfs of {directory}: {done.stderr.strip()}")
