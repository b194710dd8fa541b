# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""A relay between a client and a server that notes what goes by: vfu trace.

    client --> pump --> server      Link: two sockets, a pump each way, in C (bindings/relay.c). A thread each:
    client <-- pump <-- server      what one side does not read the other cannot write, as without the relay.
                |
             Recorder               messages were noted in the order in which they went on; writes them as pcapng to
                |                   a file, or to a pipe: what that does not take waits in memory, not in the way
                v
    another process: pcapng.read() -> Decoder -> filter -> lines, JSON, pcapng

twin.py puts a Link of its own into the twin socket, whose descriptor goes by in the reply of VERSION.
"""

from .filters import Filter
from .pcapng import Record, read
from .recorder import Recorder
from .relay import Relay

__all__ = ["Filter", "Record", "Recorder", "Relay", "read"]
