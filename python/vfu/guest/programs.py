# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Programs that run where they are not installed: of unpacked packages here, and of this machine in the guest."""

import os
import re
import struct
import subprocess
from pathlib import Path

from .errors import GuestError

LIBRARIES = "usr/lib/x86_64-linux-gnu"


def command(root: Path | None, program: str) -> list[str]:
    """How to run a program of an unpacked root: by its own loader, with its own libraries."""
    if root is None:
        return [program]
    libraries = root / LIBRARIES
    return [str(libraries / "ld-linux-x86-64.so.2"), "--library-path", str(libraries), str(root / program)]


def interpreter(program: Path) -> str | None:
    """The loader that an ELF program names; None if it is linked statically."""
    with open(program, "rb") as file:
        head = file.read(64)
        if head[:6] != b"\x7fELF\x02\x01":
            raise GuestError(f"{program} is no program for x86-64")
        offset, size, count = struct.unpack("<32xQ14xHH6x", head)
        file.seek(offset)
        headers = file.read(size * count)
        for at in range(0, len(headers), size):
            kind, where, length = struct.unpack_from("<I4xQ16xQ", headers, at)
            if kind == 3:
                file.seek(where)
                return file.read(length).rstrip(b"\0").decode()
    return None


def with_libraries(root: Path | None, program: str) -> dict[str, Path]:
    """A program and what it is linked with: {path in the guest: file here}."""
    path = Path(program) if root is None else root / program
    loader = interpreter(path)
    files = {"bin/" + path.name: path}
    if loader is None:
        return files
    base = "" if root is None else str(root)
    # The loader is asked, not the program run.
    traced = subprocess.run(
        command(root, program), env=dict(os.environ, LD_TRACE_LOADED_OBJECTS="1"),
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )
    for library in re.findall(r"=> (/\S+) \(", traced.stdout):
        # Its name, not where links lead: that is how it is looked for.
        files[os.path.normpath(library)[len(base):].lstrip("/")] = Path(library)
    found = Path(loader) if root is None else root / LIBRARIES / os.path.basename(loader)
    files[loader.lstrip("/")] = found
    return files
