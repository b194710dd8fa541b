# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""How servers end: quietly, whatever their handlers are at; and never so that a client waits for nobody."""

import asyncio
import contextlib
import errno
import gc
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

import vfu


class Device(vfu.Device):
    bar0 = vfu.Bar(size=4096)
    address = bar0.reg64(0x40)

    def __init__(self):
        super().__init__()
        self.held, self.go = threading.Event(), threading.Event()
        self.events = []

    @bar0.reg32(0).on_read
    async def read(self):
        await asyncio.sleep(1000)

    @bar0.reg32(4).on_write
    async def write(self, value):
        await asyncio.sleep(1000)

    @bar0.reg32(8).on_write
    async def copy(self, value):
        await self.dma.read(self.address, 64)

    @bar0.reg32(0x0C).on_write
    async def say_goodbye(self, value):
        try:
            await asyncio.sleep(1000)
        finally:
            await self.dma.write(self.address, b"bye")

    @bar0.reg32(0x10).on_write
    def hold(self, value):
        self.held.set()
        self.go.wait(20)

    async def on_gate(self, what):
        await asyncio.sleep(0)
        self.events.append(what)

    def on_connect(self):
        self.spawn(self.tick())

    async def tick(self):
        while True:
            await asyncio.sleep(0.001)


def message_memory(dev):
    """Memory of which nobody serves DMA while the client does not wait."""
    ram = dev.dma.alloc(4096, iova=0x10000, shared=False)
    dev.regions.bar0.write64(0x40, 0x10000)
    return ram


WORK = {
    "nothing": lambda dev: None,
    "write": lambda dev: dev.regions.bar0.write32(4, 1),
    "copy": lambda dev: (message_memory(dev), dev.regions.bar0.write32(8, 1, post=True)),
    "goodbye": lambda dev: (message_memory(dev), dev.regions.bar0.write32(0x0C, 1)),
}


@pytest.mark.parametrize("work", WORK)
@pytest.mark.parametrize("first", ["server", "client", "stop"])
def test_quietly(tmp_path, quiet, work, first):
    if (work, first) == ("goodbye", "client"):
        pytest.skip("a DMA that comes too late is told, as it should be")
    server = vfu.Server(Device(), tmp_path / "sock").start()
    dev = vfu.Client(tmp_path / "sock")
    memory = WORK[work](dev)
    if first == "client":
        dev.close()
    elif first == "stop":
        server.stop()
        server._thread.join()
    server.close()
    dev.close()
    del memory


def test_a_read_that_is_cancelled_before_it_begins(connect, quiet):
    """Its coroutine is not awaited any more, which is no fault of the device's author. The read is answered."""
    device = Device()
    dev = connect(device)
    errors = []

    def read():
        try:
            dev.regions.bar0.read32(0)
        except vfu.Error as error:
            errors.append(error.errno)

    dev.regions.bar0.write32(0x10, 1, post=True)
    assert device.held.wait(20)  # the server has read no more than that
    before = dev.stats["requests_out"]
    threads = [threading.Thread(target=read), threading.Thread(target=dev.reset)]
    for count, thread in enumerate(threads, 1):
        thread.start()
        while dev.stats["requests_out"] < before + count:
            time.sleep(0.001)
    device.go.set()
    for thread in threads:
        thread.join()
    assert errors == [errno.ECANCELED]


def test_a_gate_that_is_cancelled_before_it_begins(tmp_path):
    """The server ends in the very round in which the gate was asked: it must decide all the same."""

    class Gated(Device):
        ending = False

        def _start(self, *args):
            task = super()._start(*args)
            if self.ending:
                task.cancel()
            return task

    device = Gated()
    with vfu.Server(device, tmp_path / "sock").start(), vfu.Client(tmp_path / "sock") as dev:
        device.ending = True
        with pytest.raises(vfu.Error) as caught:
            dev.reset()
        assert caught.value.errno == errno.ECANCELED


@pytest.mark.parametrize("name", ["reset", "on_disconnect", "on_dma_map", "on_dma_unmap", "on_config_write"])
def test_methods_that_are_no_coroutines(tmp_path, caplog, recwarn, name):
    async def method(self, *args):
        pass

    device = type("Wrong", (vfu.Device,), {name: method})()
    with vfu.Server(device, tmp_path / "sock").start(), vfu.Client(tmp_path / "sock") as dev:
        try:
            dev.dma.unmap(dev.dma.alloc(4096))
            dev.reset()
        except vfu.Error as error:
            assert name == "reset" and error.errno == errno.EIO
    gc.collect()
    assert "only on_connect() and on_gate() may be coroutines" in caplog.text
    assert not recwarn.list


class Leaving(vfu.Device):
    bar0 = vfu.Bar(size=16)
    plain = bar0.reg32(0)

    @bar0.reg32(4).on_write
    def leave(self, value):
        raise SystemExit(3) if value == 1 else KeyboardInterrupt


class LeavingLater(Leaving):
    @Leaving.bar0.reg32(4).on_write
    async def leave(self, value):
        raise SystemExit(3) if value == 1 else KeyboardInterrupt


@pytest.mark.parametrize("kind", [Leaving, LeavingLater])
@pytest.mark.parametrize("value", [1, 2])
def test_a_thread_that_dies_takes_its_server_along(tmp_path, caplog, kind, value):
    path = tmp_path / "sock"
    server = vfu.Server(kind(), path).start()
    with vfu.Client(path) as dev:
        dev.regions.bar0.write32(4, value, post=True)
        with pytest.raises(vfu.Disconnected):
            while True:
                dev.regions.bar0.read32(0)
    server._thread.join()
    assert f"the server has ended: {'SystemExit: 3' if value == 1 else 'KeyboardInterrupt'}" in caplog.text
    with pytest.raises(vfu.NotFound):
        vfu.Client(path)
    with pytest.raises(ValueError, match="closed"):
        server.disconnect()
    server.stop()
    server.close()


class Waiting(vfu.Device):
    bar0 = vfu.Bar(size=4096)

    @bar0.reg32(0).on_write
    def wait(self, value):
        self.dma.read_sync(0x10000, 4)


def test_close_ends_a_wait_for_memory(tmp_path):
    server = vfu.Server(Waiting(), tmp_path / "sock", options={"timeout_ms": 0}).start()
    with vfu.Client(tmp_path / "sock") as dev:
        dev.dma.alloc(4096, iova=0x10000, shared=False)
        dev.regions.bar0.write32(0, 1, post=True)
        time.sleep(0.1)
        server.close()


@pytest.mark.parametrize("kind", [Leaving, LeavingLater])
def test_a_child_lets_go(tmp_path, kind):
    """After fork() the server's thread is the parent's alone, which nobody in the child waits for."""
    path = tmp_path / "sock"
    with vfu.Server(kind(), path).start() as server, vfu.Client(path, background=True) as dev:
        dev.regions.bar0.write32(0, 5)
        child = os.fork()
        if child == 0:
            with contextlib.suppress(BaseException):
                dev.close()
                server.close()
                os._exit(0)
            os._exit(1)
        for _ in range(6000):
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                break
            time.sleep(0.01)
        else:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        assert done and status == 0
        assert dev.regions.bar0.read32(0) == 5
        assert path.exists()


def test_start_twice(tmp_path):
    with vfu.Server(Leaving(), tmp_path / "sock").start() as server, vfu.Client(tmp_path / "sock") as dev:
        with pytest.raises(RuntimeError, match="runs already"):
            server.start()
        assert dev.regions.bar0.read32(0) == 0


SERVE = """
import asyncio, sys, vfu
class Device(vfu.Device):
    bar0 = vfu.Bar(size=4096)
    @bar0.reg32(0).on_write
    {kind} wait(self, value):
        {wait}
    {kind} on_gate(self, what):
        pass
vfu.serve(Device(), sys.argv[1], options={{"timeout_ms": 0}})
print("goes on")
"""


def connected(process, path):
    """A client, once the process serves."""
    while True:
        assert process.poll() is None, process.stderr.read()
        try:
            return vfu.Client(path)
        except (vfu.NotFound, vfu.Refused):
            time.sleep(0.01)


# The last: of a client that does not serve it, and for ever.
WAITS = [
    ("def", "pass"),
    ("async def", "await asyncio.sleep(1000)"),
    ("def", "self.dma.read_sync(0x10000, 4)"),
]


@pytest.mark.parametrize("kind, wait", WAITS)
@pytest.mark.parametrize("busy", [False, True])
def test_serve_ends_with_control_c(tmp_path, kind, wait, busy):
    path = tmp_path / "sock"
    command = [sys.executable, "-W", "always", "-c", SERVE.format(kind=kind, wait=wait), path]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        try:
            with connected(server, path) as dev:
                if busy:
                    dev.dma.alloc(4096, iova=0x10000, shared=False)
                    dev.regions.bar0.write32(0, 1, post=True)
                    time.sleep(0.1)
                server.send_signal(signal.SIGINT)
                out, err = server.communicate(timeout=60)
        finally:
            server.kill()
    assert (out, err, server.returncode) == ("goes on\n", "", 0)


def test_on_close_once_for_each_server(tmp_path, caplog):
    """After everything else; not for a server that could not be made, nor in a child."""

    class Closing(vfu.Device):
        def __init__(self):
            super().__init__()
            self.events = []

        def on_disconnect(self):
            self.events.append("disconnect")

        def on_close(self):
            self.events.append("close")
            raise KeyError("logged")

    device = Closing()
    with pytest.raises(vfu.Error):
        vfu.Server(device, tmp_path / "none" / "s")
    assert device.events == []
    for _ in range(2):
        server = vfu.Server(device, tmp_path / "s").start()
        client = vfu.Client(tmp_path / "s")
        child = os.fork()
        if not child:
            server.close()
            os._exit(len(device.events))
        assert os.waitpid(child, 0)[1] == 0
        server.close()
        server.close()
        client.close()
        assert device.events == ["disconnect", "close"]
        device.events.clear()
    assert "Closing.on_close: KeyError: 'logged'" in caplog.text
