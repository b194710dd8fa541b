# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""A connection that ends, and comes again."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Literal, NamedTuple

import libvfu as c

if TYPE_CHECKING:
    from . import Client

_EVENTS: tuple[Literal["lost", "restored", "ended"], ...] = ("lost", "restored", "ended")
_STATES: tuple[Literal["unknown", "kept", "lost"], ...] = ("unknown", "kept", "lost")


class Link(NamedTuple):
    """What has become of a connection that has ended, of Client(reconnect=): dev.link, and what on_link is told.

    event: "lost": it has ended; "restored": there is another; "ended": there is none, and it is not tried any more; None: it
    is the first. state: whether the device's own state, its registers and the like, is what it was, after "restored": "kept",
    "lost" or "unknown". attempts: since it was lost. restored: how often there was another. posts: posted writes which the
    device may not have seen. cause: the error that ended the connection, or the last attempt.
    """

    event: Literal["lost", "restored", "ended"] | None
    state: Literal["unknown", "kept", "lost"]
    attempts: int
    restored: int
    posts: int
    cause: OSError | None


def link_of(raw: tuple[int, int, int, int, int, OSError | None]) -> Link:
    event, state, attempts, restored, posts, cause = raw
    is_first = not restored and not attempts and cause is None
    return Link(None if is_first else _EVENTS[event], _STATES[state], attempts, restored, posts, cause)


def watch(client: Client, handle: c.vfu_client) -> None:
    """Has the client told of its connection. The handle does not keep the client, nor what that tells."""
    known = weakref.ref(client)

    def told(raw: tuple[int, int, int, int, int, OSError | None]) -> None:
        if (client := known()) is not None:
            client._tell(link_of(raw))

    handle.told = told
    c.client_set_link(handle, told)
