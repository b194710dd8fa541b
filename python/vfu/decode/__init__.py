# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Messages as trees of fields, with the rule that each breaks: what vfu explain and vfu trace show.

    bytes -> split() -> Decoder.message() -> Message -> text.lines(), text.as_dict()
                             |
             model: doc/gen/vfio-user.json      what lies where, and what it is called
             vfu_protocol.check()               which rule is broken

Everything known of the protocol comes from these two generated files. Nothing here raises for what a peer
sent: whatever can be read is shown, up to where it makes no sense.
"""

from .decoder import Decoder, Message, split
from .items import Item
from .model import Model, load

__all__ = ["Decoder", "Item", "Message", "Model", "load", "split"]
