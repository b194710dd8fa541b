# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""vfu.aio has all that vfu.Client has, and the other way round: the public names of both, and those of their parts, are
the same, but for those in a table that says why; so are the arguments of what both have."""

import inspect

import pytest

import vfu
import vfu.aio

OWN_LOOP = "is of event loops of one's own"
BEGUN = dict.fromkeys(("read_async", "write_async"), "is what coroutines are")
ASKED = "is asked of the device: of what `await info()` returns"

# (vfu's, vfu.aio's, {name that only one has: why})
PARTS = [
    (
        vfu.Client,
        vfu.aio.Client,
        {
            **dict.fromkeys(("fileno", "poll_timeout", "process", "set_reader", "flush"), OWN_LOOP),
            "serve": "the event loop does",
            "run": "is for functions that wait",
        },
    ),
    (vfu.ClientDma, vfu.aio.Dma, {}),
    (vfu.Regions, vfu.aio.Regions, {}),
    (
        vfu.Region,
        vfu.aio.Region,
        dict.fromkeys(
            ("size", "flags", "areas", "type", "subtype", "readable", "writable", "mappable", "capabilities", "map"), ASKED
        )
        | BEGUN,
    ),
    (
        vfu.Config,
        vfu.aio.Config,
        {
            **dict.fromkeys(("size", "flags", "areas", "type", "subtype", "readable", "writable", "mappable", "map"), ASKED),
            **BEGUN,
            "set": "stands for assignments, which cannot be awaited",
        },
    ),
    (vfu.ClientMsix, vfu.aio.Msix, {}),
    (vfu.ClientIrqs, vfu.aio.Irqs, {}),
    (vfu.ClientIrq, vfu.aio.Irq, {"count": ASKED, "flags": ASKED, "info": "is where those are", "fd": "is looked at by the event loop"}),
    (vfu.ClientVector, vfu.aio.Vector, {"fd": "is looked at by the event loop"}),
]

# Of what both have, those with other arguments.
OTHER_ARGUMENTS = {"info": "is awaited"}


def names(kind):
    """Those that a class has, or says that its objects have."""
    said = {name for one in kind.__mro__ if one.__module__.startswith("vfu") for name in inspect.get_annotations(one)}
    return {name for name in {*dir(kind), *said} if not name.startswith("_")}


@pytest.mark.parametrize("plain, other, only", PARTS, ids=[plain.__name__ for plain, _, _ in PARTS])
def test_names(plain, other, only):
    assert names(plain) ^ names(other) == set(only)


@pytest.mark.parametrize("plain, other, only", PARTS, ids=[plain.__name__ for plain, _, _ in PARTS])
def test_arguments(plain, other, only):
    for name in names(plain) & names(other) - OTHER_ARGUMENTS.keys():
        mine, theirs = getattr(plain, name, None), getattr(other, name, None)
        if inspect.isfunction(mine):
            assert inspect.isfunction(theirs), name
            assert [
                (one.name, one.kind, one.default) for one in inspect.signature(mine).parameters.values()
            ] == [(one.name, one.kind, one.default) for one in inspect.signature(theirs).parameters.values()], name


def test_connecting():
    """connect() takes what a Client is made with."""
    made = [*inspect.signature(vfu.Client).parameters]
    made.remove("background")  # what the event loop is
    assert made == [*inspect.signature(vfu.aio.connect).parameters]
