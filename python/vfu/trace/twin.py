# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""The twin socket: the client's end goes by in the reply of VERSION, and is replaced by one of the relay's."""

from __future__ import annotations

import socket
import struct

import vfu_protocol as protocol

_HEADER = struct.Struct(protocol.Header.FORMAT)


def end_of(data: bytes, nfds: int) -> int | None:
    """Which descriptor of this message is the client's end of a twin socket, if it is the reply that has one."""
    _, command, _, flags, _ = _HEADER.unpack_from(data)
    if command != protocol.Command.VERSION or flags & 0x2F != 1 or not nfds:
        return None
    try:
        caps = protocol.Capabilities.parse(data[_HEADER.size + protocol.VersionReply.SIZE :], reply=True)
    except protocol.Fault:
        return None
    twin = caps.twin_socket
    index = twin.fd_index if twin and twin.supported else None
    return index if index is not None and index < nfds else None


def interpose(fds: list[int], index: int) -> tuple[socket.socket, socket.socket]:
    """Puts the end of a new socket into fds; (the socket to the client, the socket to the server)."""
    to_client, for_client = socket.socketpair()
    to_server = socket.socket(fileno=fds[index])
    fds[index] = for_client.detach()
    to_server.setblocking(True)
    return to_client, to_server
