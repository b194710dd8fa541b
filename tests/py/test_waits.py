# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Every wait ends with what a signal handler raises, such as KeyboardInterrupt, however long it would last."""

import contextlib
import signal
import socket
import threading
import time

import pytest

import vfu


class Enough(BaseException):
    """What the handlers of these tests raise: no Exception, as KeyboardInterrupt is none."""


@contextlib.contextmanager
def interrupted():
    """A signal comes in a moment; the body must end with what its handler raises."""

    def handler(*_):
        raise Enough

    old = signal.signal(signal.SIGALRM, handler)
    try:
        # Again and again: the first may come before the body waits.
        signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
        with pytest.raises(Enough):
            try:
                yield
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)


class Device(vfu.Device):
    """Everything that can keep a client waiting does so until go is set."""

    bar0 = vfu.Bar(size=4096)
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

    def on_gate(self, what):
        self.go.wait(60)


CALLS = {
    "read": lambda dev: dev.regions.bar0.read32(0),
    "write": lambda dev: dev.regions.bar0.write32(4, 1),
    "post": lambda dev: [dev.regions.bar0.write(0x100, bytes(2048), post=True) for _ in range(1 << 20)],
    "reset": lambda dev: dev.reset(),
    "map": lambda dev: dev.dma.alloc(4096),
    "unmap": lambda dev: dev.dma.unmap(0x10000),
    "feature": lambda dev: dev.feature(0x10000 | 1),
    "irq": lambda dev: dev.irqs.msix[0].wait(),
    "irq with timeout": lambda dev: dev.irqs.msix[0].wait(timeout=1000),
    "arm": lambda dev: dev.irqs.intx.fd,
    "trigger": lambda dev: dev.irqs.msix[0].trigger(),
    "serve": lambda dev: dev.serve(),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("background", [False, True])
def test_calls_of_a_client(serve, call, background):
    device = Device()
    dev = vfu.Client(serve(device), timeout=0, background=background)
    dev.irqs.intx.disable()
    dev.dma.alloc(4096, iova=0x10000)
    device.go.clear()
    if call not in ("read", "write"):
        dev.regions.bar0.write32(4, 1, post=True)  # the server is busy from here on
    with interrupted():
        while True:
            CALLS[call](dev)
    device.go.set()
    dev.close()


@pytest.mark.parametrize("listens", [True, False])
def test_connecting(tmp_path, listens):
    """To one that says nothing, and to one that does not even accept."""
    with socket.socket(socket.AF_UNIX) as listener, contextlib.ExitStack() as stack:
        listener.bind(str(tmp_path / "sock"))
        listener.listen(0)
        while not listens:
            other = stack.enter_context(socket.socket(socket.AF_UNIX))
            other.setblocking(False)
            try:
                other.connect(str(tmp_path / "sock"))
            except BlockingIOError:
                break
        with interrupted():
            vfu.Client(tmp_path / "sock", timeout=0)


@pytest.mark.parametrize("event_loop", [False, True])
@pytest.mark.parametrize("busy", [False, True])
def test_a_server(tmp_path, event_loop, busy):
    """Idle, or in a handler that waits for DMA which the client does not serve."""
    device = Device()
    with vfu.Server(device, tmp_path / "sock", options={"timeout_ms": 0}) as server:
        done, served = threading.Event(), threading.Event()

        def client():
            with vfu.Client(tmp_path / "sock") as dev:
                ram = dev.dma.alloc(4096, iova=0x10000, shared=False)
                dev.regions.bar0.write64(0x10, 0x10000)
                if busy:
                    dev.regions.bar0.write32(8, 1, post=True)
                served.set()
                done.wait()
                del ram

        thread = threading.Thread(target=client)
        thread.start()
        try:
            with interrupted():
                while True:  # the first signals may come before all is set up
                    try:
                        server.run(event_loop)
                    except Enough:
                        if served.is_set():
                            raise
        finally:
            done.set()
            thread.join()


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


def test_closing_a_server_whose_handler_does_not_end(tmp_path):
    device = Device()
    server = vfu.Server(device, tmp_path / "sock").start()
    with vfu.Client(tmp_path / "sock") as dev:
        device.go.clear()
        dev.regions.bar0.write32(4, 1, post=True)
        with interrupted():
            server.close()
        device.go.set()
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
