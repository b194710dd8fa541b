# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""What the checks of all lessons are made of: it runs a student's function, and says in words what is wrong.

The function gets one end of a socket, in a thread of its own; a check has the other end, and is the peer. It says which
message has to come, answers it by a script, or lets a real device answer:

    student's thread                    the check                           vfu.Server, if forward() is used
    region_info(sock, 0) --request--> talk.expect(GetRegionInfoRequest())
                                      talk.forward(request, device) ------> counter.py
                         <--reply---- (and back)            <-------------- its reply
    returns 4096         -----------> talk.returned(4096)

A message that comes is compared with the right one field by field, with the names, places and meanings of the
spec, so that a sentence can say which bytes are wrong. Nothing waits for ever: a socket that is silent for SECONDS, and a
function that does not end, are wrong, too.
"""

import contextlib
import errno
import fcntl
import importlib.util
import json
import logging
import os
import re
import socket
import struct
import sys
import tempfile
import termios
import threading
import time
import traceback
from pathlib import Path

import vfu
from vfu import protocol

COURSE = Path(__file__).resolve().parent
EXAMPLES = COURSE.parents[1] / "python" / "examples"
SECONDS = 5.0  # only hanging counts
REPLY, NO_REPLY, ERROR = map(int, (protocol.HeaderType.REPLY, protocol.HeaderFlags.NO_REPLY, protocol.HeaderFlags.ERROR))
HEADER = protocol.Header.SIZE
HEADER_RULES = {
    "size": f"it counts the whole message, these {HEADER} bytes included",
    "flags": f"bits 0 to 3 are 0 in a command and {REPLY} in a reply, {NO_REPLY:#x} is No_reply, {ERROR:#x} is Error",
    "error": "an errno in an error reply, else 0",
}


class Wrong(Exception):
    """A sentence for the student."""


class NotSolved(Wrong):
    """A gap that is there still."""


# ---- bytes that are compared ----


def number(value):
    return f"{value}" if value < 10 else f"{value} ({value:#x})"


def meanings(kind):
    """{field: what the spec says that it means}"""
    return dict(re.findall(r"^ *(\w+)  +(\S.*)$", kind.__doc__ or "", re.M))


def compare(title, want, got, skip=(), rules={}):
    """want: a part of vfu.protocol; got: bytes. Wrong names the first field that differs."""
    kind, whole = type(want), want.build()
    values = struct.unpack_from(kind.FORMAT, got.ljust(kind.SIZE, b"\0"))
    for i, name in enumerate(kind._names):
        at, size = struct.calcsize(kind.FORMAT[: i + 1]), struct.calcsize("=" + kind.FORMAT[i + 1])
        right = int.from_bytes(whole[at : at + size], sys.byteorder)
        if name not in skip and at + size <= len(got) and values[i] != right:
            swapped = int.from_bytes(right.to_bytes(size, sys.byteorder)[::-1], sys.byteorder) == values[i]
            why = "its bytes are in the wrong order: numbers are in the byte order of the host" if swapped else (
                rules.get(name) or meanings(kind).get(name, ""))
            raise Wrong(f"{title}: the field {name} (offset {at}, {size} bytes) is {number(values[i])}, and has to be "
                        f"{number(right)}{': ' + why if why else ''}")
    if len(got) != len(whole):
        raise Wrong(f"{title} has {len(got)} bytes, and has to have {len(whole)}")
    if got[kind.SIZE :] != whole[kind.SIZE :]:
        raise Wrong(f"{title}: behind the fields, at offset {kind.SIZE}, comes {got[kind.SIZE:][:40]!r}, and has to come "
                    f"{whole[kind.SIZE:][:40]!r}")


def name_of(command):
    return protocol.Command(command).name if command in protocol.MESSAGES else f"command {command}"


def error_name(number):
    return f"{number} ({errno.errorcode.get(number, 'no errno')})"


def header(command, payload=b"", *, id=1, flags=REPLY, error=0, size=None):
    return protocol.Header(id, command, HEADER + len(payload) if size is None else size, flags, error).pack()


# ---- the student ----


class Student:
    """A file with functions."""

    def __init__(self, path):
        self.path = Path(path)
        spec = importlib.util.spec_from_file_location("students_" + self.path.stem.replace("-", "_"), path)
        self.module = importlib.util.module_from_spec(spec)
        try:
            exec(compile(self.path.read_text(), str(self.path), "exec"), self.module.__dict__)
        except Exception as error:
            raise Wrong(f"{self.path.name} can not be run: {type(error).__name__}: {error}") from None

    def value(self, name, *args):
        """What the function returns that needs no socket."""
        return self._run(name, args).result()

    def refuses(self, name, *args, what, kind=Exception, number=None):
        """The function has to raise such an exception of these arguments, with this errno."""
        run = Run(self, name, args)
        run.end(f", given {what}")
        run.raised(kind, what, number)

    def does(self, name, use):
        """use(what has this name), for what is no function; it raises Wrong itself."""
        run = self._run(name, (), use)
        if isinstance(run.error, Wrong):
            raise run.error
        return run.result()

    def _run(self, name, args, use=None):
        run = Run(self, name, (getattr(self.module, name),) if use else args, function=use)
        run.end()
        return run

    @contextlib.contextmanager
    def calls(self, name, *args, leaves=b""):
        """name(sock, *args), with a Talk for the other end; what it leaves unread if it returns."""
        ours, theirs = socket.socketpair()
        ours.settimeout(SECONDS)
        with ours, Watched(fileno=theirs.detach()) as theirs:
            run = Run(self, name, (theirs, *args), theirs)
            talk = Talk(run, ours)
            try:
                yield talk
                with contextlib.suppress(OSError):
                    ours.shutdown(socket.SHUT_WR)  # whoever reads more than there is notices
                run.end()
                talk.nothing_more()
                talk.nothing_left(leaves)
            finally:
                with contextlib.suppress(OSError):
                    ours.shutdown(socket.SHUT_RDWR)
                run.thread.join(SECONDS)
                talk.close_files()


class Watched(socket.socket):
    """The student's end of a socket: whether it was read when there was no more."""

    ended = False

    def recv(self, size, *flags):
        data = super().recv(size, *flags)
        self.ended |= size > 0 and not data
        return data

    def recvmsg(self, size, *more):
        out = super().recvmsg(size, *more)
        self.ended |= size > 0 and not out[0]
        return out


def kind_of(error):
    """struct.error says more than error."""
    kind = type(error)
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"


class Run:
    """A call of a function of the student."""

    last = None  # what it returned may be nothing that a check can look into
    beyond = "it waits for more bytes than come"  # what is wrong with a function that reads up to the end of the stream

    def __init__(self, student, name, args, sock=None, function=None):
        self.student, self.name, self.sock = student, name, sock
        self.function = function or getattr(student.module, name, None)
        if not callable(self.function):
            raise Wrong(f"{student.path.name} has no function {name}()")
        self.returned = self.error = None
        Run.last = self
        self.thread = threading.Thread(target=self._go, args=(args,), daemon=True)
        self.thread.start()

    def _go(self, args):
        try:
            self.returned = self.function(*args)
        except BaseException as error:
            self.error = error
        if self.sock:
            with contextlib.suppress(OSError):
                self.sock.shutdown(socket.SHUT_WR)  # the other end notices that nothing more will come

    def end(self, what=""):
        self.thread.join(SECONDS)
        if self.thread.is_alive():
            raise Wrong(f"{self.name}() does not end{what}")

    def line(self):
        """Where in the student's file it went wrong."""
        frames = [frame for frame in traceback.extract_tb(self.error.__traceback__) if frame.filename == str(self.student.path)]
        return f"{self.student.path.name}:{frames[-1].lineno}" if frames else self.student.path.name

    def result(self):
        """What it returned; Wrong if it did not."""
        if isinstance(self.error, NotImplementedError):
            raise NotSolved(f"{self.error or self.name + '()'} is not solved yet: the gap is at {self.line()}")
        if self.error:
            more = f"; {self.beyond}" if isinstance(self.error, ConnectionError) and self.sock and self.sock.ended else ""
            raise Wrong(f"{self.name}() fails at {self.line()} with {kind_of(self.error)}: {self.error}{more}")
        return self.returned

    def raised(self, kind, what, number=None):
        """It has to have raised this."""
        if isinstance(self.error, NotImplementedError):
            self.result()
        if self.error is None:
            raise Wrong(f"{self.name}() takes {what}, and returns {self.returned!r}; it has to raise {kind.__name__}")
        if not isinstance(self.error, kind):
            raise Wrong(f"{self.name}() has to raise {kind.__name__} for {what}, and raises {kind_of(self.error)} at "
                        f"{self.line()}: {self.error}")
        if number is not None and getattr(self.error, "errno", None) != number:
            raise Wrong(f"{self.name}() raises {kind_of(self.error)} for {what}, with the errno "
                        f"{getattr(self.error, 'errno', None)}; the right one is {error_name(number)}")


def capabilities(title, data):
    """(major, minor, capabilities) of a VERSION's payload, or Wrong."""
    if not isinstance(data, bytes):
        raise Wrong(f"{title}: {data!r} is not bytes")
    fixed = protocol.VersionRequest.SIZE
    if len(data) < fixed:
        raise Wrong(f"{title} has {len(data)} bytes; major and minor alone are {fixed}")
    text = data[fixed:]
    if not text.endswith(b"\0"):
        raise Wrong(f"{title}: the field data ends with {text[-1:]!r}, and has to end with a NUL")
    try:
        top = json.loads(text[:-1])
    except ValueError as error:
        raise Wrong(f"{title}: the field data (offset {fixed}) is no JSON with a NUL behind it: {text[:40]!r}: {error}") from None
    if not isinstance(top, dict) or not isinstance(top.get("capabilities"), dict):
        raise Wrong(f'{title}: the field data is {top!r}, and has to be an object with the key "capabilities"')
    return *struct.unpack_from(protocol.VersionRequest.FORMAT, data), top["capabilities"]


def same(title, got, want, why=""):
    if got != want or isinstance(got, bool) != isinstance(want, bool):
        raise Wrong(f"{title} is {got!r}, and has to be {want!r}{': ' + why if why else ''}")


# ---- the other end ----


class Message:
    def __init__(self, head, payload, fds):
        self.head, self.payload, self.fds = head, payload, fds
        self.id, self.command, self.flags = head.id, int(head.command), int(head.flags)


def receive(sock, fds_max=64):
    """A whole message of a socket, or None."""
    data, fds, _, _ = socket.recv_fds(sock, HEADER, fds_max)
    while 0 < len(data) < HEADER and (more := sock.recv(HEADER - len(data))):
        data += more
    if len(data) < HEADER:
        return None if not data else Message(protocol.Header.unpack(data.ljust(HEADER, b"\0")), b"", fds)
    head, payload = protocol.Header.unpack(data), b""
    while len(payload) < head.size - HEADER and (more := sock.recv(head.size - HEADER - len(payload))):
        payload += more
    return Message(head, payload, fds)


class Talk:
    """The check's end of the socket."""

    def __init__(self, run, sock):
        self.run, self.sock, self.fds = run, sock, []

    def _bytes(self, count):
        """So many, or what there is."""
        data = b""
        with contextlib.suppress(TimeoutError):
            while len(data) < count and (more := self.sock.recv(count - len(data))):
                data += more
        return data

    def _head(self, title):
        """The bytes of a header and what came with them."""
        try:
            data, fds, _, _ = socket.recv_fds(self.sock, HEADER, 64)
        except TimeoutError:
            raise Wrong(f"{self.run.name}() does not send {title}: it waits for something else, or for ever") from None
        self.fds += fds
        if data:
            data += self._bytes(HEADER - len(data))
        if not data:
            self.run.thread.join(SECONDS)  # its end is what closes the socket
            if not self.run.thread.is_alive():
                self.run.result()
                raise Wrong(f"{self.run.name}() returns {self.run.returned!r} and has not sent {title}")
            raise Wrong(f"{self.run.name}() closes the socket, and has not sent {title}")
        if len(data) < HEADER:
            raise Wrong(f"{title}: only {len(data)} bytes come; a header has {HEADER}")
        return data, fds

    def expect(self, want, *, id=None, flags=0, fds=0, title=None, why={}):
        """The message with this payload has to come; want: a payload of vfu.protocol; why: {field: what is right}."""
        command, whole = int(want.COMMAND), want.build()
        title = title or f"{name_of(command)}{' reply' if flags & REPLY else ''}"
        data, files = self._head(title)
        right = protocol.Header(id or 0, command, HEADER + len(whole), flags, 0)
        skip = ("id",) if id is None else ()
        got = protocol.Header.unpack(data)
        if got.command != command and got.command in protocol.MESSAGES and right.pack()[2:4] != data[2:4][::-1]:
            raise Wrong(f"{name_of(int(got.command))} comes where {title} has to come")
        if flags & REPLY and got.flags & ERROR:
            raise Wrong(f"{title} is an error, {error_name(got.error)}, and success is due")
        rules = {**HEADER_RULES, "id": "a reply repeats the id of its command" if flags & REPLY else "",
                 "size": f"{HEADER}, and the payload of {len(whole)} bytes that is due here"}
        compare(f"header of {title}", right, data, skip, rules)
        payload = self._bytes(len(whole))
        if len(payload) < len(whole):
            raise Wrong(f"{title}: the header says {len(whole)} bytes of payload, and {len(payload)} come")
        compare(title, want, payload, rules=why)
        if len(files) != fds:
            raise Wrong(f"{title} comes with {len(files)} file descriptors, and has to come with {fds}")
        return Message(got, payload, files)

    def version(self, look):
        """A VERSION 0.0; look(its capabilities) raises Wrong. Its text may be written in many ways."""
        data, files = self._head("VERSION")
        got = protocol.Header.unpack(data)
        if got.command != protocol.Command.VERSION:
            raise Wrong(f"{name_of(int(got.command))} comes where VERSION has to come")
        payload = self._bytes(got.size - HEADER)
        right = protocol.Header(0, got.command, HEADER + len(payload), 0, 0)
        compare("header of VERSION", right, data, ("id",), HEADER_RULES)
        look(capabilities("VERSION", payload)[2])
        return Message(got, payload, files)

    def expect_error(self, command, id, number, what=None):
        """A reply with the Error bit, which is a header alone; what: why an error is due."""
        title = f"error reply to {name_of(command)}"
        data, _ = self._head(title)
        if (got := protocol.Header.unpack(data)).flags == REPLY and got.size > HEADER:
            raise Wrong(f"{what or name_of(command)}: an error is due, {error_name(number)}, and success comes")
        rules = {**HEADER_RULES, "id": "a reply repeats the id of its command", "size": "an error reply is a header alone"}
        compare(title, protocol.Header(id, command, HEADER, REPLY | ERROR, number), data, (), rules)

    def send(self, data, fds=()):
        """Bytes as they are."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            socket.send_fds(self.sock, [data], list(fds))

    def send_apart(self, *pieces):
        """Each when the one before it was read."""
        for piece in pieces:
            self.send(piece)
            end = time.monotonic() + SECONDS
            while self.run.thread.is_alive() and self.unread() and time.monotonic() < end:
                time.sleep(0.001)

    def unread(self):
        """How many bytes the student's function has still to read."""
        return int.from_bytes(fcntl.ioctl(self.run.sock, termios.FIONREAD, bytes(4)), sys.byteorder)

    def reply(self, message, payload=b"", *, error=None, fds=(), **odd):
        """To a message; payload: bytes or a part. odd: fields of the header that are other than they should be."""
        data = payload if isinstance(payload, bytes) else payload.build()
        flags = REPLY if error is None else REPLY | ERROR
        fields = {"command": message.command, "id": message.id, "flags": flags, "error": error or 0, **odd}
        self.send(header(payload=data, **fields) + data, fds)

    def forward(self, message, device):
        """To the device; its reply goes back, and is returned."""
        data = message.head.pack() + message.payload
        socket.send_fds(device.sock, [data], message.fds)
        if message.flags & NO_REPLY:
            return None
        answer = receive(device.sock)
        if answer is None:
            raise Wrong(f"the device ends the connection after {name_of(message.command)}")
        self.send(answer.head.pack() + answer.payload, answer.fds)
        self.fds += answer.fds
        return answer

    def nothing_more(self):
        """The student's function has ended, and has sent nothing else."""
        try:
            data, fds, _, _ = socket.recv_fds(self.sock, HEADER, 64)
        except OSError:
            return
        self.fds += fds
        if len(data) == HEADER:
            raise Wrong(f"{self.run.name}() sends {name_of(int(protocol.Header.unpack(data).command))} beyond what is asked for")
        if data:
            raise Wrong(f"{self.run.name}() sends {len(data)} bytes more than the header of its last message says")

    def nothing_left(self, after=b""):
        """If it has returned, it has read what was sent to it, but what comes after that."""
        if self.run.error:
            return
        left = b""
        with contextlib.suppress(OSError):
            left = self.run.sock.recv(0x10000, socket.MSG_DONTWAIT)
        more = len(left) - len(after)
        if more < 0:
            raise Wrong(f"{self.run.name}() reads {-more} bytes too many: they are of the next message")
        if more:
            what = f"the last {more} bytes of its message"
            if more >= HEADER and not after:
                head = protocol.Header.unpack(left)
                what = f"{'the reply to ' if head.flags & REPLY else ''}{name_of(int(head.command))}, which is in the socket still"
            raise Wrong(f"{self.run.name}() returns, and has not read {what}")

    def close_files(self):
        while self.fds:
            with contextlib.suppress(OSError):
                os.close(self.fds.pop())

    # What came of it, behind the with statement.

    def result(self):
        return self.run.result()

    def returned(self, want, why=""):
        same(f"what {self.run.name}() returns", self.run.result(), want, why)

    def raised(self, kind, what, number=None):
        self.run.raised(kind, what, number)


# ---- real devices ----


class Served:
    """A device of python/examples, and a connection to it that has sent VERSION."""

    def __init__(self, device, sock):
        self.device, self.sock = device, sock

    def ask(self, request, fds=()):
        """As a client: the payload of the reply."""
        data = request.build()
        socket.send_fds(self.sock, [header(request.COMMAND, data, id=0x7777, flags=0) + data], list(fds))
        answer = receive(self.sock)
        assert answer and not answer.head.error, answer and answer.head
        return answer.payload

    def write(self, region, offset, value, size=4):
        self.ask(protocol.RegionWriteRequest(region=region, offset=offset, data=value.to_bytes(size, "little")))

    def read(self, region, offset, size=4):
        data = self.ask(protocol.RegionReadRequest(region=region, offset=offset, count=size))
        return int.from_bytes(data[protocol.RegionReadReply.SIZE :], "little")


def example(name):
    """The class of python/examples/name.py, whose name is the file's."""
    spec = importlib.util.spec_from_file_location("course_" + name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, name.capitalize())


@contextlib.contextmanager
def quiet():
    """The device's log would tell of each refusal that a check wants."""
    log = logging.getLogger("vfu")
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(level)


@contextlib.contextmanager
def served(device, greets=True, **options):
    """A device as `vfu serve` serves it, but here."""
    with quiet(), tempfile.TemporaryDirectory(prefix="vfu-course.") as place, socket.socket(socket.AF_UNIX) as sock:
        with vfu.Server(device, place + "/socket", **options) as server, server.start():
            sock.settimeout(SECONDS)
            sock.connect(place + "/socket")
            out = Served(device, sock)
            if greets:
                out.ask(protocol.VersionRequest())
            yield out
            sock.close()


# ---- running all ----


def examine(path, exercises, of=Student):
    """[(title, sentence or None)] of each exercise; `exercises` are functions of of(path), with a docstring."""
    out = []
    for exercise in exercises:
        try:
            exercise(of(path))
            out.append((exercise.__doc__, None))
        except Wrong as wrong:
            out.append((exercise.__doc__, str(wrong)))
        except (TypeError, ValueError, AttributeError, LookupError) as error:
            if not (of is Student and Run.last):
                raise
            out.append((exercise.__doc__, f"{Run.last.name}() returns {Run.last.returned!r}, which is no answer ({error})"))
        Run.last = None
    return out


def main(file, exercises, name="exercise.py", of=Student):
    """check.py [FILE]: says of each exercise what is wrong; exit status 1 if something is."""
    path = Path(sys.argv[1] if len(sys.argv) > 1 else Path(file).parent / name)
    results = examine(path, exercises, of)
    for title, sentence in results:
        print(f"{'wrong' if sentence else 'right'}  {title}")
        if sentence:
            print(f"       {sentence}")
    right = sum(sentence is None for _, sentence in results)
    print(f"{right} of {len(results)} exercises are right")
    return right != len(results)
