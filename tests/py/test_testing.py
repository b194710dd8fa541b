# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""vfu.testing, and the fixtures of vfu.pytest_plugin, which pytest loads here as a user's would."""

import os
import subprocess
import sys
import textwrap
import threading
import time

import pytest

import vfu
import vfu.testing

DEVICE = """
import asyncio
import os
import vfu

class Doubler(vfu.Device):
    vendor_id, device_id = 0x1234, 0x0003
    bar0 = vfu.Bar(size=4096)
    irqs = vfu.Irqs(msix=1)
    result = bar0.reg32(4, readonly=True)

    @bar0.reg32(0).on_write
    async def value(self, value):
        await asyncio.sleep(0)
        self.result = 2 * value
        self.irqs.msix[0].trigger()

    copied = bar0.reg32(16, readonly=True)

    @bar0.reg32(8).on_write
    async def copy(self, address):
        try:
            self.result = int.from_bytes(await self.dma.read(address, 4), "little")
        except vfu.Error:
            pass
        self.copied = 1

    @bar0.reg32(12).on_write
    def end(self, status):
        os._exit(status)
"""
namespace = {"__name__": __name__}
exec(DEVICE, namespace)
Doubler = namespace["Doubler"]


def test_plug():
    device = Doubler()
    with vfu.testing.leaves_nothing():
        for _ in range(2):  # a device outlives its connections
            with vfu.testing.plug(device) as dev:
                dev.regions.bar0.write32(0, 21)
                assert dev.irqs.msix[0].wait(timeout=30) == 1
                assert dev.regions.bar0.read32(4) == device.result == 42


def test_plug_has_the_policies_of_serve():
    def copied(**options):
        with vfu.testing.plug(Doubler(), bus_master=False, **options) as dev:
            ram = dev.dma.alloc(4096)
            ram[:4] = b"\7\0\0\0"
            dev.regions.bar0.write32(8, ram.iova)
            deadline = time.monotonic() + 30
            while not dev.regions.bar0.read32(16) and time.monotonic() < deadline:
                pass
            return dev.regions.bar0.read32(4)

    assert copied() == 0  # bus mastering is enforced
    assert copied(policy={"bus_master": "ignore"}) == 7
    with vfu.testing.plug(Doubler(), profile="libvfio-user", capabilities={"max_msg_fds": 3}) as dev:
        assert dev.limits["max_msg_fds"] == 3
    said = {"capabilities": {"sparse_mmap_fds": True}}
    with vfu.testing.plug(Doubler(), **said, client=said, timeout=30) as dev:
        assert dev.agreed["sparse_mmap_fds"]
    with pytest.raises(ValueError, match="unknown option"):
        with vfu.testing.plug(Doubler(), options={"x": 1}):
            pass


def test_plug_when_the_block_raises():
    with vfu.testing.leaves_nothing(), pytest.raises(KeyError):
        with vfu.testing.plug(Doubler()):
            raise KeyError


class Failing(vfu.Device):
    bar0 = vfu.Bar(4096)
    event_loop = True

    @bar0.reg32(0).on_write
    async def kick(self, value):
        raise LookupError(f"kick {value}")

    @bar0.reg32(4).on_write
    def start(self, value):
        self.spawn(self.kick_later(value))

    async def kick_later(self, value):
        raise LookupError(f"later {value}")

    @bar0.reg32(8).on_read
    async def told(self):
        raise LookupError("the client knows")

    def on_config_write(self, offset, size):
        raise LookupError(f"written {offset}")


@pytest.mark.parametrize("do, text", [
    (lambda dev: dev.regions.bar0.write32(0, 5), "kick 5"),
    (lambda dev: dev.regions.bar0.write32(4, 6), "later 6"),
    (lambda dev: dev.config.write8(0x0C, 1), "written 12"),
])
def test_plug_fails_when_nobody_was_told(do, text):
    with pytest.raises(LookupError, match=text), vfu.testing.plug(Failing()) as dev:
        do(dev)
        dev.regions.bar0.read32(0)


def test_plug_does_not_fail_when_the_client_was_told():
    with vfu.testing.plug(Failing()) as dev, pytest.raises(vfu.Error, match="bar0 at 0x8"):
        dev.regions.bar0.read32(8)


def test_plug_fails_of_what_failed_first_in_the_block():
    with pytest.raises(ZeroDivisionError), vfu.testing.plug(Failing()) as dev:
        dev.regions.bar0.write32(0, 5)
        dev.regions.bar0.read32(0)
        1 // 0


class Forgetful(vfu.Device):
    bar0 = vfu.Bar(4096)

    @bar0.reg32(0).on_write
    def kick(self, value):
        self.dma.write(value, b"x")


def test_what_nobody_awaits_is_named_by_its_line():
    with pytest.warns(RuntimeWarning, match=r'(?s)DeviceDma.write. was never awaited.*in kick\n +self.dma.write\(value'):
        with vfu.testing.plug(Forgetful()) as dev:
            dev.regions.bar0.write32(0, 0x1000)


def test_served(tmp_path):
    file = tmp_path / "doubler.py"
    file.write_text(DEVICE)
    with vfu.testing.leaves_nothing():
        with vfu.testing.served(f"{file}:Doubler", "--policy=bus_master=ignore", bus_master=False) as dev:
            dev.regions.bar0.write32(0, 4)
            assert dev.irqs.msix[0].wait(timeout=30) == 1
            assert dev.regions.bar0.read32(4) == 8


def test_served_tells_of_a_server_that_dies(tmp_path):
    file = tmp_path / "doubler.py"
    file.write_text(DEVICE)
    with pytest.raises(AssertionError, match="doubler.py (has ended|ends) with status 3"):
        with vfu.testing.served(str(file)) as dev:
            with pytest.raises(vfu.Disconnected):
                dev.regions.bar0.write32(12, 3)
                dev.regions.bar0.read32(0)


def test_served_tells_of_a_server_that_never_was():
    with pytest.raises(AssertionError, match="the server of nowhere.py has ended with status 1"):
        with vfu.testing.served("nowhere.py"):
            pass


def test_classes_that_serve_cannot_find():
    class Inner(vfu.Device):
        pass

    with pytest.raises(ValueError, match="not at the top level"):
        vfu.testing.file_of(Inner)


def test_leaks_are_seen():
    with pytest.raises(AssertionError, match=r"descriptors left open: {\d+: '/dev/null'}"):
        with vfu.testing.leaves_nothing():
            fd = os.open("/dev/null", os.O_RDONLY)
    os.close(fd)
    go_on = threading.Event()
    thread = threading.Thread(target=go_on.wait, name="idler")
    with pytest.raises(AssertionError, match=r"threads left behind: \['idler'\]"):
        with vfu.testing.leaves_nothing():
            thread.start()
    go_on.set()
    thread.join()


def test_fixtures(tmp_path):
    """As a user has them; a guest is replaced, for it would be fetched."""
    (tmp_path / "doubler.py").write_text(DEVICE)
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["vfu.pytest_plugin"]\n')
    (tmp_path / "test_it.py").write_text(textwrap.dedent("""
        import os
        import pytest
        import vfu
        from vfu import guest
        from doubler import Doubler

        def double(dev):
            dev.regions.bar0.write32(0, 4)
            assert dev.irqs.msix[0].wait(timeout=30) == 1
            return dev.regions.bar0.read32(4)

        def test_plug(vfu_plug):
            assert double(vfu_plug(Doubler())) == double(vfu_plug(Doubler(), bus_master=True)) == 8

        def test_served(vfu_served):
            assert double(vfu_served(Doubler)) == 8
            assert double(vfu_served("doubler.py", "--log-level=info")) == 8

        @pytest.fixture(scope="session")
        def vfu_guest_kit():
            return guest.Kit([], guest.Tools(None, [], None, None), guest.Kernel(None))

        def test_guest(vfu_guest, monkeypatch, tmp_path):
            def run(machine, task, kit, **options):
                with_sockets = [vfu.Client(slot.socket) for slot in machine.slots]
                found = [double(dev) for dev in with_sockets]
                for dev in with_sockets:
                    dev.close()
                return guest.Outcome(found, machine, task, options["timeout"])

            monkeypatch.setattr(guest, "run", run)
            with vfu.Server(Doubler(), tmp_path / "s").start():
                outcome = vfu_guest(
                    [Doubler(), Doubler, "doubler.py", str(tmp_path / "s")], "echo", drivers=["d"], iommu=True,
                    files={"bin/x": "doubler.py"}, timeout=7,
                )
            assert outcome.status == [8, 8, 8, 8] and outcome.stdout.iommu and outcome.console == 7
            task = outcome.stderr
            assert task.script == b"echo" and task.drivers == ["d"] and str(task.files["bin/x"]) == "doubler.py"

        def test_leak(vfu_no_leaks):
            os.dup(0)
        """))
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_it.py"], cwd=tmp_path,
        capture_output=True, text=True, timeout=120,
    )
    assert "4 passed, 1 error" in result.stdout and "descriptors left open" in result.stdout, result.stdout
