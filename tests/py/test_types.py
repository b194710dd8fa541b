# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""The package keeps what its types promise, and they are of use to those who write devices and clients: by mypy."""

import ast
import dataclasses
import enum
import inspect
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import libvfu
import pytest
import vfu_protocol

SOURCE, BUILD = Path(os.environ["abs_srcdir"]), Path(os.environ["abs_builddir"])

# Generated modules: of the build directory if made there, else those that came with the tarball.
PLACES = [SOURCE / "bindings", BUILD / "python" / "gen", SOURCE / "python" / "gen", SOURCE / "python"]

# A client, and a device with all that a class may declare, as a user who wants everything checked writes them.
USER = '''
import asyncio
from typing import Any

from typing_extensions import assert_type

import vfu
import vfu.aio
import vfu.testing


class Counter(vfu.Device):
    vendor_id, device_id = 0x1234, 0x0001
    bar0 = vfu.Bar(size=4096)
    irqs = vfu.Irqs(intx=1, msix=4)
    ticks = bar0.reg32(0)
    table = bar0.reg32(0x100, count=4)
    status = bar0.reg16(0x10, w1c=3)
    alarm = status.bit(0)
    history = bar0.memory(0x200, 64)
    mailbox = bar0.range(0x300, 64)

    @mailbox.on_read
    def sent(self, offset: int, size: int) -> bytes:
        return bytes(size)

    @bar0.reg32(4).on_write
    async def kick(self, address: int) -> None:
        await self.dma.write(address, b"hello")
        assert_type(await self.dma.read(address, 4), bytes)
        assert_type(await self.dma.read(address, bytearray(4)), bool)
        assert_type(self.dma.ranges[0], vfu.DmaRange)
        self.ticks += 1
        self.irqs.msix[0].trigger()

    def on_dma_map(self, range: vfu.DmaRange) -> None:
        with self.dma.map(range.iova, 64).view() as view:
            assert_type(view[0], int)

    async def on_gate(self, what: vfu.Gate) -> None:
        await asyncio.sleep(0)

    def feature_get_migration(self, data: Any) -> vfu.protocol.FeatureMigration:
        return vfu.protocol.FeatureMigration(flags=vfu.protocol.MigrationCapsFlags.STOP_COPY)


device = Counter()
assert_type(device.ticks, int)
assert_type(device.table[3] + len(device.table), int)
assert_type(device.alarm, int)
device.status = 1
assert_type(device.history[0:4], bytes)
assert_type(device.bar0[0], int)
assert_type(device.bar0[0:4], bytes)
device.bar0[0:4] = b"1234"
assert_type(device.irqs.intx.raise_(), bool)
assert_type(Counter.irqs, vfu.Irqs)
assert_type(Counter.bar0, vfu.Bar)
with vfu.Server(device, "/tmp/x").start() as server, vfu.Client("/tmp/x", irqs="all") as dev:
    assert_type(server, vfu.Server)
    assert_type(dev, vfu.Client)
    assert_type(dev.regions.bar0.read(0, 4), bytes)
    assert_type(dev.regions.bar0.read(0, bytearray(4)), int)
    assert_type(dev.regions.bar0.read32(0), int)
    assert_type(dev.regions.config, vfu.Config)
    assert_type(dev.config.vendor_id, int)
    assert_type(dev.config.capabilities[0], vfu.Capability)
    assert_type(dev.regions.bar0.info.size, int)
    assert_type(dev.regions.bar0.map(), vfu.Mapping)
    assert_type(dev.irqs.msix[0].wait(timeout=1.0), int)
    assert_type(dev.irqs.msix[0:2], list[vfu.ClientVector])
    ram = dev.dma.alloc(4096)
    assert_type(ram.iova, int)
    assert_type(ram[0:5], bytes)
    dev.dma.unmap(ram)
    asked = vfu.protocol.GetRegionInfoReply(flags=3, index=vfu.protocol.RegionIndex.BAR0)
    assert_type(asked.flags, vfu.protocol.RegionInfoFlags)
    asked.flags = 7
    dev.feature_set("logging_start", vfu.protocol.FeatureLoggingStart(page_size=4096))
with vfu.testing.plug(Counter(), options={"timeout_ms": 100}) as dev:
    assert_type(dev, vfu.Client)


async def look() -> None:
    async with vfu.aio.connect("/tmp/x", timeout=1.0, irqs="all") as dev:
        assert_type(dev, vfu.aio.Client)
        assert_type(await dev.regions.bar0.read(0, 4), bytes)
        assert_type(await dev.regions.bar0.read(0, bytearray(4)), int)
        assert_type(await dev.regions.bar0.read32(0), int)
        await asyncio.gather(dev.regions.bar0.write32(0, 1), dev.regions.bar1.write(0, b"1234", post=True))
        assert_type(await dev.regions.bar0.info(), vfu.Region)
        assert_type(dev.config, vfu.aio.Config)
        assert_type(await dev.config.vendor_id, int)
        assert_type(await dev.config.capabilities(), list[vfu.Capability])
        assert_type(await dev.irqs.msix[0].wait(timeout=1.0), int)
        async for count in dev.irqs.intx:
            assert_type(count, int)
        ram = await dev.dma.alloc(4096, shared=False)
        assert_type(ram, vfu.Buffer)
        await dev.dma.unmap(ram)
        await dev.irqs.intx.mask()
        assert_type(await dev.feature(0x10001, b"data"), bytes)
        assert_type(await dev.run(lambda plain: plain.regions.bar0.size), int)
    assert_type(await vfu.aio.connect("/tmp/x"), vfu.aio.Client)
'''

# What a checker says before a device is run.
WRONG = {
    'class D(vfu.Device):\n    vendor_id = "0x1234"\n': "Incompatible types",
    "class D(vfu.Device):\n    bar0 = vfu.Bar(4096)\n    x = bar0.reg32(0)\n\nD().x = 1.5\n": "float",
    "class D(vfu.Device):\n    bar0 = vfu.Bar(4096)\n    x = bar0.reg32(0, wlc=1)\n": "overload",
    "vfu.Client(3)\n": "incompatible type",
    'vfu.Client("/tmp/x").regions.bar9\n': "bar9",
    'import vfu.aio\nvfu.aio.connect("/tmp/x", timout=1)\n': "timout",
    'import vfu.aio\nasync def f(dev: vfu.aio.Client) -> int:\n    return dev.regions.bar0.read32(0)\n': "Incompatible return",
    'import vfu.aio\nasync def f(dev: vfu.aio.Client) -> None:\n    await dev.dma.alloc("1")\n': "incompatible type",
    'vfu.Client("/tmp/x").irqs.nmi\n': "nmi",
    'vfu.Client("/tmp/x").config.vendorid\n': "vendorid",
    'vfu.Client("/tmp/x").irqs.msix[0].wait("1")\n': "incompatible type",
    "class D(vfu.Device):\n    def on_dma_map(self, iova: int, size: int) -> None: ...\n": "incompatible with supertype",
}


@pytest.fixture(scope="module")
def mypy(tmp_path_factory):
    """mypy(*arguments, config=...) -> (status, what it says). What it has read of the package it keeps for the next time,
    if that has the same options."""
    program = shutil.which("mypy")
    if program is None:
        pytest.skip("mypy is not found (Debian: mypy)")
    cache, away = BUILD / "tests" / "py" / "mypy-cache", tmp_path_factory.mktemp("away")
    environment = {**os.environ, "MYPYPATH": ":".join(map(str, PLACES))}
    environment.pop("LD_PRELOAD", None)  # a sanitizer's

    def run(*arguments, config=SOURCE / "pyproject.toml"):
        done = subprocess.run(
            [program, "--config-file", config, "--cache-dir", cache,
             "--python-executable", sys.executable, *arguments],
            env=environment, cwd=away, text=True, capture_output=True, timeout=300,
        )
        assert done.stderr == ""
        return done.returncode, done.stdout

    return run


def test_package(mypy):
    status, said = mypy("-p", "vfu", "-m", "vfu_protocol")
    assert status == 0, said


def test_user(mypy, tmp_path):
    """Somebody's device and client, strictly: numbers are numbers, memory is bytes."""
    (tmp_path / "user.py").write_text(USER)
    status, said = mypy(tmp_path / "user.py")
    assert status == 0, said


def test_user_is_told(mypy, tmp_path):
    """Each mistake by the line that makes it."""
    for number, text in enumerate(WRONG):
        (tmp_path / f"wrong{number}.py").write_text("import vfu\n\n" + text)
    status, said = mypy(*sorted(tmp_path.glob("wrong*.py")))
    assert status == 1
    for number, complaint in enumerate(WRONG.values()):
        assert re.search(rf"wrong{number}\.py:\d+: error: .*{complaint}", said), f"{number}: {said}"


# For examples, which readers copy: what they do is checked, though they are written without annotations.
RELAXED = """
[[tool.mypy.overrides]]
module = {names}
disallow_untyped_defs = false
disallow_incomplete_defs = false
disallow_untyped_calls = false
disallow_untyped_decorators = false
"""


@pytest.mark.parametrize("pattern", ["*.py", "*/*.py"])  # some are of the same name
def test_examples(mypy, tmp_path, pattern):
    files = sorted((SOURCE / "python" / "examples").glob(pattern))
    config = tmp_path / "pyproject.toml"
    text = (SOURCE / "pyproject.toml").read_text()
    config.write_text(text + RELAXED.format(names=[file.stem for file in files]))
    status, said = mypy(*files, config=config)
    assert status == 0, said


def test_tools(mypy):
    """Programs of the build that use the package."""
    pages, makers = SOURCE / "python" / "packaging", SOURCE / "doc" / "make"
    status, said = mypy(pages / "manpage.py", pages / "command_pages.py", makers / "troff.py")
    assert status == 0, said


def stub_of(path):
    """{class: {name: node}} of a file of types; what is outside of classes is in None's."""
    def names(body):
        found = {}
        for node in body:
            if isinstance(node, ast.AnnAssign):
                found[node.target.id] = node
            elif isinstance(node, ast.Assign):
                found[node.targets[0].id] = node
            elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                found[node.name] = node
        return found

    tree = ast.parse(path.read_text())
    return {None: names(tree.body)} | {one.name: names(one.body) for one in tree.body if isinstance(one, ast.ClassDef)}


def test_generated_types():
    """vfu_protocol.pyi is what the module has: names, members with their values, fields in their order, arguments."""
    stub = stub_of(next(place for place in PLACES if (place / "vfu_protocol.pyi").exists()) / "vfu_protocol.pyi")
    listed = ast.literal_eval(stub[None]["__all__"].value)
    assert listed == vfu_protocol.__all__ and set(listed) <= set(stub[None])
    for name, members in stub.items():
        thing = getattr(vfu_protocol, name) if name else vfu_protocol
        if isinstance(thing, type) and issubclass(thing, enum.Enum):
            assert {key: ast.literal_eval(node.value) for key, node in members.items()} == dict(thing.__members__)
        if dataclasses.is_dataclass(thing):
            fields = [key for key, node in members.items() if isinstance(node, ast.AnnAssign) and node.annotation]
            assert [key for key in fields if "ClassVar" not in ast.unparse(members[key].annotation)] == [
                field.name for field in dataclasses.fields(thing)], name
        for key, node in members.items():
            if isinstance(node, ast.FunctionDef) and not isinstance(inspect.getattr_static(thing, key), property):
                wanted = [one.arg for one in node.args.args + node.args.kwonlyargs if one.arg not in ("self", "cls")]
                has = inspect.signature(getattr(thing, key)).parameters
                assert [one for one in has if one != "self"] == wanted, f"{name}.{key}"


def test_raw_types():
    """The list of what the package uses of the raw module names nothing that is not there."""
    stub = ast.parse((SOURCE / "bindings" / "libvfu.pyi").read_text())
    named = {one.target.id for one in stub.body if isinstance(one, ast.AnnAssign)}
    named |= {one.name for one in stub.body if isinstance(one, (ast.FunctionDef, ast.ClassDef))}
    unnamed = {"Port", "Request", "Deferred", "Watch", "Hold", "Later", "Started", "Notes"}  # of objects that only functions return
    assert {name for name in named - unnamed if not hasattr(libvfu, name)} == set()
