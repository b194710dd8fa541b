# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Connections that come and go, objects that are freed, threads and signals."""

import gc
import os
import signal
import threading
import time
import weakref

import pytest

import vfu


class Device(vfu.Device):
    bar0 = vfu.Bar(size=4096)
    irqs = vfu.Irqs(msix=1)
    value = bar0.reg32(0)

    def __init__(self):
        super().__init__()
        self.log = []

    @bar0.reg32(4).on_read
    def answer(self):
        return 42

    @bar0.reg32(8).on_read
    def slow(self):
        time.sleep(0.3)
        return 1

    def on_connect(self):
        self.log.append("connected")

    def on_disconnect(self):
        self.log.append("disconnected")


def test_state_outlives_connections(serve):
    device = Device()
    path = serve(device)
    with vfu.Client(path) as dev:
        dev.regions.bar0.write32(0, 5)
    with vfu.Client(path) as dev:
        assert dev.regions.bar0.read32(0) == 5
        assert device.log == ["connected", "disconnected", "connected"]


def test_state_outlives_servers(tmp_path):
    device = Device()
    for i in range(3):
        with vfu.Server(device, tmp_path / "sock").start(), vfu.Client(tmp_path / "sock") as dev:
            assert dev.regions.bar0.read32(0) == i
            dev.regions.bar0.write32(0, i + 1)


def test_everything_is_freed_without_the_collector(tmp_path):
    gc.collect()
    gc.disable()
    try:
        device = Device()
        server = vfu.Server(device, tmp_path / "sock").start()
        dev = vfu.Client(tmp_path / "sock")
        dev.dma.alloc(4096)
        dev.regions.bar0.read32(4)
        watch = [weakref.ref(device), weakref.ref(server), weakref.ref(dev)]
        dev.close()
        server.close()
        del device, server, dev
        assert [ref() for ref in watch] == [None, None, None]
    finally:
        gc.enable()


def test_dropped_without_close(tmp_path):
    device = Device()
    server = vfu.Server(device, tmp_path / "sock")
    thread = threading.Thread(target=server.run)
    thread.start()
    dev = vfu.Client(tmp_path / "sock")
    assert dev.regions.bar0.read32(4) == 42
    del dev
    server.stop()
    thread.join(5)
    del server, thread
    assert not os.path.exists(tmp_path / "sock")


def test_cycles_are_collected(tmp_path):
    device = Device()
    device.server = vfu.Server(device, tmp_path / "sock")
    watch = weakref.ref(device)
    del device
    gc.collect()
    assert watch() is None
    assert not os.path.exists(tmp_path / "sock")


def test_region_memory_outlives_its_device():
    device = Device()
    device.value = 7
    view = device.bar0.view()
    del device
    assert view[0] == 7


def test_threads_run_while_one_waits(connect):
    """Every wait releases the GIL."""
    dev = connect(Device())
    counted = [0]
    stop = threading.Event()

    def count():
        while not stop.is_set():
            counted[0] += 1
            time.sleep(0.001)

    counter = threading.Thread(target=count)
    counter.start()
    try:
        for wait in (lambda: dev.irqs.msix[0].wait(timeout=0.2), lambda: dev.regions.bar0.read32(8)):
            before = counted[0]
            wait()
            assert counted[0] - before > 20
    finally:
        stop.set()
        counter.join()


def test_many_threads_share_a_client(connect):
    dev = connect(Device())
    failed = []

    def use(offset):
        for i in range(200):
            dev.regions.bar0.write32(offset, i)
            if dev.regions.bar0.read32(offset) != i or dev.regions.bar0.read32(4) != 42:
                failed.append(offset)

    threads = [threading.Thread(target=use, args=(0x100 + 4 * i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed


@pytest.mark.parametrize("raises", [False, True])
def test_signals_during_a_wait(connect, raises):
    """The handler runs at once. The wait goes on, or ends with what the handler raised."""
    dev = connect(Device())
    seen = []

    def handler(*_):
        seen.append(time.monotonic())
        if raises:
            raise InterruptedError("enough")

    old = signal.signal(signal.SIGALRM, handler)
    try:
        for wait in (lambda: dev.irqs.msix[0].wait(timeout=30 if raises else 0.3), lambda: dev.regions.bar0.read32(8)):
            seen.clear()
            start = time.monotonic()
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            if raises:
                with pytest.raises(InterruptedError, match="enough"):
                    wait()
                time.sleep(0.4)  # the late answer is drained
            else:
                wait()
                assert time.monotonic() - start > 0.25
            assert len(seen) == 1
        assert dev.regions.bar0.read32(4) == 42
    finally:
        signal.signal(signal.SIGALRM, old)


def test_signals_end_a_server(tmp_path):
    class Stopped(Exception):
        pass

    def handler(*_):
        raise Stopped

    old = signal.signal(signal.SIGALRM, handler)
    try:
        for event_loop in (False, True):
            with vfu.Server(Device(), tmp_path / "sock") as server:
                signal.setitimer(signal.ITIMER_REAL, 0.05)
                with pytest.raises(Stopped):
                    server.run(event_loop)
    finally:
        signal.signal(signal.SIGALRM, old)


def test_stats(connect):
    dev = connect(Device())
    bar0 = dev.regions.bar0
    before = dev.stats
    bar0.read32(0)
    after = dev.stats
    assert after["requests_out"] == before["requests_out"] + 1
    assert after["replies_in"] == before["replies_in"] + 1
    assert dev.limits["max_data_xfer_size"] == 1 << 20


def test_let_go_of_by_its_own_thread(tmp_path):
    """Whoever lets go of it last may be the thread that ran it."""
    server = vfu.Server(Device(), str(tmp_path / "sock")).start()
    server.stop()
    server._thread.join()
    server._thread = threading.current_thread()
    server.close()
    assert repr(server).startswith("<") and server._h is None
