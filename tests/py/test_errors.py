# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Failures: exceptions in callbacks, error replies, misuse."""

import contextlib
import errno
import logging
import os
import pickle
import socket
import threading
import time

import pytest

import vfu
from vfu import errors
from vfu.errors import make_error


class Device(vfu.Device):
    bar0 = vfu.Bar(size=4096)

    @bar0.reg32(0).on_read
    def oserror(self):
        raise OSError(errno.ENODATA, "empty")

    @bar0.reg32(4).on_write
    def error(self, value):
        raise ValueError("bad value")

    @bar0.reg32(8).on_read
    def nothing(self):
        return None

    @bar0.reg32(0x0C).on_read
    def fine(self):
        return 1

    @bar0.on_access(0x100, 0x100)
    def short(self, offset, size, value):
        return b"no"

    @bar0.reg32(0x200).on_write
    def leave(self, value):
        raise SystemExit(7)

    def reset(self):
        raise RuntimeError("cannot")


def failure(action, *args):
    with pytest.raises(vfu.Error) as caught:
        action(*args)
    return caught.value


def test_repr_says_where_too(connect):
    """As a prompt shows it, also where the place was added behind the library."""
    bar0 = connect(Device()).regions.bar0
    for error in failure(bar0.read, 0x1000, 4), failure(bar0.write, 0x1000, b"1234"), failure(bar0.read32, 0x1000), \
            failure(bar0.write32, 0x1000, 1):
        assert repr(error).startswith("Error(22, 'bar0 at 0x1000: ")
        assert str(error) == f"[Errno 22] {error.strerror}" and repr(pickle.loads(pickle.dumps(error))) == repr(error)


def test_exceptions_become_errors(connect, caplog):
    dev = connect(Device())
    bar0 = dev.regions.bar0
    assert failure(bar0.read32, 0).errno == errno.ENODATA
    assert failure(bar0.write32, 4, 1).errno == errno.EIO
    assert failure(bar0.read32, 8).errno == errno.EIO
    assert failure(bar0.read, 0x100, 20).errno == errno.EIO
    assert failure(bar0.read32, 0x100).errno == errno.EIO
    assert failure(dev.reset).errno == errno.EIO
    assert bar0.read32(0x0C) == 1
    bar0.write32(4, 1, post=True)
    assert bar0.read32(0x0C) == 1
    records = [record for record in caplog.records if record.name == "vfu"]
    assert any("Device.error: ValueError: bad value" in record.getMessage() for record in records)
    assert "Device.nothing: TypeError: a handler of reads returned nothing: return what is read" in caplog.text
    # The first of a kind tells where it comes from.
    errors = [record for record in records if record.levelno == logging.ERROR]
    first = {tuple(record.getMessage().split(":")[:2]): record for record in reversed(errors)}
    assert len(first) == 5 and all(record.exc_info for record in first.values())


def test_only_the_frames_of_the_user(connect, caplog):
    """What a client writes leads to an address where nothing is: the log says which line of the device asked for that."""

    class Copies(vfu.Device):
        bar0 = vfu.Bar(size=4096)

        @bar0.reg64(0).on_write
        async def kick(self, address):
            await self.dma.read(address, 4)  # of whom

    dev = connect(Copies())
    dev.config.bus_master = True
    dev.regions.bar0.write64(0, 0x5000)
    deadline = time.monotonic() + 60
    while not caplog.records and time.monotonic() < deadline:
        time.sleep(0.001)
    text = logging.Formatter().format(caplog.records[-1])
    assert "kick: Error: [Errno 14] DMA read at 0x5000: not all of it is mapped" in text
    assert "await self.dma.read(address, 4)  # of whom" in text and "dma.py" not in text and "libvfu.py" not in text


def test_failures_are_counted(serve, caplog, monkeypatch):
    """A client can make a handler fail as often as it likes. Few of the failures are printed."""
    now = [1000.0]
    monkeypatch.setattr(errors, "_now", lambda: now[0])
    monkeypatch.setattr(errors, "_reports", {})

    def lines():
        found = [record.getMessage() for record in caplog.records if "Device.error: ValueError" in record.getMessage()]
        caplog.clear()
        return found

    with vfu.Client(serve(Device())) as dev:
        bar0 = dev.regions.bar0
        for _ in range(50):
            failure(bar0.write32, 4, 1)
        assert failure(bar0.read32, 0).errno == errno.ENODATA  # another kind
        assert "Device.oserror" in caplog.text
        assert lines() == ["Device.error: ValueError: bad value"] * 10
        now[0] += 11
        failure(bar0.write32, 4, 1)
        assert lines() == ["Device.error: ValueError: bad value (and 40 more like that)"]
        for _ in range(12):
            failure(bar0.write32, 4, 1)
        lines()
        errors.report_missed()  # too early
        assert lines() == []
        now[0] += 11
    with vfu.Client(serve(Device())):  # the end of that connection tells the rest
        pass
    deadline = time.monotonic() + 20
    while "and 3 more" not in caplog.text and time.monotonic() < deadline:
        time.sleep(0.01)
    assert lines() == ["Device.error: ValueError: bad value (and 3 more like that)"]


def test_kinds_of_failures_are_bounded(monkeypatch):
    monkeypatch.setattr(errors, "_reports", {})
    for i in range(1000):
        errors.report(f"handler {i}", ValueError())
    assert len(errors._reports) == errors._KINDS


def test_exit_in_a_handler_ends_the_server(tmp_path):
    path = tmp_path / "sock"
    for event_loop in (False, True):
        with vfu.Server(Device(), path) as server:
            ended = []

            def run():
                try:
                    server.run(event_loop=event_loop)
                except SystemExit as error:
                    ended.append(error.code)

            thread = threading.Thread(target=run)
            thread.start()
            with vfu.Client(path) as dev:
                assert failure(dev.regions.bar0.write32, 0x200, 1).errno == errno.EIO
                thread.join(5)
            assert ended == [7]


def test_error_says_which_field(connect):
    dev = connect(Device())
    error = failure(dev.feature, 0xFFFF | 1 << 16)
    assert isinstance(error, OSError)
    assert error.errno in (errno.ENOTTY, errno.EINVAL)


def test_nobody_listens(tmp_path):
    """Scripts that know nothing of vfu.Error tell these apart by Python's own classes."""
    path = tmp_path / "sock"
    with pytest.raises(FileNotFoundError) as absent:
        vfu.Client(path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
    with pytest.raises(ConnectionRefusedError) as stale:
        vfu.Client(path)
    assert isinstance(absent.value, vfu.NotFound) and isinstance(stale.value, vfu.Refused)


@pytest.mark.parametrize("code", [errno.ENOENT, errno.ECONNREFUSED, errno.EACCES, errno.EPERM, errno.ETIMEDOUT])
def test_the_class_python_has_for_an_errno(code):
    error = make_error(code)
    assert isinstance(error, type(OSError(code, ""))) and isinstance(error, vfu.Error)


def test_timeout(tmp_path):
    """A peer that accepts and says nothing."""
    path = str(tmp_path / "sock")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        with pytest.raises(TimeoutError):
            vfu.Client(path, timeout=0.05)


def test_closed(connect, tmp_path):
    dev = connect(Device())
    bar0 = dev.regions.bar0
    assert dev.connected
    dev.close()
    dev.close()
    assert not dev.connected
    assert isinstance(failure(bar0.read32, 0x0C), ConnectionError)
    with pytest.raises(ValueError, match="closed"):
        dev.reset()
    server = vfu.Server(Device(), tmp_path / "sock")
    server.close()
    server.close()
    with pytest.raises(ValueError, match="closed"):
        server.disconnect()


def test_server_misuse(tmp_path):
    class Forgetful(vfu.Device):
        def __init__(self):
            pass

    with pytest.raises(TypeError, match=r"super\(\).__init__"):
        vfu.Server(Forgetful(), tmp_path / "a")
    with pytest.raises(TypeError, match="serve an instance"):
        vfu.Server(Device, tmp_path / "a")
    with pytest.raises(TypeError, match="not int"):
        vfu.Server(3, tmp_path / "a")
    with pytest.raises(ValueError, match="either"):
        vfu.Server(Device())
    with pytest.raises(ValueError, match="unknown option"):
        vfu.Server(Device(), tmp_path / "a", options={"nope": 1})
    for value in (0o1777, "0660", 1.5, None):
        with pytest.raises(ValueError, match=f"option socket_mode can not be {value!r}"):
            vfu.Server(Device(), tmp_path / "a", options={"socket_mode": value})
    with pytest.raises(ValueError, match="unknown policy"):
        vfu.Server(Device(), tmp_path / "a", policy={"nope": "x"})
    with pytest.raises(ValueError, match="policy bus_master is .*, not 1"):
        vfu.Server(Device(), tmp_path / "a", policy={"bus_master": 1})
    for profile in ("nope", 5):
        with pytest.raises(ValueError, match=f"unknown profile {profile!r}; there are default, .*strict"):
            vfu.Server(Device(), tmp_path / "a", profile=profile)
    with pytest.raises(ValueError, match="unknown profile 'nope'; there are default, .*strict"):
        vfu.Client(tmp_path / "a", profile="nope")
    with pytest.raises(vfu.Error):
        vfu.Server(Device(), tmp_path / "no" / "directory")
    device = Device()
    with vfu.Server(device, tmp_path / "a"), pytest.raises(OSError):
        vfu.Server(device, tmp_path / "b")
    with vfu.Server(device, tmp_path / "a"), pytest.raises(vfu.Error) as caught:
        vfu.Server(Device(), tmp_path / "a")
    assert caught.value.errno == errno.EADDRINUSE
    assert not os.path.exists(tmp_path / "a")


def test_no_connection():
    device = Device()
    with pytest.raises(vfu.Disconnected):
        device.dma.read_sync(0, 4)


def test_messages_say_where(connect):
    dev = connect(Device())
    assert "bar0 at 0x1000" in str(failure(dev.regions.bar0.read32, 4096))
    assert "bar0 at 0x4: " in str(failure(dev.regions.bar0.write32, 4, 1))


class Hooks(vfu.Device):
    def fail(self, *_):
        raise ValueError("bad value")

    def on_connect(self): self.fail()
    def on_disconnect(self): self.fail()
    def on_dma_map(self, range): self.fail()
    def on_dma_unmap(self, range): self.fail()
    def on_config_write(self, offset, size): self.fail()
    def on_gate(self, what): self.fail()
    def reset(self): self.fail()


def test_hooks_are_called_what_their_class_calls_them(caplog):
    with pytest.raises(ValueError, match="bad value"), vfu.testing.plug(Hooks()) as dev:
        dev.config.write16(4, 0)
        for refused in dev.reset, lambda: dev.dma.alloc(4096):
            with contextlib.suppress(OSError):
                refused()
    said = {record.getMessage().partition(":")[0] for record in caplog.records if record.levelno == logging.ERROR}
    assert said >= {"Hooks.on_connect", "Hooks.on_disconnect", "Hooks.on_config_write", "Hooks.on_gate"}
    assert not [name for name in said if "._" in name]


class Closed(vfu.Device):
    def on_gate(self, what):
        if what is vfu.Gate.RESET:
            raise PermissionError(errno.EPERM, "not now")


class ClosedLater(vfu.Device):
    async def on_gate(self, what):
        Closed.on_gate(self, what)


@pytest.mark.parametrize("cls", [Closed, ClosedLater])
def test_a_gate_that_refuses_is_a_line(caplog, cls):
    """It is an answer, not a fault: where it was raised says nothing more. What else it raises is told as ever."""
    with vfu.testing.plug(cls()) as dev:
        assert failure(dev.reset).errno == errno.EPERM
    (said,) = [record for record in caplog.records if "not now" in record.getMessage()]
    assert said.getMessage() == f"{cls.__name__}.on_gate: PermissionError: [Errno 1] not now" and not said.exc_info


def test_a_read_that_is_no_number(caplog):
    class Text(vfu.Device):
        bar0 = vfu.Bar(size=16)
        text = bar0.reg32(0).on_read(lambda self: "text")

        @bar0.range(8, 4).on_read
        def none(self, offset, size):
            return 1.5

    with vfu.testing.plug(Text()) as dev:
        for offset in 0, 8:
            assert failure(dev.regions.bar0.read32, offset).errno == errno.EIO
    assert "a handler of reads returns a number, not str" in caplog.text
    assert "a handler of reads returns a number or bytes, not float" in caplog.text


def test_what_is_no_server(tmp_path):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen()

        def greet():
            with listener.accept()[0] as peer:
                peer.recv(4096)
                peer.sendall(b"HTTP/1.1 400 Bad Request")

        thread = threading.Thread(target=greet)
        thread.start()
        assert str(failure(vfu.Client, tmp_path / "s")).endswith("more than allowed")
        thread.join()


def test_second_client(connect, serve):
    path = serve(Device())
    with vfu.Client(path), pytest.raises(vfu.Disconnected, match="one client at a time"):
        vfu.Client(path)


@pytest.mark.parametrize(
    "attributes, message",
    [
        ({"vendor_id": 0x10000}, "vendor_id is a number of 16 bits"),
        ({"revision": "a"}, "revision is a number of 8 bits"),
        ({"class_code": 0x1234567}, "class_code is a number of 24 bits, not 0x1234567"),
        ({"config_size": 512}, "config_size is 256 or 4096, not 512"),
        ({"irqs": vfu.Irqs(msix=4, msix_bar=3)}, "Wrong.irqs: msix.bar: there is no BAR 3 of memory"),
        ({"bar3": vfu.Bar(4096), "irqs": vfu.Irqs(msix=4, msix_bar=3, msix_pba=0)}, "overlap"),
    ],
)
def test_declarations_that_cannot_be(attributes, message):
    with pytest.raises((ValueError, vfu.Error), match=message):
        type("Wrong", (vfu.Device,), attributes)()


def test_two_declarations_of_one_register():
    class Twice(vfu.Device):
        bar0 = vfu.Bar(size=4096)

        @bar0.reg32(0).on_read
        def get(self):
            return 1

        @bar0.reg32(0).on_write
        def put(self, value):
            pass

    with pytest.raises(ValueError, match="Twice: get and put are two declarations for 0x0"):
        Twice()


def test_register_with_the_name_of_a_method():
    class Taken(vfu.Device):
        bar0 = vfu.Bar(size=4096)
        reset = bar0.reg32(0)

    with pytest.raises(ValueError, match="Taken.reset"):
        Taken()


def test_reset_value_that_does_not_fit():
    with pytest.raises(ValueError, match="does not fit"):
        vfu.Bar(size=4096).reg8(0, reset=256)


@pytest.mark.parametrize("name", ["bar0", "config"])
def test_numbers_that_no_register_holds(connect, name):
    """None of them is sent, and each says what it is."""
    region = getattr(connect(Device()).regions, name)
    for width in (8, 16, 32, 64):
        write, read = getattr(region, f"write{width}"), getattr(region, f"read{width}")
        with pytest.raises(OverflowError):
            write(0x10, 1 << width)
        with pytest.raises(OverflowError):
            write(0x10, -1)
        with pytest.raises(ValueError, match="^offset is a number from 0 to 0xffffffffffffffff, not -1$"):
            read(-1)
        with pytest.raises((TypeError, AttributeError)):
            write(0x10, 1.5)
        with pytest.raises(TypeError):
            read(1.5)
        with pytest.raises(vfu.Error, match=f"{name} at 0x"):
            read(1 << 40)
        with pytest.raises(vfu.Error, match=f"{name} at 0x"):
            write(1 << 40, 0)
