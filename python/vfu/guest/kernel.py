# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Linux kernels as files."""

import mmap
import re
import struct
import subprocess
from collections.abc import Sequence
from pathlib import Path

from .errors import GuestError, Unusable


def is_image(head: bytes) -> bool:
    """Does a file that starts so carry the boot protocol's header, as bzImages do?"""
    return head[0x202:0x206] == b"HdrS"


def version(path: Path) -> str | None:
    """What uname -r will say; None where the file does not tell."""
    try:
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            if is_image(data[:0x210]):
                at = struct.unpack_from("<H", data, 0x20E)[0] + 0x200
                return bytes(data[at : at + 256]).split(b"\0")[0].split(b" ")[0].decode()
            if data[:4] != b"\x7fELF":
                raise Unusable(f"{path} is no Linux kernel: neither a bzImage nor an ELF file")
            found = re.search(rb"Linux version (\d\S*) ", data)
            return found[1].decode() if found else None
    except (OSError, ValueError) as error:
        raise Unusable(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from None


def unpack(image: Path, to: Path, zstd: Sequence[str]) -> None:
    """The ELF file within a bzImage: QEMU starts it at once, while the image would unpack itself in the guest, which
    takes seconds. It is at payload_offset after the set-up sectors, payload_length bytes, of which the last four are a
    length that zstd does not know."""
    data = image.read_bytes()
    offset = (data[0x1F1] + 1) * 512 + struct.unpack_from("<I", data, 0x248)[0]
    length = struct.unpack_from("<I", data, 0x24C)[0]
    with open(to, "wb") as out:
        done = subprocess.run([*zstd, "-q", "-d", "-c"], input=data[offset : offset + length - 4], stdout=out)
    if done.returncode != 0:
        raise GuestError(f"the payload of {image} is not of zstd")
