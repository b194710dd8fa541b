# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""help() is a manual: all that is public has prose, and the pages that people read first have what they look for.
repr() tells the state of an object, and never raises."""

import asyncio
import dataclasses
import enum
import inspect
import mmap
import pydoc
import socket
import threading

import pytest

import vfu
import vfu.aio
import vfu.guest
import vfu.pytest_plugin
import vfu.testing

MODULES = [vfu, vfu.aio, vfu.testing, vfu.pytest_plugin, vfu.guest, vfu.protocol]

# Members of these have their own manual.
FOREIGN = (int, list, tuple, OSError, mmap.mmap, enum.Enum)


def public(module):
    names = getattr(module, "__all__", None) or [
        name for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__ and callable(value)
    ]
    return {f"{module.__name__}.{name}": getattr(module, name) for name in names}


ALL = {name: thing for module in MODULES for name, thing in public(module).items()}
CLASSES = {name: thing for name, thing in ALL.items() if isinstance(thing, type)}


def own_members(cls):
    """Public methods and properties that are not inherited from another's class."""
    inherited = {name for base in cls.__mro__ for name in vars(base) if base in FOREIGN or base.__module__ != cls.__module__}
    for name in dir(cls):
        if not name.startswith("_") and (name not in inherited or name in vars(cls)):
            member = inspect.getattr_static(cls, name)
            yield name, getattr(member, "__func__", getattr(member, "func", member))


def attributes(cls):
    """Public data that is declared."""
    return [name for base in cls.__mro__ for name in vars(base).get("__annotations__", ())
            if not name.startswith("_") and base.__module__.startswith("vfu.")]


def is_prose(text):
    return bool(text) and len(text.split()) >= 2 and not text.startswith("Alias for field")


@pytest.mark.parametrize("name", [name for name, thing in ALL.items() if callable(thing)])
def test_prose(name):
    thing = ALL[name]
    text = vars(thing).get("__doc__") if isinstance(thing, type) else thing.__doc__
    assert is_prose(text), f"{name} has no docstring"
    # What dataclasses makes up.
    assert not (dataclasses.is_dataclass(thing) and text.startswith(thing.__name__ + "("))


@pytest.mark.parametrize("name", [name for name in CLASSES if not name.startswith("vfu.protocol.")])
def test_prose_of_members(name):
    """Methods and properties have docstrings; the class's says what its attributes are."""
    cls = CLASSES[name]
    for member, thing in own_members(cls):
        if callable(thing) or isinstance(thing, property):
            assert is_prose(thing.__doc__), f"{name}.{member} has no docstring"
    text = " ".join(base.__doc__ or "" for base in cls.__mro__ if base.__module__.startswith("vfu."))
    lacking = [one for one in attributes(cls) if one not in text.replace("(", " ").split() and f"{one}" not in words(text)]
    assert not lacking, f"{name}'s docstring does not name {', '.join(lacking)}"


def words(text):
    return set(text.translate(str.maketrans({sign: " " for sign in ".,:;()[]{}`'\"=+|"})).split())


def page(thing):
    return pydoc.plain(pydoc.render_doc(thing))


def test_page_of_a_device():
    text = page(vfu.Device)
    for wanted in ("self.dma", "self.irqs.msix[i].trigger()", "w1c", "reset(self)", "on_connect(self)", "on_gate(self",
                   "spawn(self", "at_reset", "feature_get_NAME", "on_NAME", "max_spawned", "registers = bar0.reg8(offset)"):
        assert wanted in text, wanted


def test_page_of_registers():
    text = page(vfu.Register) + page(vfu.Bar)
    for wanted in ("w1c", "writeonly", "on_write(self", "on_read(self", "whole", "count", "reg32(self", "range(self", "data is None"):
        assert wanted in text, wanted


def test_start_page():
    """A device and a client of ten lines each, and where to go on: all of it names that exist."""
    text = vfu.__doc__
    assert "vfu.Device" in text and "vfu.Client" in text
    for line in text.partition("Where to look")[2].splitlines():
        for name in line.partition("   ")[0].strip().split(", "):
            if name.startswith("vfu."):
                thing, missing = vfu, object()
                for part in name.split(".")[1:]:
                    thing = getattr(thing, part, missing)
                assert thing is not missing, name
    # Between both examples nothing is longer than a screen.
    assert max(len(line) for line in text.splitlines()) <= 120


def test_types_of_the_package_can_be_imported():
    """What annotations of the public classes name is there by that name."""
    for name in ("Agreed", "Buffer", "Config", "Descriptors", "DeviceInfo", "Mapping", "Raw", "Region"):
        assert name in vfu.__all__ and isinstance(getattr(vfu, name), type)


# ---- repr() ----


class Device(vfu.Device):
    vendor_id, device_id = 0x1234, 0x00AB
    bar0 = vfu.Bar(4096, mmap=True)
    irqs = vfu.Irqs(intx=1, msix=4)
    value = bar0.reg32(0)
    table = bar0.reg16(0x10, count=2)
    alarm = value.bit(0)
    history = bar0.memory(0x100, 64)


def test_repr_of_a_client(serve):
    path = serve(Device())
    dev = vfu.Client(path)
    assert repr(dev.irqs) == "<vfu.ClientIrqs 5, asked for: msix[4]>"
    assert repr(dev) == f"<vfu.Client {path} connected: 9 regions, 5 irqs>"
    assert repr(dev.regions) == "<vfu.Regions 9, asked for: none>"
    assert repr(dev.regions.bar0) == "<vfu.Region bar0: 0x1000 bytes, read, write, map>"
    assert repr(dev.regions.bar2) == "<vfu.Region bar2: none>"
    assert repr(dev.config) == "<vfu.Config config: 0x100 bytes, read, write>"
    assert repr(dev.config.capabilities[0]).startswith("<vfu.Capability MSI-X at 0x40: ")
    assert repr(dev.irqs.msix) == "<vfu.ClientIrq msix: 4 vectors, 4 armed>"
    assert repr(dev.irqs.msix[3]) == "<vfu.ClientVector msix[3], armed>"
    dev.irqs.intx.wait(timeout=0)
    assert repr(dev.irqs.msix[3]) == "<vfu.ClientVector msix[3], not armed>"
    ram = dev.dma.alloc(4096)
    assert repr(ram) == "<vfu.Buffer at iova 0x10000000: 0x1000 bytes, shared>"
    assert repr(dev.dma.alloc(100, shared=False)) == "<vfu.Buffer at iova 0x10001000: 0x1000 bytes, by messages>"
    assert repr(dev.dma) == "<vfu.ClientDma 2 ranges, 0x2000 bytes>"
    area = dev.regions.bar0.map()
    assert repr(area) == "<vfu.Mapping 0x1000 bytes>"
    area.close()
    assert repr(area) == "<vfu.Mapping closed>"
    assert repr(dev.agreed).startswith("<vfu.Agreed {")
    dev.close()
    assert repr(dev) == f"<vfu.Client {path} closed>"
    assert repr(dev.agreed) == "<vfu.Agreed, incomplete>"


def test_repr_of_a_device_and_its_server(tmp_path):
    path, device = str(tmp_path / "sock"), Device()
    assert repr(device) == "<Device 1234:00ab, not served>"
    with vfu.Server(device, path) as server:
        assert repr(server) == f"<vfu.Server {path} not running, of Device, no client>"
        server.start()
        with vfu.Client(path) as dev:
            dev.dma.alloc(4096)
            assert repr(server) == f"<vfu.Server {path} serving Device, client connected>"
            assert repr(device) == "<Device 1234:00ab, served, client connected>"
            assert repr(device.dma) == "<vfu.DeviceDma 1 ranges, 0x1000 bytes>"
            assert repr(device.dma.ranges) == "[<vfu.DmaRange 0x10000000 + 0x1000 bytes: readable writable mapped>]"
    assert repr(server) == f"<vfu.Server {path} closed, of Device>"
    assert repr(device) == "<Device 1234:00ab, not served>"
    assert repr(device.irqs) == "<vfu.DeviceIrqs intx yes, msi 0, msix 4>"
    assert repr(device.irqs.msix[1]) == "<vfu.Vector msix[1]>"
    assert repr(device.bar0) == "<vfu.Memory of 0x1000 bytes>"
    assert repr(Device.__dict__["irqs"]) == "<vfu.Irqs intx 1, msi 0, msix 4>"
    assert repr(Device.bar0) == "<vfu.Bar bar0: 0x1000 bytes>"
    assert repr(Device.value) == "<vfu.Register value: 4 bytes at 0x0>"
    assert repr(vfu.Descriptors([])) == "<vfu.Descriptors []>"


def test_repr_when_the_server_has_gone(serve, tmp_path):
    server = vfu.Server(Device(), tmp_path / "sock").start()
    dev = vfu.Client(tmp_path / "sock", irqs=False)
    server.close()
    with pytest.raises(vfu.Error):
        dev.reset()
    assert repr(dev).endswith(" disconnected>")
    assert repr(dev.regions) == "<vfu.Regions 9, asked for: none>"
    dev.close()


def test_repr_of_what_was_not_made():
    """As a debugger sees it in the traceback of a constructor."""
    for name, cls in CLASSES.items():
        if issubclass(cls, FOREIGN) or name.startswith(("vfu.protocol.", "vfu.guest.")) or cls is vfu.PinnedMemory:
            continue
        thing = cls.__new__(cls)
        assert isinstance(repr(thing), str), name
        vars(type(thing))  # and it goes without a word

    class Forgetful(vfu.Device):
        def __init__(self):
            pass

    assert repr(Forgetful()) == "<Forgetful 0000:0000, super().__init__() was not called>"
    with pytest.raises(AttributeError, match=r"super\(\).__init__\(\)"):
        Forgetful().irqs


def test_names_that_are_asked_for_are_completed(connect):
    """A prompt finds what the device is asked about when it is used."""
    dev = connect(Device(), irqs=False)
    assert {"bar0", "config"} <= set(dir(dev.regions)) and "read32" in dir(dev.regions.bar0)
    assert {"msix", "req"} <= set(dir(dev.irqs)) and {"vendor_id", "bus_master"} <= set(dir(dev.config))
    assert repr(dev.irqs) == "<vfu.ClientIrqs 5, asked for: none>"
