# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Connections: a Link for each client, and one more for its twin socket."""

from __future__ import annotations

import contextlib
import logging
import os
import select
import socket
import stat
import threading

import libvfu as c

from . import pcapng, twin
from .recorder import Recorder

logger = logging.getLogger("vfu")
CLIENT, SERVER = 0, 1


class Link:
    """Two sockets, and a thread for each direction. What one side closes is closed for the other, no more."""

    def __init__(self, relay: Relay, connection: int, to_client: socket.socket, to_server: socket.socket, is_twin: bool = False):
        self.relay, self.connection, self.is_twin = relay, connection, is_twin
        self.sockets = (to_client, to_server)
        self.is_over = False
        self.running = 2
        self.lock = threading.Lock()
        self.has_twin = False
        relay.recorder.note(pcapng.OPENED, SERVER if is_twin else CLIENT, is_twin, connection)
        self.threads = [
            threading.Thread(target=self._run, args=(side,), name=f"link {connection} {side}", daemon=True)
            for side in (CLIENT, SERVER)
        ]
        for thread in self.threads:
            thread.start()

    def shutdown(self) -> None:
        """Ends it from outside."""
        self.is_over = True
        for sock in self.sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def is_left(self) -> bool:
        """Has the client closed it?"""
        with self.lock:
            return self.running > 0 and is_closed(self.sockets[CLIENT])

    def _run(self, side: int) -> None:
        """What this side sends."""
        source, target = self.sockets[side], self.sockets[1 - side]
        look = self._look if side == SERVER and not self.is_twin else None
        try:
            by_source = c.relay_pump(source.fileno(), target.fileno(), self.relay.recorder.notes, side, self.is_twin,
                                     self.connection, look)
        except ConnectionResetError:
            by_source = True
        except OSError as error:
            logger.warning("connection %d ends: %s", self.connection, error.strerror)
            by_source, self.is_over = False, True
        if not by_source:  # nobody takes more: source must not wait for that
            with contextlib.suppress(OSError):
                source.shutdown(socket.SHUT_RD)
        self._end(side, by_source, by_source and is_closed(source))

    def _end(self, side: int, by_source: bool, both_ways: bool) -> None:
        """The other side learns it as it would without us: no more to read, or nobody there."""
        with self.lock:
            if by_source and not self.is_over:
                self.relay.recorder.note(pcapng.CLOSED, side, self.is_twin, self.connection)
                self.is_over = both_ways  # then the other direction ends because of us
            with contextlib.suppress(OSError):
                self.sockets[1 - side].shutdown(socket.SHUT_RDWR if both_ways else socket.SHUT_WR)
            self.running -= 1
            if self.running:
                return
        for sock in self.sockets:
            sock.close()
        self.relay.ended(self)

    def _look(self, data: bytes, fds: list[int]) -> list[int]:
        """The descriptors that go on: the end of a twin socket is replaced."""
        index = None if self.has_twin else twin.end_of(data, len(fds))
        if index is not None:
            self.has_twin = True
            self.relay.link(self.connection, *twin.interpose(fds, index), is_twin=True)
        return fds


class Relay:
    """Listens at a path; each client gets a connection of its own to the server."""

    def __init__(self, listen: str, server: str, recorder: Recorder):
        self.path, self.server, self.recorder = listen, server, recorder
        self.links: set[Link] = set()
        self.done: list[Link] = []
        self.closing = False
        self.changed = threading.Condition()
        self.count = 0
        self.listener = _listen(listen)

    def link(self, connection: int, to_client: socket.socket, to_server: socket.socket, is_twin: bool = False) -> None:
        """Joins these two; the link ends at once if all is about to."""
        with self.changed:
            link = Link(self, connection, to_client, to_server, is_twin)
            self.links.add(link)
            if self.closing:
                link.shutdown()

    def ended(self, link: Link) -> None:
        with self.changed:
            self.links.discard(link)
            self.done.append(link)
            self.changed.notify_all()

    def _join(self) -> None:
        """Of links that have ended no thread is left."""
        with self.changed:
            done, self.done = self.done, []
        for link in done:
            for thread in link.threads:
                thread.join()

    def _finish(self) -> None:
        """Waits until all have ended."""
        with self.changed:
            self.changed.wait_for(lambda: not self.links)
        self._join()

    def serve(self, one_client: bool = False) -> None:
        """Takes clients until it is closed; with one_client a single one, until that has gone."""
        while not self.closing and not (one_client and self.count):
            try:
                client, _ = self.listener.accept()
            except OSError:
                if self.closing:
                    break
                raise
            self._join()
            self._connect(client)
        self._finish()

    def _connect(self, client: socket.socket) -> None:
        # Who left before this one came has left for the server, too, which may have room for one.
        with self.changed:
            self.changed.wait_for(lambda: not any(link.is_left() for link in self.links))
        server = socket.socket(socket.AF_UNIX)
        try:
            server.connect(self.server)
        except OSError as error:
            logger.error("%s: %s: the client is sent away", self.server, os.strerror(error.errno or 0))
            server.close()
            client.close()
            return
        self.count += 1
        self.link(self.count, client, server)

    def close(self) -> None:
        """Ends all connections, and serve() in another thread; takes the socket away."""
        with self.changed:
            self.closing = True
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        with contextlib.suppress(OSError):
            os.unlink(self.path)
        with self.changed:
            links = list(self.links)
        for link in links:
            link.shutdown()
        self._finish()


def is_closed(sock: socket.socket) -> bool:
    """Has the other side closed both ways, as close() does, or does it only send no more?"""
    poll = select.poll()
    poll.register(sock, select.POLLHUP)
    return any(events & select.POLLHUP for _, events in poll.poll(0))


def _listen(path: str) -> socket.socket:
    """A socket at this path, which is there when it can be connected to, not before. One that nobody listens at
    any more is replaced."""
    with contextlib.suppress(OSError):
        if stat.S_ISSOCK(os.stat(path).st_mode) and not _answers(path):
            os.unlink(path)
    listener, first = socket.socket(socket.AF_UNIX), f"{path}~"
    try:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(first)  # of one that was killed
        listener.bind(first)
        try:
            listener.listen()
            os.link(first, path)
        finally:
            os.unlink(first)
    except OSError as error:
        listener.close()
        raise OSError(error.errno, f"{path}: {os.strerror(error.errno or 0)}") from None
    return listener


def _answers(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return False
        except OSError:
            return True
    return True
