# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""The guest's first file system: cpio archives of the format "newc", which the kernel unpacks one after the other."""

import stat
from pathlib import Path


class Archive:
    """One of them. Paths have no slash in front; directories come by themselves."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._directories = {""}

    def file(self, path: str, content: bytes | Path, mode: int = 0o644) -> None:
        """A file; one that is here already keeps its mode."""
        if isinstance(content, Path):
            mode, content = content.stat().st_mode & 0o777, content.read_bytes()
        self._add(path, stat.S_IFREG | mode, content)

    def link(self, path: str, target: str) -> None:
        """A symbolic link."""
        self._add(path, stat.S_IFLNK | 0o777, target.encode())

    def directory(self, path: str) -> None:
        """A directory, and those above."""
        if path not in self._directories:
            self._directories.add(path)
            self._add(path, stat.S_IFDIR | 0o755, b"")

    def content(self) -> bytes:
        """The archive, whole; another may follow."""
        return b"".join([*self._parts, self._entry("TRAILER!!!", 0, b"")])

    def _add(self, path: str, mode: int, content: bytes) -> None:
        self.directory(path.rpartition("/")[0])
        self._parts.append(self._entry(path, mode, content))

    def _entry(self, path: str, mode: int, content: bytes) -> bytes:
        name = path.encode() + b"\0"
        fields = (len(self._parts) + 1, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name), 0)
        head = b"070701" + b"".join(b"%08X" % field for field in fields) + name
        return head + bytes(-len(head) % 4) + content + bytes(-len(content) % 4)
