# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""What both sides agreed on in VERSION: the limits that rules look at."""

from __future__ import annotations

import dataclasses

from .. import protocol


def unseen() -> protocol.Limits:
    """Where VERSION was not seen: whatever must be agreed was, and numbers are those of who says nothing."""
    widest = protocol.Limits.widest()
    agreed = {name: value for name, value in vars(widest).items() if isinstance(value, bool)}
    return dataclasses.replace(protocol.Limits(), **agreed, minor=widest.minor)


def agreed(request: protocol.VersionRequest, reply: protocol.VersionReply) -> list[protocol.Limits]:
    """Those of what the client takes, and of what the server takes."""
    asked, answered = request.data or protocol.Capabilities(), reply.data or protocol.Capabilities()
    out = []
    for own, is_server in ((asked, False), (answered, True)):
        limits = own.agree(asked, answered, server=is_server).limits(own)
        limits.minor = reply.minor
        out.append(limits)
    return out
