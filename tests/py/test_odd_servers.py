# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Clients of servers that say odd things: an Error with a sentence each, and from the command one line."""

import asyncio
import errno
import os
import socket
import struct
import subprocess
import sys
import threading

import pytest

import vfu
import vfu.aio
import vfu.cli
from vfu.testing import open_descriptors

VFU = [sys.executable, "-m", "vfu"]
VERSION, DMA_MAP, INFO, REGION, IRQ, SET_IRQS, READ, WRITE, DMA_READ, RESET = 1, 2, 4, 5, 7, 8, 9, 10, 11, 13
EVENTFD_TRIGGER, NONE_TRIGGER = 1 << 2 | 1 << 5, 1 << 0 | 1 << 5


class Odd:
    """A server of one client. What it says is to be changed by those who make one."""

    info_flags, regions, irqs = 3, 9, 5
    config = (256, 3, 0, None)  # size, flags, offset, file
    bar0 = (0, 0, 0, None)
    vectors = {2: 4}
    ends_at = None  # the command that it answers by hanging up

    def __init__(self, path, **says):
        vars(self).update(says)
        self.accesses, self.armed = [], []  # (command, offset, count) of region 7; (index, start, count) or index
        self.answers = []  # the data of replies
        self.memory = bytearray(struct.pack("<HHHHI", 0x1234, 1, 0, 0, 0xFF000003).ljust(4096, b"\0"))
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen(1)
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.listener.close()

    def run(self):
        try:
            with self.listener.accept()[0] as sock:
                while self.serve_one(sock):
                    pass
        except OSError:
            pass

    def serve_one(self, sock):
        head, fds, _, _ = socket.recv_fds(sock, 16, 64)
        if len(head) < 16:
            return False
        number, command, size, flags, _ = struct.unpack("=HHIII", head)
        body = sock.recv(size - 16, socket.MSG_WAITALL) if size > 16 else b""
        if len(body) < size - 16:
            return False
        if flags & 1:
            self.answers.append(body[16:])
            return True
        for fd in fds:
            os.close(fd)
        out, file = self.answer(command, body, len(fds))
        message = struct.pack("=HHIII", number, command, 16 + len(out), 1, 0) + out
        socket.send_fds(sock, [message], [] if file is None else [file])
        return True

    def answer(self, command, body, nfds):
        if command == self.ends_at:
            raise ConnectionAbortedError
        index = struct.unpack_from("=I", body, 8)[0] if command in (REGION, IRQ, SET_IRQS, READ, WRITE) else None
        if command == VERSION:
            return struct.pack("=HH", 0, 0) + b'{"capabilities":{"max_msg_fds":16}}\0', None
        if command == INFO:
            return struct.pack("=IIII", 16, self.info_flags, self.regions, self.irqs), None
        if command == REGION:
            size, flags, offset, file = {0: self.bar0, 7: self.config}.get(index, (0, 0, 0, None))
            return struct.pack("=IIIIQQ", 32, flags, index, 0, size, offset), file
        if command == IRQ:
            return struct.pack("=IIII", 16, 1, index, self.vectors.get(index, 0)), None
        if command == SET_IRQS:
            _, flags, index, start, count = struct.unpack_from("=IIIII", body)
            self.armed.append((index, start, nfds) if flags == EVENTFD_TRIGGER else index)
            return b"", None
        return b"" if command == RESET else self.access(command, body), None

    def access(self, command, body):
        offset, region, count = struct.unpack_from("=QII", body)
        if region == 7:
            self.accesses.append((command, offset, count))
        if command == WRITE:
            self.memory[offset : offset + count] = body[16:]
            return body[:16]
        return body[:16] + self.memory[offset : offset + count].ljust(count, b"\0")


@pytest.fixture
def odd(tmp_path):
    """odd(what=it says) -> the server; at .path."""
    servers = []

    def start(**says):
        path = tmp_path / f"{len(servers)}.sock"
        servers.append(Odd(path, **says))
        servers[-1].path = path
        return servers[-1]

    yield start
    for server in servers:
        server.close()


# What it says, and what the client says to that.
NUMBERS = [
    ({"config": (0, 3, 0, None)}, "0 bytes"),
    ({"config": (17, 3, 0, None)}, "17 bytes"),
    ({"config": (1 << 40, 3, 0, None)}, "1099511627776 bytes"),
    ({"config": ((1 << 64) - 1, 3, 0, None)}, "18446744073709551615 bytes"),
    ({"regions": 0}, "0 regions"),
    ({"regions": 1}, "1 regions"),
    ({"regions": 257}, "num_regions.*257.*at most 256"),
    ({"regions": 0xFFFFFFFF}, "num_regions.*4294967295.*at most 256"),
    ({"irqs": 65}, "num_irqs.*65.*at most 64"),
    ({"vectors": {2: 2049}}, "get_irq_info.count.*2049.*at most 2048"),
    ({"vectors": {4: 0xFFFFFFFF}}, "get_irq_info.count.*4294967295.*at most 2048"),
]


def drive(path):
    """What vfu info looks at too."""
    with vfu.Client(path) as dev:
        dev.config.vendor_id
        [region.size for region in dev.regions]
        [irq.count for irq in dev.irqs]


def info(path, *args):
    return subprocess.run([*VFU, "info", str(path), *args], capture_output=True, text=True, timeout=60)


@pytest.fixture
def command(capsys):
    """command("info", path...) -> (status, output, what it says on standard error), in this process."""

    def run(*words):
        capsys.readouterr()
        status = vfu.cli.main([str(word) for word in words])
        return status, *capsys.readouterr()

    return run


def eventfds():
    return [fd for fd, what in open_descriptors().items() if "eventfd" in what]


@pytest.mark.parametrize("command", [INFO, IRQ, SET_IRQS])
def test_a_server_that_goes_while_a_client_is_made(odd, command):
    """What there was already is closed, although the exception knows of it."""
    before = eventfds()
    with pytest.raises(vfu.Disconnected) as caught:
        vfu.Client(odd(ends_at=command).path)
    assert caught.value.errno == errno.ENOTCONN and eventfds() == before


@pytest.mark.parametrize("says, text", NUMBERS)
def test_numbers(odd, says, text):
    with pytest.raises(vfu.Error, match=text) as caught:
        drive(odd(**says).path)
    assert caught.value.errno == errno.EPROTO


@pytest.mark.parametrize("says, text", NUMBERS)
def test_numbers_in_the_command(odd, command, says, text):
    status, _, said = command("info", odd(**says).path, "-x")
    assert status == 1
    assert len(said.splitlines()) == 1, said
    assert said.startswith("vfu info: ")
    with pytest.raises(vfu.Error, match=text):
        raise vfu.Error(said)


@pytest.fixture
def files(tmp_path):
    """(what, descriptor) of things that a server may send as a region's file."""
    path = tmp_path / "file"
    path.write_bytes(bytes(8192))
    ends = [*os.pipe(), os.open(path, os.O_RDWR), os.open("/dev/zero", os.O_RDWR)]
    yield dict(zip(("pipe", "write end", "file", "device"), ends))
    for fd in ends:
        os.close(fd)


@pytest.mark.parametrize("policy", [{}, {"peer_file": "any"}])
@pytest.mark.parametrize("what, offset", [
    ("pipe", 0), ("write end", 0), ("file", 4097), ("file", 1 << 63), ("file", (1 << 64) - 4096),
    ("device", 1 << 63), ("device", (1 << 63) - 4096), ("device", (1 << 64) - 4096),
])
def test_what_can_not_be_mapped(odd, files, what, offset, policy):
    server = odd(bar0=(4096, 7, offset, files[what]))
    with vfu.Client(server.path, policy=policy) as dev:
        with pytest.raises(vfu.Error, match="file|file.*inside") as caught:
            dev.regions.bar0
        assert caught.value.errno == errno.EPROTO
        assert dev.config.vendor_id == 0x1234  # the connection is none the worse


def test_what_can_not_be_mapped_in_the_command(odd, files):
    result = info(odd(bar0=(4096, 7, 0, files["pipe"])).path)
    assert result.returncode == 1
    assert len(result.stderr.splitlines()) == 1 and "regular file" in result.stderr


def test_vectors_are_made_when_used(odd):
    server = odd(vectors={2: 2048})
    with vfu.Client(server.path, irqs=False) as dev:
        assert len(dev.irqs.msix) == 2048
        assert dev.irqs.msix[-1] is dev.irqs.msix[2047]
        assert [vector.vector for vector in dev.irqs.msix[10:40:10]] == [10, 20, 30]
        assert len(dev.irqs.msix._vectors) == 4
        with pytest.raises(IndexError, match="msix has 2048 vectors"):
            dev.irqs.msix[2048]
        with pytest.raises(IndexError, match="msi has no vectors"):
            dev.irqs.msi.enable()
        with pytest.raises(IndexError, match="5 interrupts"):
            dev.irqs[5]
        assert server.armed == []


@pytest.mark.parametrize("vectors, armed", [
    ({0: 1, 1: 2, 2: 20, 3: 1}, [(2, 0, 16), (2, 16, 4)]),
    ({0: 1, 1: 2, 3: 1}, [(1, 0, 2)]),
    ({0: 1, 3: 1, 4: 1}, [(0, 0, 1)]),
    ({3: 1, 4: 1}, []),
    ({2: 100}, [(2, 0, 16), (2, 16, 16), (2, 32, 16), (2, 48, 16)]),
])
def test_one_interrupt_is_armed(odd, vectors, armed):
    server = odd(vectors=vectors)
    with vfu.Client(server.path):
        assert server.armed == armed


def test_another_interrupt_is_armed_after_the_first_is_taken_away(odd):
    server = odd(vectors={0: 1, 1: 2, 2: 3, 3: 1})
    with vfu.Client(server.path) as dev:
        first = dev.irqs.msix[1].fd
        assert dev.irqs.err.wait(timeout=0) == 0
        assert dev.irqs.msi[1].wait(timeout=0) == 0
        assert dev.irqs.msi[0].wait(timeout=0) == 0
        assert dev.irqs.msix[1].fd == first
        dev.irqs.msix.disable()
        assert dev.irqs.msix[2].wait(timeout=0) == 0
        assert server.armed == [
            (2, 0, 3), 2, (3, 0, 1), 3, (1, 1, 1), (1, 0, 1), 1, (2, 1, 1), 2, (2, 2, 1)
        ]


def test_all_interrupts_are_armed_if_asked(odd):
    server = odd(vectors={0: 1, 2: 3, 4: 1})
    with vfu.Client(server.path, irqs="all") as dev:
        dev.irqs.intx.fd
        assert server.armed == [(0, 0, 1), (2, 0, 3), (4, 0, 1)]


class Deaf(Odd):
    """Asks for so much of the client's memory that it has to queue, and reads the answers only later."""

    def __init__(self, path):
        self.resume = threading.Event()
        super().__init__(path)

    def serve_one(self, sock):
        go_on = super().serve_one(sock)
        if self.is_mapped and not self.resume.is_set():
            for number in range(16):
                sock.sendall(struct.pack("=HHIIIQQ", number, DMA_READ, 32, 0, 0, 0x10000, 1 << 20))
            self.resume.wait(30)
        return go_on

    is_mapped = False

    def answer(self, command, body, nfds):
        self.is_mapped = self.is_mapped or command == DMA_MAP
        return (b"", None) if command == DMA_MAP else super().answer(command, body, nfds)


def test_background_serves_a_device_that_reads_late(tmp_path):
    path = tmp_path / "socket"
    server = Deaf(path)
    with vfu.Client(path, background=True, timeout=30, irqs=False, bus_master=False) as dev:
        memory = bytearray(os.urandom(1 << 20))
        dev.dma.map(memory, 0x10000)
        dev._thread.join(0.5)  # time to fill the queue
        assert dev._thread.is_alive() and dev.connected
        server.resume.set()
        while len(server.answers) < 16:
            dev.reset()
        assert server.answers == [memory] * 16
    server.close()


class Lying(Odd):
    """Reads of bar0 are answered with more than was asked for."""

    bar0 = (4096, 3, 0, None)

    def access(self, command, body):
        offset, region, count = struct.unpack_from("=QII", body)
        if region == 0:
            return struct.pack("=QII", offset, region, count + 8) + bytes(count + 8)
        return super().access(command, body)


@pytest.fixture
def lying(tmp_path):
    server = Lying(tmp_path / "l")
    yield str(tmp_path / "l")
    server.close()


LATER = {
    "read": lambda dev: dev.regions.bar0.read32(0),
    "write": lambda dev: dev.regions.bar0.write32(0, 1),
    "post": lambda dev: dev.regions.bar0.write32(0, 1, post=True),
    "alloc": lambda dev: dev.dma.alloc(4096),
    "reset": lambda dev: dev.reset(),
    "wait": lambda dev: dev.irqs.msix[0].wait(timeout=1),
}


def check_end(error, text):
    assert type(error) is vfu.Disconnected and error.errno == errno.EPROTO
    assert error.field == "region_read.count" and text in error.strerror


@pytest.mark.parametrize("how", LATER)
def test_the_end_of_a_connection_has_one_cause(lying, how):
    with vfu.Client(lying) as dev:
        with pytest.raises(vfu.Disconnected, match="region_read.count") as first:
            dev.regions.bar0.read32(0)
        check_end(first.value, "region_read.count")
        with pytest.raises(vfu.Disconnected) as later:
            LATER[how](dev)
        check_end(later.value, first.value.strerror.split(": ", 1)[1])


@pytest.mark.parametrize("how", LATER)
def test_the_end_of_a_connection_is_told_to_coroutines(lying, how):
    async def use():
        async with vfu.aio.connect(lying) as dev:
            with pytest.raises(vfu.Disconnected) as first:
                await dev.regions.bar0.read32(0)
            check_end(first.value, "region_read.count")
            with pytest.raises(vfu.Disconnected) as later:
                await LATER[how](dev)
            check_end(later.value, first.value.strerror.split(": ", 1)[1])

    asyncio.run(use())


def is_a_cpus(access):
    _, offset, count = access
    return count in (1, 2, 4) and offset % count == 0


def test_configuration_space_is_accessed_as_cpus_do(odd):
    server = odd()
    with vfu.Client(server.path) as dev:
        assert (dev.config.class_code, dev.config.revision) == (0xFF0000, 3)
        dev.config.class_code = 0x020100
        assert dev.config.class_code == 0x020100
        assert dev.config.read(0, 256) == server.memory[:256]
        assert dev.config.read(1, 6) == server.memory[1:7]
        into = bytearray(7)
        assert dev.config.read(3, into) == 7
        assert into == server.memory[3:10]
        dev.config.write(0x41, b"abcdefgh")
        assert server.memory[0x40:0x4A] == b"\0abcdefgh\0"
        dev.config.write64(0x50, 0x0123456789ABCDEF)
        assert dev.config.read64(0x50) == 0x0123456789ABCDEF
        dev.config.bus_master = True
        assert dev.config.capabilities == []
    assert all(map(is_a_cpus, server.accesses))


def test_the_command_accesses_as_cpus_do(odd):
    server = odd()
    assert info(server.path, "-x").returncode == 0
    assert server.accesses and all(map(is_a_cpus, server.accesses))


# ---- servers that do not keep to the text, and profiles for them ----


class Choking(Odd):
    """Says 1 MiB, and ends the connection at messages that it cannot take in one piece."""

    bar0 = (1 << 20, 3, 0, None)
    longest = 0

    def serve_one(self, sock):
        head = sock.recv(16, socket.MSG_PEEK | socket.MSG_WAITALL)
        size = struct.unpack_from("=I", head.ljust(16, b"\0"), 4)[0]
        self.longest = max(self.longest, size)
        return size <= 200_000 and super().serve_one(sock)


class Simple(Odd):
    """Knows the first commands, and reads one when it has answered the last: it ends at what would be lost to it."""

    bar0 = (4096, 3, 0, None)
    fault = None

    def serve_one(self, sock):
        head = sock.recv(16, socket.MSG_PEEK | socket.MSG_WAITALL)
        number, command, size, flags, _ = struct.unpack("=HHIII", head.ljust(16, b"\0"))
        if len(head) == 16 and (command not in (*range(1, 6), *range(7, 11), RESET) or flags):
            self.fault = f"command {command} with flags {flags}"
        waiting = sock.recv(size + 1, socket.MSG_PEEK) if size else b""
        if len(waiting) > size:
            self.fault = f"another behind command {command}"
        return not self.fault and super().serve_one(sock)


@pytest.fixture
def far(tmp_path):
    """far(class) -> such a server."""
    servers = []

    def start(cls):
        path = tmp_path / f"far{len(servers)}.sock"
        servers.append(cls(path))
        servers[-1].path = path
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.mark.parametrize("how, longest", [
    ({"profile": "libvfio-user"}, 131072), ({"policy": {"transfer": "small"}}, 131072),
    ({"options": {"max_data_xfer_size": 65536}}, 65536), ({}, None),
])
def test_a_server_that_takes_less_than_it_says(far, how, longest):
    server = far(Choking)
    with vfu.Client(server.path, irqs=False, **how) as dev:
        if longest is None:
            with pytest.raises(vfu.Disconnected):
                dev.regions.bar0.write(0, bytes(1 << 18))
        else:
            dev.regions.bar0.write(0, bytes(1 << 18))
            dev.regions.bar0.write(0, bytes(1 << 18), post=True)
            assert len(dev.regions.bar0.read(0, 1 << 18)) == 1 << 18
            assert server.longest == 32 + longest


def use_by_many(dev):
    """Threads that read, one that posts, and memory."""
    bar0 = dev.regions.bar0
    work = [lambda: [bar0.read32(4 * i) for i in range(50)]] * 3 + [lambda: [bar0.write32(0, i, post=True) for i in range(50)]]
    threads = [threading.Thread(target=one) for one in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    dev.reset()


def test_a_server_that_knows_one_command_at_a_time(far):
    server = far(Simple)
    with vfu.Client(server.path, profile="one-at-a-time", background=True) as dev:
        use_by_many(dev)
        dev.irqs.msix[0].trigger()
        for call in (lambda: dev.feature_get("migration"), lambda: dev.call(1000, data=b"abc"),
                     lambda: dev.call(1000, data=b"abc", post=True), dev.regions.bar0.io_fds):
            with pytest.raises(vfu.Error, match="not sent to servers that know basic commands alone") as caught:
                call()
            assert caught.value.errno == errno.ENOSYS
        assert dev.config.class_code == 0xFF0000
    assert server.fault is None


def test_coroutines_wait_for_their_turn_at_such_a_server(far):
    server = far(Simple)

    async def use():
        async with vfu.aio.connect(server.path, profile="one-at-a-time", irqs=False) as dev:
            bar0, reads = dev.regions.bar0, [asyncio.create_task(dev.regions.bar0.read32(4)) for _ in range(8)]
            await asyncio.sleep(0)
            reads[0].cancel()  # whose answer is on its way, and waited for all the same
            reads[3].cancel()  # which has not been sent
            await asyncio.gather(
                *(bar0.write32(4 * i, i) for i in range(8)), *(bar0.write32(4, i, post=True) for i in range(8)),
                dev.irqs.msix[0].trigger(), dev.call("get_irq_info", index=2), dev.config.class_code)
            assert len(await asyncio.gather(*reads, return_exceptions=True)) == 8 and await bar0.read32(28) == 7

    asyncio.run(use())
    assert server.fault is None


def test_profiles_of_the_command(far, command):
    code = ["-c", "bar0.write(0, bytes(1 << 18)); bar0.size"]
    for profile, expected in (["--profile=libvfio-user"], 0), (["--option=max_data_xfer_size=0x10000"], 0), ([], 1):
        assert command("shell", far(Choking).path, *profile, *code)[0] == expected
    server = far(Simple)
    status, _, said = command("shell", server.path, "--profile=one-at-a-time", "-c", "dev.feature_get('migration')")
    assert status == 1 and "basic commands alone" in said and said.count("\n") == 1
    assert server.fault is None
    assert command("info", server.path, "--profile=nope") == (
        2, "", "vfu info: unknown profile 'nope'; there are default, libvfio-user, one-at-a-time, strict\n")
    assert command("read", server.path, "bar0+0", "--option=queue_bytes=1")[2].startswith(
        "vfu read: option queue_bytes can not be 1")
