# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Ctrl-C ends every call that waits, at once and once for all; what waited can be used on, or closed.

Each case runs in a child of its own, whose main thread it is that waits. It is the child that says when:

    test              child                      what it waits for
     | --- fork ------> |
     |                  | with plug(device) ---> a thread serves the device; its handler waits for `go`
     | <-- "ready" ---- | with interrupted():
     | --- SIGINT ----> |     dev.reset()        never comes
     |                  | KeyboardInterrupt
     |                  | go; used once more; closed; no descriptor and no thread is left
     | <-- status ----- |

One signal must do, also when it comes before the call sleeps. A handler that does not raise is run, and the call
goes on: there it is the signal that sets `go`. The child gives up by itself after a minute, and shows where it stood.
"""

import asyncio
import contextlib
import faulthandler
import gc
import logging
import os
import signal
import socket
import struct
import tempfile
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor

import pytest

import vfu
import vfu.aio
from vfu.testing import leaves_nothing, plug, served


@pytest.fixture(scope="module", autouse=True)
def little_to_do():
    """In each child: what pytest has loaded need not be looked through by the collector."""
    assert vfu.protocol.MESSAGES  # loaded now, not in each child
    gc.freeze()
    yield
    gc.unfreeze()


# ---- the child ----


class Child:
    """What the cases know of their parent."""

    def __init__(self, pipe):
        self._pipe = pipe

    def ready(self):
        """It is time for the signal."""
        os.write(self._pipe, b"!")

    @contextlib.contextmanager
    def interrupted(self, ready=True):
        with pytest.raises(KeyboardInterrupt):
            if ready:
                self.ready()
            yield

    @contextlib.contextmanager
    def answered(self, handler):
        """The signal's handler does not raise, but lets the body end."""
        calls = []
        signal.signal(signal.SIGINT, lambda *_: calls.append(handler()))
        self.ready()
        yield
        assert calls


def run_child(pipe, case, args):
    faulthandler.dump_traceback_later(60, exit=True, file=2)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with leaves_nothing():
            case(Child(pipe), *args)
        return 0
    except BaseException:
        os.write(2, traceback.format_exc().encode())
        return 1


def control_c(case, *args):
    """Runs case(child, ...) in a child, and sends it one SIGINT when it is ready."""
    ready, pipe = os.pipe()
    child = os.fork()
    if child == 0:
        os._exit(run_child(pipe, case, args))
    os.close(pipe)
    try:
        if os.read(ready, 1):
            time.sleep(0.02)  # most times it sleeps by then
            os.kill(child, signal.SIGINT)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, "the child's stderr says why"
    finally:
        os.close(ready)


# ---- clients ----


class Device(vfu.Device):
    """Everything that can keep a client waiting does so until go is set."""

    bar0 = vfu.Bar(size=4096)
    bar1 = vfu.Bar(size=4096)
    irqs = vfu.Irqs(intx=1, msix=2)
    address = bar0.reg64(0x10)

    def __init__(self):
        super().__init__()
        self.go = threading.Event()
        self.go.set()

    @bar0.reg32(0).on_read
    def read(self):
        self.go.wait(60)
        return 1

    @bar0.reg32(4).on_write
    def write(self, value):
        self.go.wait(60)

    @bar0.reg32(8).on_write
    def copy(self, value):
        self.dma.read_sync(self.address, 64)

    def feature_get_77(self, data):
        return b"77"

    def feature_set_77(self, data):
        return None

    def on_4242(self, request):
        return b"4242"


class Model:
    """Memory of a simulator."""

    def read(self, iova, size):
        return bytes(size)


def post_many(dev):
    with dev.posting():
        for i in range(1 << 16):
            dev.regions.bar0.write32(0x100, i)


def map_many(dev):
    with dev.dma.batch():
        for i in range(16):
            dev.dma.alloc(4096, shared=bool(i & 1))


# What waits for an answer.
CALLS = {
    "read": lambda dev: dev.regions.bar0.read(0, 4),
    "io fds": lambda dev: dev.regions.bar0.io_fds()[1].close(),
    "read32": lambda dev: dev.regions.bar0.read32(0),
    "read64": lambda dev: dev.regions.bar0.read64(0x20),
    "read much": lambda dev: dev.regions.bar0.read(0x200, bytearray(1024)),
    "write": lambda dev: dev.regions.bar0.write(4, bytes(4)),
    "write32": lambda dev: dev.regions.bar0.write32(4, 1),
    "post": lambda dev: [dev.regions.bar0.write(0x100, bytes(2048), post=True) for _ in range(1 << 14)],
    "posting": post_many,
    "read_async": lambda dev: dev.regions.bar0.read_async(0, 4).result(),
    "write_async": lambda dev: dev.regions.bar0.write_async(4, bytes(4)).result(),
    "write64": lambda dev: dev.regions.bar0.write64(0x100, 1),
    "config": lambda dev: dev.config.vendor_id,
    "config.read": lambda dev: dev.config.read(1, 7),
    "config.read32": lambda dev: dev.config.read32(0),
    "config.capabilities": lambda dev: dev.config.capabilities,
    "set config": lambda dev: setattr(dev.config, "bus_master", True),
    "config.write": lambda dev: dev.config.write(4, bytes(2)),
    "bars": lambda dev: dev.config.bars(),
    "assign_bars": lambda dev: dev.assign_bars(),
    "msix": lambda dev: dev.config.msix(),
    "msix entry": lambda dev: dev._msix[1],
    "region": lambda dev: dev.regions.bar1,
    "irq": lambda dev: dev.irqs[3],
    "arm": lambda dev: dev.irqs.intx.fd,
    "enable": lambda dev: dev.irqs.msix.enable(),
    "disable": lambda dev: dev.irqs.msix.disable(),
    "use": lambda dev: dev.irqs.msix[0].use(None),
    "trigger": lambda dev: dev.irqs.msix[0].trigger(),
    "trigger several": lambda dev: dev.irqs.msix.trigger(0, 1),
    "mask": lambda dev: dev.irqs.intx.mask(),
    "unmask": lambda dev: dev.irqs.intx.unmask(),
    "mask_on": lambda dev: dev.irqs.intx.mask_on(dev.irqs.msix[0].fd),
    "unmask_on": lambda dev: dev.irqs.intx.unmask_on(dev.irqs.msix[0].fd),
    "wait": lambda dev: dev.irqs.msix[0].wait(),
    "wait(None)": lambda dev: dev.irqs.msix[0].wait(None),
    "wait with timeout": lambda dev: dev.irqs.msix[1].wait(timeout=1000),
    "alloc": lambda dev: dev.dma.alloc(4096),
    "map": lambda dev: dev.dma.map(bytearray(4096), 0x20000),
    "map_file": lambda dev: dev.dma.map_file(__file__, size=4096, write=False),
    "map_handler": lambda dev: dev.dma.map_handler(Model(), 0x20000, 4096),
    "batch": map_many,
    "unmap": lambda dev: dev.dma.unmap(0x10000),
    "unmap(iova, size)": lambda dev: dev.dma.unmap(0, 0x10_0000),
    "unmap_all": lambda dev: dev.dma.unmap_all(),
    "reset": lambda dev: dev.reset(),
    "call": lambda dev: dev.call(4242, data=b""),
    "call by name": lambda dev: dev.call("get_irq_info", index=0),
    "posted calls": lambda dev: [dev.call(4242, data=bytes(1 << 15), post=True) for _ in range(1 << 10)],
    "feature": lambda dev: dev.feature(0x50000 | 77),
    "feature_get": lambda dev: dev.feature_get(77),
    "feature_set": lambda dev: dev.feature_set(77, b"77"),
    "feature_probe": lambda dev: dev.feature_probe(77, get=True),
}

# What nothing but time ends.
IDLE = {
    "serve": lambda dev: dev.serve(),
    "serve with timeout": lambda dev: dev.serve(1000),
}


def keep_busy(device, dev):
    assert dev.regions.bar0.size == 4096 and dev.config.size and dev.irqs.intx.count == 1
    dev._msix = dev.config.msix()
    dev.dma.alloc(4096, iova=0x10000)
    dev.irqs.intx.disable()
    dev.irqs.msix.enable()
    device.go.clear()
    dev.regions.bar0.write32(4, 1, post=True)


@contextlib.contextmanager
def busy(background):
    """A client, and its device which says nothing from here on."""
    device = Device()
    with plug(device, options={"timeout_ms": 0}, timeout=0, background=background) as dev:
        keep_busy(device, dev)
        yield device, dev
        device.go.set()
        assert dev.regions.bar0.read32(0) == 1


def interrupted_call(child, call, background):
    with busy(background) as (device, dev):
        with child.interrupted():
            call(dev)


@pytest.mark.parametrize("call", CALLS | IDLE)
def test_calls_of_a_client(call):
    control_c(interrupted_call, (CALLS | IDLE)[call], False)


BESIDE = ["read32", "write", "post", "wait(None)", "map", "batch", "unmap", "reset", "call", "feature", "serve"]


@pytest.mark.parametrize("call", BESIDE)
def test_calls_beside_a_thread_that_reads(call):
    """No signal wakes these: they look for one now and then."""
    control_c(interrupted_call, (CALLS | IDLE)[call], True)


def answered_call(child, call):
    with busy(False) as (device, dev):

        def answer():
            device.go.set()
            for vector in device.irqs.msix:
                vector.trigger()

        with child.answered(answer):
            call(dev)


@pytest.mark.parametrize("call", CALLS)
def test_handlers_that_do_not_raise(call):
    """They run, and the call goes on until it has its answer."""
    control_c(answered_call, CALLS[call])


# ---- time, and the end of the device ----


@contextlib.contextmanager
def all_at_once(calls, **options):
    """Each call in a thread, of a busy device and a client of its own: [(name, line to cut, how it ends)], and the threads."""
    running, threads = [], []

    def run(call, dev, end):
        try:
            call(dev)
        except BaseException as error:
            end.append(type(error))  # itself it would keep what the call held

    with contextlib.ExitStack() as stack:
        for name, call in calls.items():
            ours, theirs = socket.socketpair()
            stack.callback(ours.close)
            line = stack.enter_context(theirs.dup())
            device, end = Device(), []
            with theirs:
                server = stack.enter_context(vfu.Server(device, fd=theirs, options={"timeout_ms": 0}))
            server.start()
            dev = stack.enter_context(vfu.Client(fd=ours, **options))
            ours.close()
            stack.callback(device.go.set)
            keep_busy(device, dev)
            threads.append(threading.Thread(target=run, args=(call, dev, end)))
            running.append((name, line, end))
        for thread in threads:
            thread.start()
        yield running, threads
        for thread in threads:
            thread.join()


def test_time_is_up():
    """What waits for an answer does so for as long as the client was told."""
    with all_at_once({name: call for name, call in CALLS.items() if not name.startswith("wait")}, timeout=2) as (running, threads):
        for thread in threads:
            thread.join(60)
    assert {name: end for name, _, end in running if end != [vfu.Timeout]} == {}


ACCESSES = {
    "read": lambda region: region.read(0, 4, timeout=0.01),
    "read into a buffer": lambda region: region.read(0, bytearray(4), timeout=0.01),
    "write": lambda region: region.write(4, bytes(4), timeout=0.01),
    **{f"read{n}": lambda region, n=n: getattr(region, f"read{n}")(0, timeout=0.01) for n in (8, 16, 32, 64)},
    **{f"write{n}": lambda region, n=n: getattr(region, f"write{n}")(4, 1, timeout=0.01) for n in (8, 16, 32, 64)},
}


def test_a_time_of_its_own():
    """Each access may have one, also to configuration space."""
    with busy(False) as (device, dev):
        for access in ACCESSES.values():
            for region in dev.regions.bar0, dev.config:
                with pytest.raises(vfu.Timeout):
                    access(region)
        for wrong in -1, 1e9:
            with pytest.raises(ValueError):
                dev.regions.bar0.read32(0, timeout=wrong)


def test_more_time_than_the_client_has():
    device = Device()
    with plug(device, timeout=2) as dev, ThreadPoolExecutor(2) as pool:
        device.go.clear()
        patient = [pool.submit(dev.regions.bar0.read32, 0, timeout=seconds) for seconds in (0, 60)]
        try:
            with pytest.raises(vfu.Timeout):
                dev.regions.bar0.read32(0)
        finally:
            device.go.set()
        assert [one.result(60) for one in patient] == [1, 1]


def test_the_device_goes():
    """All that waits ends then."""
    with all_at_once(CALLS | IDLE, timeout=0) as (running, threads):
        for _, line, _ in running:
            line.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join(60)
    assert {name: end for name, _, end in running if end != [vfu.Disconnected]} == {}


# ---- coroutines ----


async def post_in_turns(dev):
    async with dev.posting():
        for i in range(1 << 16):
            await dev.regions.bar0.write32(0x100, i)


async def map_in_a_batch(dev):
    async with dev.dma.batch():
        await dev.dma.alloc(4096)


async def iterate(dev):
    async for _ in dev.irqs.msix[1]:
        pass


AWAITED = {
    "read": lambda dev: dev.regions.bar0.read(0, bytearray(4)),
    "read32": lambda dev: dev.regions.bar0.read32(0),
    "write": lambda dev: dev.regions.bar0.write(4, bytes(4)),
    "posting": post_in_turns,
    "info": lambda dev: dev.regions.bar1.info(),
    "config": lambda dev: dev.config.vendor_id,
    "bars": lambda dev: dev.config.bars(),
    "msix": lambda dev: dev.config.msix(),
    "set": lambda dev: dev.config.set(bus_master=True),
    "wait": lambda dev: dev.irqs.msix[0].wait(),
    "iterate": iterate,
    "use": lambda dev: dev.irqs.msix[0].use(None),
    "mask": lambda dev: dev.irqs.intx.mask(),
    "alloc": lambda dev: dev.dma.alloc(4096),
    "batch": map_in_a_batch,
    "unmap_all": lambda dev: dev.dma.unmap_all(),
    "reset": lambda dev: dev.reset(),
    "call": lambda dev: dev.call(4242, data=b""),
    "feature_get": lambda dev: dev.feature_get(77),
    "run": lambda dev: dev.run(lambda plain: plain.regions.bar0.read32(0)),
}


async def use_busily(device, ours, use, **options):
    """One of those, with a device that says nothing."""
    async with vfu.aio.connect(fd=ours, **options) as dev:
        ours.close()
        await dev.regions.config.info()
        await dev.irqs.msix.enable()
        await dev.dma.alloc(4096)
        await dev.regions.bar0.write32(0x100, 0, post=True)
        await dev.regions.bar0.read32(0x100)
        device.go.clear()
        await dev.regions.bar0.write32(4, 1, post=True)
        try:
            await use(dev)
        finally:
            device.go.set()


@contextlib.contextmanager
def device_of_a_loop():
    device = Device()
    ours, theirs = socket.socketpair()
    with ours, theirs.dup() as line:
        with theirs:
            server = vfu.Server(device, fd=theirs, options={"timeout_ms": 0})
        with server, server.start():
            yield device, ours, line
            device.go.set()


def interrupted_loop(child, call):
    async def use(dev):
        child.ready()
        await call(dev)

    with device_of_a_loop() as (device, ours, _), child.interrupted(ready=False):
        asyncio.run(use_busily(device, ours, use, timeout=0))


@pytest.mark.parametrize("call", AWAITED)
def test_coroutines(call):
    control_c(interrupted_loop, AWAITED[call])


@pytest.mark.parametrize("how", ["time", "end"])
def test_coroutines_end(how):
    """With time, but of an interrupt, and with the device."""
    calls = {name: call for name, call in AWAITED.items() if how == "end" or name not in ("wait", "iterate")}
    ends = {}

    def use(name, line):
        async def both(dev):
            task = asyncio.ensure_future(calls[name](dev))
            await asyncio.sleep(0)
            if how == "end":
                line.shutdown(socket.SHUT_RDWR)
            await task

        return both

    async def one(stack, name):
        device, ours, line = stack.enter_context(device_of_a_loop())
        try:
            await use_busily(device, ours, use(name, line), timeout=2 if how == "time" else 0)
        except Exception as error:
            ends[name] = type(error)

    async def main():
        with contextlib.ExitStack() as stack:
            await asyncio.gather(*(one(stack, name) for name in calls))

    with leaves_nothing():
        asyncio.run(asyncio.wait_for(main(), 100))
    kind = vfu.Timeout if how == "time" else vfu.Disconnected
    assert ends == dict.fromkeys(calls, kind)


# ---- connecting and closing ----


def deaf(path, stack):
    """A socket that takes no more connections."""
    while True:
        other = stack.enter_context(socket.socket(socket.AF_UNIX))
        other.setblocking(False)
        try:
            other.connect(path)
        except BlockingIOError:
            return


def agree(listener):
    """The server's half of VERSION; then it says nothing."""
    peer = listener.accept()[0]
    identity = struct.unpack("<H", peer.recv(4096)[:2])[0]
    body = struct.pack("<HH", 0, 0) + b'{"capabilities":{}}\0'
    peer.sendall(struct.pack("<HHIII", identity, 1, 16 + len(body), 1, 0) + body)
    return peer


def connecting(child, how):
    with contextlib.ExitStack() as stack:
        path = f"{stack.enter_context(tempfile.TemporaryDirectory())}/sock"
        listener = stack.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(path)
        listener.listen(0)
        if how == "deaf":
            deaf(path, stack)
        if how == "mute":
            peers = []
            thread = threading.Thread(target=lambda: peers.append(agree(listener)))
            thread.start()
        with child.interrupted():
            vfu.Client(path, timeout=0)
        if how == "mute":
            thread.join()
            peers.pop().close()


@pytest.mark.parametrize("how", ["silent", "deaf", "mute"])
def test_connecting(how):
    """To one that says nothing, one that does not even accept, and one that stops after VERSION."""
    control_c(connecting, how)


def waiting_for_a_server(child):
    with tempfile.TemporaryDirectory() as place, child.interrupted():
        vfu.Client(f"{place}/sock", wait=1000)


def test_waiting_for_a_server():
    """That is not there."""
    control_c(waiting_for_a_server)


def attaching(child):
    ours, theirs = socket.socketpair()
    with ours, theirs, child.interrupted():
        vfu.Client(fd=ours, timeout=0)


def test_attaching():
    control_c(attaching)


def closing(child):
    """Close again for the rest."""
    device = Device()
    with tempfile.TemporaryDirectory() as where:
        server = vfu.Server(device, f"{where}/sock").start()
        with vfu.Client(f"{where}/sock") as dev:
            device.go.clear()
            dev.regions.bar0.write32(4, 1, post=True)
            with child.interrupted():
                server.close()
            device.go.set()
        server.close()


def test_closing_a_server_whose_handler_does_not_end():
    control_c(closing)


class Stuck(logging.Handler):
    """Who logs in another thread than the main one does not return until go is set."""

    def __init__(self):
        super().__init__()
        self.reached, self.go = threading.Event(), threading.Event()

    def emit(self, record):
        if threading.current_thread() is not threading.main_thread():
            self.reached.set()
            self.go.wait(60)


def closing_a_client(child):
    """One that another thread is in."""
    stuck, logger = Stuck(), logging.getLogger("vfu")
    logger.setLevel(logging.DEBUG)
    logger.addHandler(stuck)
    with served(Asleep, timeout=0, options={"trace": 1}) as dev:
        thread = threading.Thread(target=lambda: pytest.raises(vfu.Error, dev.regions.bar0.read32, 4))
        thread.start()
        stuck.reached.wait(60)
        with child.interrupted():
            dev.close()
        stuck.go.set()
        dev.close()
        thread.join()


def test_closing_a_client_that_another_thread_is_in():
    control_c(closing_a_client)


class Asleep(vfu.Device):
    """For a process of its own."""

    bar0 = vfu.Bar(size=16)

    @bar0.reg32(0).on_read
    async def read(self):
        await asyncio.sleep(60)

    plain = bar0.reg32(4)


def in_a_process(child):
    with served(Asleep, timeout=0) as dev:
        with child.interrupted():
            dev.regions.bar0.read32(0)
        assert dev.regions.bar0.read32(4) == 0


def test_a_device_in_another_process():
    control_c(in_a_process)


# ---- servers ----


class Sleeper(vfu.Device):
    """One of its methods, and no other, sleeps: in Python, or in a wait for memory that the client does not serve."""

    bar0 = vfu.Bar(size=4096)
    where = None

    def at(self, place):
        if place == self.where:
            self.ready()
            time.sleep(60)
        return 7

    @bar0.reg32(0).on_read
    def read(self):
        return self.at("read")

    @bar0.reg32(4).on_write
    def write(self, value):
        self.at("write")

    @bar0.on_access(0x100, 0x100)
    def access(self, offset, size, value):
        return self.at("access")

    @bar0.reg32(8).on_write
    def copy(self, value):
        if self.where == "dma read":
            self.ready()
            self.dma.read_sync(0x10000, 4)
        if self.where == "dma write":
            self.ready()
            self.dma.write_sync(0x10000, bytes(4))

    def feature_get_77(self, data):
        return bytes(self.at("feature_get"))

    def feature_set_77(self, data):
        self.at("feature_set")

    def on_4242(self, request):
        return bytes(self.at("command"))

    def on_gate(self, what):
        self.at(what.name)

    def on_connect(self):
        self.at("connect")

    def on_disconnect(self):
        self.at("disconnect")

    def on_dma_map(self, range):
        self.at("map")

    def on_dma_unmap(self, range):
        self.at("unmap")

    def on_config_write(self, offset, size):
        self.at("config")

    def reset(self):
        self.at("reset")


class AsyncSleeper(Sleeper):
    event_loop = True

    async def at_later(self, place):
        if place == self.where:
            self.ready()
            await asyncio.sleep(60)
        return 7

    @Sleeper.bar0.reg32(0).on_read
    async def read(self):
        return await self.at_later("read")

    @Sleeper.bar0.reg32(4).on_write
    async def write(self, value):
        await self.at_later("write")

    async def on_4242(self, request):
        return bytes(await self.at_later("command"))

    async def on_gate(self, what):
        await self.at_later(what.name)


def use(device, path):
    """Comes to all methods; one of them sleeps until the server ends."""
    with contextlib.suppress(vfu.Error), vfu.Client(path, timeout=0) as dev:
        bar0 = dev.regions.bar0
        dev.dma.alloc(4096, iova=0x10000, shared=False)
        bar0.write32(4, 1)
        bar0.read32(0)
        bar0.read32(0x100)
        bar0.write32(8, 1, post=True)
        if device.where in (None, "dma read", "dma write"):
            if device.where is None:
                device.ready()
            device.ended.wait()  # serves no memory
            return
        dev.feature_get(77)
        dev.feature_set(77, b"7")
        dev.call(4242, data=b"")
        dev.config.bus_master = False
        dev.dma.unmap(0x10000)
        dev.reset()


RUNS = {
    "run": lambda server: server.run(),
    "run in a loop": lambda server: server.run(event_loop=True),
    "asyncio.run": lambda server: asyncio.run(server.serve_async()),
}


def interrupted_server(child, kind, where, run):
    device = kind()
    device.where, device.ready, device.ended = where, child.ready, threading.Event()
    with tempfile.TemporaryDirectory() as directory:
        with vfu.Server(device, f"{directory}/sock", options={"timeout_ms": 0}) as server:
            client = threading.Thread(target=use, args=(device, f"{directory}/sock"))
            client.start()
            with child.interrupted(ready=False):
                run(server)
            device.where = "nowhere"
            device.ended.set()
        client.join()
    with plug(device) as dev:
        assert dev.regions.bar0.read32(0) == 7


# Where asyncio.run() is at work it is asyncio that gets the signal, and ends what awaits; a handler that sleeps without
# awaiting goes on until a second one.
PLACES = ["read", "write", "access", "feature_get", "feature_set", "command", "connect", "disconnect", "map", "unmap",
          "config", "reset", "DMA_MAP", "DMA_UNMAP", "RESET", "DISCONNECT"]  # fmt: skip
SERVERS = [
    *[(Sleeper, place, "run") for place in [None, "dma read", "dma write", *PLACES]],
    *[(Sleeper, place, run) for run in ("run in a loop", "asyncio.run") for place in (None, "dma read", "dma write")],
    *[(AsyncSleeper, place, "asyncio.run") for place in (None, "read", "write", "command", "DMA_MAP", "RESET")],
]


@pytest.mark.parametrize("kind, where, run", SERVERS)
def test_a_server(kind, where, run):
    """Idle, or in a handler: it is no failure of the handler, but ends the server."""
    control_c(interrupted_server, kind, where, RUNS[run])


def stopped_server(child, run):
    with tempfile.TemporaryDirectory() as directory, vfu.Server(Device(), f"{directory}/sock") as server:
        with child.answered(server.stop):
            run(server)


@pytest.mark.parametrize("run", RUNS)
def test_a_server_that_a_handler_stops(run):
    control_c(stopped_server, RUNS[run])



# ---- other ends of waits ----


@pytest.mark.parametrize("how", ["stop", "close"])
def test_a_handler_that_waits_ends_with_its_server(tmp_path, how):
    device = Device()
    server = vfu.Server(device, tmp_path / "sock", options={"timeout_ms": 0}).start()
    with vfu.Client(tmp_path / "sock") as dev:
        dev.dma.alloc(4096, iova=0x10000, shared=False)
        dev.regions.bar0.write64(0x10, 0x10000)
        dev.regions.bar0.write32(8, 1, post=True)
        if how == "stop":
            server.stop()
            server._thread.join()
            server.start()
        server.close()


def test_interrupts_while_others_close(serve):
    """The descriptor that one thread sleeps on is not mistaken for what gets its number next."""
    dev = vfu.Client(serve(Device()))
    results = []

    def wait():
        try:
            results.append(dev.irqs.msix[0].wait(timeout=60))
        except vfu.Error as error:
            results.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    time.sleep(0.05)
    dev.close()
    thread.join()
    assert len(results) == 1 and isinstance(results[0], vfu.Disconnected)
