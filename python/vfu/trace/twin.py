# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""The twin socket: the client's end goes by in the reply of VERSION, and is replaced by one of the relay's."""

from __future__ import annotations

import socket

from .. import protocol


def end_of(data: bytes, nfds: int) -> int | None:
    """Which descriptor of this message is the client's end of a twin socket, if it is the reply that has one."""
    head = protocol.Header.unpack(data)
    if not nfds or head.command != protocol.Command.VERSION or head.flags & 0x2F != 1:
        return None
    try:
        caps = protocol.Capabilities.parse(data[head.SIZE + protocol.VersionReply.SIZE :], reply=True)
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
