# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""The protocol's messages as objects: their fields, flags and values by name, as bytes, and their rules.

All of it is generated from the specification (spec/ of the sources; doc/gen/protocol.rst is the same to read). A
request and a reply are a class each, DmaMapRequest and DmaMapReply, and so is what lies in one, SparseMmap. Their help
says what the fields mean. What a field is not told has its default, and build() sets what follows from the rest:
counts, offsets, lengths, and the flag that says that something follows.

    >>> from vfu.protocol import *
    >>> reply = GetRegionInfoReply(flags=RegionInfoFlags.READ, size=8192, caps=[SparseMmap(areas=[{"size": 4096}])])
    >>> data = reply.build()  # bytes: what stands behind the header
    >>> parse(Command.GET_REGION_INFO, data, reply=True, request=GetRegionInfoRequest()).caps[0].areas
    [SparseMmapArea(offset=0, size=4096)]

Fields that hold flags, or one of several values, give members of an enum.IntFlag or enum.IntEnum, which are numbers,
too, and take any number. Bits without a name are kept; a value without one is a plain int.

    >>> from vfu.protocol import *
    >>> reply = GetRegionInfoReply(flags=3, index=77)
    >>> reply.flags |= RegionInfoFlags.CAPS | 1 << 20
    >>> reply.flags
    RegionInfoFlags.READ|RegionInfoFlags.WRITE|RegionInfoFlags.CAPS|0x100000
    >>> RegionInfoFlags.READ in reply.flags, GetRegionInfoReply().index, reply.index
    (True, RegionIndex.BAR0, 77)

parse() takes what the C library takes, and raises Fault, a ValueError, for the first rule that is broken: it has
message, field, rule, offset in bytes, value, and errno, which the peer would get. check() looks at the same and makes
nothing. CLASS.parse(data) is the same of one class, and CLASS.unpack(data) reads the fields alone and looks at no
rule. limits=Limits(...) is what two sides have agreed on, policy=Policies(...) how one sees what the protocol leaves
open. What a field cannot hold is a TypeError or ValueError of build().

    >>> from vfu.protocol import *
    >>> parse(Command.DMA_MAP, DmaMapRequest(size=0).build())
    Traceback (most recent call last):
    vfu_protocol.Fault: dma_map: size is at least 1 (is 0x0, offset 24)

Header is what each message begins with. MESSAGES says who sends a message, and which classes and rules it has,
CAPABILITIES the same of the keys of VERSION, which Capabilities holds, and POLICIES of the choices. client.call() sends
such objects, and methods on_NAME of a device get and return them: help(vfu.Client.call), help(vfu.Device).
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vfu_protocol import *  # noqa: F403
    from vfu_protocol import __all__  # noqa: F401
else:
    # The generated module takes longer to read than the rest of the package: only who uses it waits for it.

    def _load():
        import vfu_protocol

        globals().update({name: getattr(vfu_protocol, name) for name in ("__all__", *vfu_protocol.__all__)})

    def __getattr__(name):
        if name == "__all__" or not name.startswith("_"):
            _load()
            if name in globals():
                return globals()[name]
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__():
        _load()
        return sorted(globals())
