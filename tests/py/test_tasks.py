# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""What becomes of a device's tasks at a reset: spawn(at_reset="keep"), "cancel", "wait"."""

import asyncio
import contextlib
import errno
import threading
import time

import pytest

import vfu
from vfu import pci

FLR, HALF_MEBI = 0x8000, 1 << 19


class Device(vfu.Device):
    """Its tasks end when `go` is set; what happens is told in the order in which it happens."""

    bar0 = vfu.Bar(size=4096)
    capabilities = (pci.Express(flr=True),)
    event_loop = True
    reset_timeout = 60.0
    refusal = 0
    gate_waits = refuses_late = False

    def __init__(self):
        super().__init__()
        self.happened, self.go, self.ending = [], threading.Event(), threading.Event()

    async def until_go(self):
        while not self.go.is_set():
            await asyncio.sleep(0.001)

    async def work(self, name):
        try:
            await asyncio.sleep(1000)
        finally:
            self.ending.set()
            await self.until_go()
            self.happened.append(name)

    async def worker(self):
        """One that starts another when it ends."""
        try:
            await self.work("first")
        finally:
            self.spawn(self.work("second"), at_reset="wait")

    @bar0.reg32(0).on_write
    def start(self, value):
        self.spawn(self.work("waited for"), at_reset="wait")

    @bar0.reg32(4).on_write
    def start_chain(self, value):
        self.spawn(self.worker(), at_reset="wait")

    @bar0.reg32(8).on_read
    def tasks(self):
        return len(self._background)

    def on_gate(self, what):
        if self.refusal:
            raise OSError(self.refusal, "not now")
        return self.think(what) if self.gate_waits else None

    async def think(self, what):
        await asyncio.sleep(0.001)
        if self.refuses_late:
            raise OSError(errno.EBUSY, "not now")
        self.happened.append(f"{what.name} may pass")

    def reset(self):
        self.happened.append("reset")

    def on_disconnect(self):
        self.happened.append("gone")


def until(condition):
    deadline = time.monotonic() + 60
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.001)
    assert condition()


def in_thread(function):
    """A thread that does it; its join() raises what that raised."""
    raised = []

    def run():
        try:
            function()
        except BaseException as error:
            raised.append(error)

    class Thread(threading.Thread):
        def join(self, timeout=60):
            super().join(timeout)
            assert not self.is_alive()
            if raised:
                raise raised.pop()

    thread = Thread(target=run)
    thread.start()
    return thread


def function_level_reset(device, dev):
    dev.regions.config.write16(device.find_capability(pci.Express) + 8, FLR)


@pytest.mark.parametrize("reset", [lambda device, dev: dev.reset(), function_level_reset], ids=["RESET", "FLR"])
def test_a_reset_waits(connect, reset):
    """It is answered, and reset() called, when the task has ended; meanwhile it is not answered."""
    device = Device()
    dev = connect(device)
    dev.regions.bar0.write32(0, 1)
    dev.regions.bar0.write32(0, 1)
    thread = in_thread(lambda: reset(device, dev))
    assert device.ending.wait(60)
    assert thread.is_alive() and device.happened == []
    device.go.set()
    thread.join()
    assert device.happened == ["waited for", "waited for", "reset"]
    assert not device._awaited and not device._tasks
    reset(device, dev)
    assert device.happened[3:] == ["reset"]


def test_three_kinds(connect, caplog):
    """Of each kind one: the reset ends two of them and waits for one."""
    ended = []

    class Kinds(vfu.Device):
        bar0 = vfu.Bar(size=16)
        event_loop = True

        def on_connect(self):
            self.mine = {kind: self.spawn(self.forever(kind), at_reset=kind) for kind in ("keep", "cancel", "wait")}
            with pytest.raises(ValueError, match='"keep", "cancel" or "wait", not \'stop\''):
                self.spawn(self.forever("stop"), at_reset="stop")
            with pytest.raises(TypeError, match="spawn.. runs a coroutine, as self.work.. makes one; not <bound method"):
                self.spawn(self.forever)

        async def forever(self, kind):
            try:
                await asyncio.sleep(1000)
            finally:
                await asyncio.sleep(0.01 if kind == "wait" else 0)
                ended.append(kind)

        def reset(self):
            ended.append("reset")

    device = Kinds()
    dev = connect(device)
    dev.reset()
    assert ended.index("wait") < ended.index("reset")
    until(lambda: "cancel" in ended)
    assert "keep" not in ended and not device.mine["keep"].done()
    assert caplog.text == ""


def test_what_they_start_is_waited_for(connect):
    device = Device()
    device.go.set()
    dev = connect(device)
    dev.regions.bar0.write32(4, 1)
    dev.reset()
    assert device.happened == ["first", "second", "reset"]


def test_a_gate_comes_first(connect):
    """on_gate() decides, also as a coroutine, and then tasks are waited for; if it refuses they go on."""
    device = Device()
    device.go.set()
    device.gate_waits = True
    dev = connect(device)
    dev.regions.bar0.write32(0, 1)
    dev.reset()
    assert device.happened == ["RESET may pass", "waited for", "reset"]
    dev.regions.bar0.write32(0, 1)
    device.refusal = errno.EBUSY
    with pytest.raises(vfu.Error) as caught:
        dev.reset()
    assert caught.value.errno == errno.EBUSY
    assert dev.regions.bar0.read32(8) == 1 and device.happened[3:] == []
    device.refusal = 0


def test_one_that_does_not_end(connect, caplog):
    """It is named, with the line where it is, and the reset goes on; the next one does not wait for it."""
    device = Device()
    device.reset_timeout = 0.01
    dev = connect(device)
    dev.regions.bar0.write32(0, 1)
    dev.reset()
    assert device.happened == ["reset"]
    line = Device.work.__code__.co_firstlineno + 5
    assert f"Device.work: TimeoutError: has not ended 0.01 s after it was told to, and is waited for no more: it is at {__file__}:{line}" in caplog.text
    caplog.clear()
    device.reset_timeout = 60.0
    dev.reset()
    assert caplog.text == ""
    device.go.set()
    until(lambda: "waited for" in device.happened or dev.regions.bar0.read32(8) == 0)


def test_a_client_that_vanishes_while_a_reset_waits(serve):
    """Tasks have ended before on_disconnect(), and before the next client is served."""
    device = Device()
    path = serve(device)
    dev = vfu.Client(path)
    dev.regions.bar0.write32(0, 1)
    reset = in_thread(dev.reset)
    assert device.ending.wait(60)
    dev.close()
    with pytest.raises((vfu.Error, ValueError)):
        reset.join()
    thread = in_thread(lambda: next_client(path, device))
    time.sleep(0.02)
    assert device.happened == []
    device.go.set()
    thread.join()


def next_client(path, device):
    with vfu.Client(path) as dev:
        assert dev.regions.bar0.read32(8) == 0
        assert device.happened == ["waited for", "gone"]


@pytest.mark.parametrize("refuses", ["never", "at once", "late"])
def test_the_end_of_a_connection_waits(serve, refuses):
    """Whatever on_gate() says to it: it is asked, but a client that is gone is gone."""
    device = Device()
    device.refusal = errno.EBUSY if refuses == "at once" else 0
    device.gate_waits = device.refuses_late = refuses == "late"
    path = serve(device)
    with vfu.Client(path) as dev:
        dev.regions.bar0.write32(0, 1)
    assert device.ending.wait(60)
    thread = in_thread(lambda: next_client(path, device))
    assert device.happened == []
    device.go.set()
    thread.join()


def test_a_second_reset(connect):
    """One after the other: the second finds nothing to end."""
    device = Device()
    dev = connect(device)
    dev.regions.bar0.write32(0, 1)
    threads = [in_thread(dev.reset) for _ in range(3)]
    assert device.ending.wait(60)
    device.go.set()
    for thread in threads:
        thread.join()
    assert device.happened == ["waited for", "reset", "reset", "reset"]


def test_a_server_that_is_closed_while_a_reset_waits(tmp_path, caplog):
    """It ends; the tasks do too, as all of them do then."""
    device = Device()
    with vfu.Server(device, tmp_path / "sock").start() as server, vfu.Client(tmp_path / "sock") as dev:
        dev.regions.bar0.write32(0, 1)
        reset = in_thread(dev.reset)
        assert device.ending.wait(60)
        device.go.set()
        server.close()
        with contextlib.suppress(vfu.Error):
            reset.join()
    assert device.happened.count("waited for") == 1 and device.happened[-1] == "gone"
    assert not device._awaited and not device._background
    assert caplog.text == ""


class Copying(vfu.Device):
    """Writes ones to the client's memory, by more messages than may be under way."""

    bar0 = vfu.Bar(size=16)
    event_loop = True

    def __init__(self):
        super().__init__()
        self.ended = []

    @bar0.reg64(0).on_write
    def start(self, iova):
        for number, kind in enumerate(("wait", "cancel", "keep")):
            self.spawn(self.copy(iova + number * HALF_MEBI, kind), at_reset=kind)

    async def copy(self, iova, kind):
        try:
            await self.dma.write(iova, b"\1" * HALF_MEBI)
        except (asyncio.CancelledError, vfu.Error) as error:
            self.ended.append((kind, error.errno if isinstance(error, vfu.Error) else "cancelled"))
            raise


def test_dma_under_way(connect):
    """What was not sent is never sent, whose ever it was; those that are kept hear of it."""
    device = Copying()
    dev = connect(device, capabilities={"max_data_xfer_size": 4096})
    memory = dev.dma.alloc(3 * HALF_MEBI, shared=False)
    dev.regions.bar0.write64(0, memory.iova)
    dev.reset()
    with memoryview(memory) as view:
        view[:] = bytes(3 * HALF_MEBI)
        until(lambda: len(device.ended) == 3)
        dev.serve(0.05)
        assert bytes(view) == bytes(3 * HALF_MEBI)
    assert sorted(device.ended, key=str) == [("cancel", "cancelled"), ("keep", errno.ECANCELED), ("wait", "cancelled")]
    assert device.ended[0] == ("wait", "cancelled")


def test_until_reset_is_cancel(connect):
    """The older word for it."""

    class Old(vfu.Device):
        bar0 = vfu.Bar(size=16)
        event_loop = True

        def on_connect(self):
            self.task = self.spawn(asyncio.sleep(1000), until_reset=True)

    device = Old()
    dev = connect(device)
    assert device.task in device._tasks and not device._awaited
    dev.reset()
    until(device.task.cancelled)
