# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Messages of the protocol's table, and others, as Python objects: what a client calls, what a device serves.

    client.call("get_thing", index=1)                      on_get_thing(self, request)
      | build                                                ^ parse      | object, dict, bytes, None
      v                                                      |            v build
    libvfu: check -- bytes, descriptors --> socket --> libvfu: check <-- bytes: check --> socket ...

The library holds both to the generated checks. So here only the layout matters: limits are wide open.
"""

from __future__ import annotations

import dataclasses
import difflib
import errno
import functools
import inspect
import os
from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING, Any

import libvfu as c

from . import protocol
from .arguments import check
from .declared import refuse_handler
from .errors import report
from .registers import Range, Register
from .shown import shown

if TYPE_CHECKING:
    import asyncio
    import enum
    from collections.abc import Coroutine

    from _typeshed import FileDescriptorLike, ReadableBuffer

    from .device import Device

    Outcome = Callable[[asyncio.Task[Any]], int]
    Kind = type[protocol.Part] | type["Raw"] | type["_Set"]

# Room for an answer, where a request says how much there is and the caller does not.
ROOM = 65536


@functools.cache
def _limits() -> protocol.Limits:
    """vfu.protocol is read when a message is first made or read, not when vfu is imported."""
    return protocol.Limits.widest()


class Descriptors(list[int]):
    """File descriptors that came with a message: a list of numbers. Those that nobody takes are closed with it (E49)."""

    @shown
    def __repr__(self) -> str:
        return super().__repr__()

    def take(self, index: int = 0) -> int:
        """A descriptor that is the caller's from now on, by its place. IndexError: there is none."""
        return self.pop(index)

    def close(self) -> None:
        """Closes those that were not taken."""
        while self:
            os.close(self.pop())

    __del__ = close


def owned(fds: list[int]) -> Descriptors:
    """Descriptors that are closed with what is returned."""
    return fds if isinstance(fds, Descriptors) else Descriptors(fds)


@dataclasses.dataclass(repr=False)
class Raw:
    """A message that the protocol's table lacks: what on_4242() of a device is given, or what Client.call(4242) returns.

    command: its number; data: what follows the header, bytes; fds: Descriptors that came with it.
    """

    command: int
    data: bytes = b""
    fds: Descriptors = dataclasses.field(default_factory=Descriptors)

    @shown
    def __repr__(self) -> str:
        return f"{self.command}: {len(self.data)} bytes, {len(self.fds)} descriptors"

    def build(self) -> bytes:
        """What follows the header, as bytes."""
        return bytes(self.data)


def suggest(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, known, 1)
    return f", did you mean {near[0]}?" if near else ""


def _names(members: Iterable[enum.Enum]) -> list[str]:
    return [member.name.lower() for member in members]


def number_of(what: str | int, members: type[enum.IntEnum], kind: str, prefix: str = "") -> int:
    """A number from a number, or a name of an enumeration; ValueError says which is near."""
    if isinstance(what, int):
        return int(what)
    if not isinstance(what, str):
        raise TypeError(f"a {kind} is a name or a number, not {what!r}")
    if what.isdecimal():
        return int(what)
    if what.upper() not in members.__members__:
        near = suggest(prefix + what, [prefix + name for name in _names(members)])
        raise ValueError(f"there is no {kind} {prefix}{what}{near}")
    return int(members[what.upper()])


def _message(number: int) -> protocol.Message | None:
    """What is known of a command, or None."""
    return protocol.MESSAGES.get(number)


def parse(number: int, data: bytes, fds: Descriptors, *, request: Any = None) -> Any:
    """The object for a payload that the library has checked; request: of a reply."""
    if _message(number) is None:
        return Raw(number, data, fds)
    part: Any = protocol.parse(number, data, reply=request is not None, nfds=len(fds), limits=_limits(), request=request)
    part.fds = fds
    return part


# ---- sending ----


def _request(what: str | int | protocol.Payload, fields: dict[str, Any]) -> tuple[int, protocol.Payload | Raw]:
    """The number of a command, and the object to send: a part of the protocol as it is, or one made of fields."""
    if isinstance(what, protocol.Payload):
        if fields or what.REPLY:
            raise TypeError(f"{type(what).__name__} is " + ("no request" if what.REPLY else "given with its fields"))
        return int(what.COMMAND), what
    number = number_of(what, protocol.Command, "message")
    message = _message(number)
    if message is None:
        return number, Raw(number, **fields)
    known = {field.name: field for field in dataclasses.fields(message.request)}
    for name in fields:
        if name not in known:
            raise TypeError(f"{message.request.__name__} has no {name}{suggest(name, known)}")
    answer = {field.name for field in dataclasses.fields(message.reply)}
    if "argsz" in known and "argsz" in answer and "argsz" not in fields:
        fields = {"argsz": ROOM, **fields}
    return number, message.request(**fields)


def descriptors(fds: Iterable[FileDescriptorLike]) -> list[int]:
    """Numbers of what has one, as files do: they stay the caller's."""
    fds = list(fds)
    for fd in fds:
        check(fd=fd)
    return [fd if isinstance(fd, int) else fd.fileno() for fd in fds]


class Message:
    """A request as the library takes it, and what its answer means: the same whether somebody waits for that or not.

    wire: its number, payload and descriptors.
    """

    def __init__(
        self, what: str | int | protocol.Payload, fds: Iterable[FileDescriptorLike], fields: dict[str, Any]
    ) -> None:
        self._number, self._request = _request(what, fields)
        self.wire: tuple[int, bytes, list[int]] = self._number, self._request.build(), descriptors(fds)

    def answer(self, came: tuple[bytes, list[int]] | None) -> Any:
        """The object for a payload and descriptors; None: it was posted."""
        return None if came is None else parse(self._number, came[0], owned(came[1]), request=self._request)


def call(
    handle: c.vfu_client | None,
    what: str | int | protocol.Payload,
    fds: Iterable[FileDescriptorLike],
    milliseconds: int,
    post: bool,
    fields: dict[str, Any],
) -> Any:
    """What Client.call does."""
    message = Message(what, fds, fields)
    return message.answer(c.client_call(handle, *message.wire, milliseconds, post))


# ---- serving ----


def _build(result: Any, cls: Kind, name: str) -> tuple[ReadableBuffer, list[int]]:
    """Bytes and descriptors of what a handler returned."""
    fds: Iterable[FileDescriptorLike] = ()
    if isinstance(result, tuple):
        result, fds = result
    if isinstance(result, dict):
        result = cls(**result)
    if result is None and (cls is Raw or not dataclasses.fields(cls)):
        result = b""
    if isinstance(result, (protocol.Part, Raw)):
        result = result.build()
    if not isinstance(result, (bytes, bytearray, memoryview)):
        raise TypeError(f"{name} must return a {cls.__name__}, a dict of its fields, or bytes, not {result!r}")
    return result, descriptors(fds)


def _answer(request: c.Request, task: asyncio.Task[Any], outcome: Outcome, cls: Kind, name: str) -> None:
    """Answers with a coroutine's result."""
    if code := outcome(task):
        request.fail(code)
        return
    try:
        answer = _build(task.result(), cls, name)
    except Exception as error:
        request.fail(report(task.get_coro(), error))
        return
    try:
        request.reply(*answer)
    except Exception as error:
        report(task.get_coro(), error)


def _answer_later(
    device: Device, request: c.Request, coroutine: Coroutine[Any, Any, Any], outcome: Outcome, cls: Kind, name: str
) -> None:
    try:
        request.defer()
    except BaseException:
        coroutine.close()
        raise
    try:
        device._start(coroutine, device._tasks, lambda task: _answer(request, task, outcome, cls, name))
    except BaseException:
        request.fail(errno.EIO)
        raise


def _serve(
    device: Device, request: c.Request, handler: Callable[[Any], Any], argument: Any, cls: Kind, outcome: Outcome
) -> object:
    """Runs a handler; its coroutine answers when it ends. Returns the errno of what failed and was logged, or what passes it on."""
    name = handler.__qualname__
    try:
        result = handler(argument)
        if inspect.iscoroutine(result):
            _answer_later(device, request, result, outcome, cls, name)
        elif result is NotImplemented and cls not in (_Set, _Got):
            return result
        else:
            request.reply(*_build(result, cls, name))
    except Exception as error:
        return report(handler, error)
    return None


def serve_command(device: Device, number: int, request: c.Request, outcome: Outcome) -> object:
    message = _message(number)
    argument = parse(number, request.payload(), Descriptors(request.take_fds()))
    return _serve(device, request, device._served[number], argument, message.reply if message else Raw, outcome)


def serve_feature(device: Device, method: str, feature: int, request: c.Request, outcome: Outcome) -> object:
    """The method, "GET" or "SET", sees what comes behind the fixed part, and its answer goes there."""
    head = protocol.DeviceFeatureRequest(ROOM, feature | protocol.FeatureFlags[method]).pack()
    whole: Any = protocol.parse(protocol.Command.DEVICE_FEATURE, head + request.payload(), limits=_limits())
    handler = device._features[feature, method]
    return _serve(device, request, handler, whole.data, _Got if method == "GET" else _Set, outcome)


@dataclasses.dataclass(init=False)
class _Set:
    """What a feature's setter returns: a part of the protocol, bytes, or None for what was set."""

    def __init__(self, **fields: Any) -> None:
        raise TypeError("a dict will not do here: which part it stands for is not known")


@dataclasses.dataclass(init=False)
class _Got(_Set):
    """The same of a getter, which has something to say."""

    data: object


_DECORATORS = ("on_access", "on_read", "on_write")  # of vfu.Bar and its registers
_PREFIXES = {"feature_get_": "GET", "feature_set_": "SET"}
_METHODS = {"GET": 1, "SET": 2}


def _methods(cls: type, prefix: str) -> list[str]:
    found = {name: getattr(cls, name) for name in dir(cls) if name.startswith(prefix)}
    # Registers are called only to say that they are no decorators; they may have such names.
    return [name for name, value in found.items() if callable(value) and not isinstance(value, (Register, Range))]


def install(device: Device, hooks: Collection[str]) -> None:
    """Finds the methods that serve commands and features, and tells the library. Misspelt ones are refused."""
    cls, handle = type(device), device._handle
    device._served, device._features = {}, {}
    for name in _methods(cls, "on_"):
        if name not in hooks:
            _install_command(device, name, hooks)
    for prefix, method in _PREFIXES.items():
        for name in _methods(cls, prefix):
            try:
                feature = number_of(name.removeprefix(prefix), protocol.FeatureIndex, "feature", prefix)
            except ValueError as error:
                raise TypeError(f"{cls.__name__}.{name}: {error}") from None
            refuse_handler(getattr(cls, name), "self, data")
            device._features[feature, method] = getattr(device, name)
    for feature in {feature for feature, _ in device._features}:
        c.device_set_feature(handle, feature, sum(_METHODS[m] for f, m in device._features if f == feature))


def _install_command(device: Device, name: str, hooks: Collection[str]) -> None:
    word, known = name.removeprefix("on_"), [*hooks, *("on_" + name for name in _names(protocol.Command))]
    if not word.isdecimal() and name not in known:
        near = suggest(name, [*known, *_DECORATORS])
        if any(one in near for one in _DECORATORS):
            near += " That is no method of a device but a decorator of its registers and ranges: @bar0.reg32(0).on_write, @bar0.on_access"
        raise TypeError(f"{type(device).__name__}.{name}: no message and no hook has that name{near}")
    number = number_of(word, protocol.Command, "message")
    refuse_handler(getattr(type(device), name), "self, request")
    try:
        c.device_set_command(device._handle, number)
    except OSError as error:
        raise TypeError(f"{type(device).__name__}.{name}: {error.strerror}") from None
    device._served[number] = getattr(device, name)


# ---- features ----


def feature_number(feature: str | int) -> int:
    return number_of(feature, protocol.FeatureIndex, "feature")


def feature_request(feature: str | int, methods: int, data: Any = b"", room: int = 0) -> protocol.DeviceFeatureRequest:
    """A GET, SET or PROBE, with room for so many bytes of data in the answer."""
    request = protocol.DeviceFeatureRequest(flags=feature_number(feature) | methods, data=data)
    request.argsz = request.SIZE + room
    return request


def probe_request(feature: str | int, get: bool, set: bool) -> protocol.DeviceFeatureRequest:
    methods = protocol.FeatureFlags
    return feature_request(feature, methods.PROBE | (methods.GET if get else 0) | (methods.SET if set else 0))


def is_lacking(error: OSError) -> bool:
    """Of a probe: there is no such feature (E45)."""
    return error.errno in (errno.ENOTTY, errno.EINVAL)


def _call_feature(handle: c.vfu_client | None, request: protocol.DeviceFeatureRequest) -> Any:
    return call(handle, request, (), 0, False, {}).data


def get_feature(handle: c.vfu_client | None, feature: str | int, data: Any, room: int) -> Any:
    return _call_feature(handle, feature_request(feature, protocol.FeatureFlags.GET, data, room))


def set_feature(handle: c.vfu_client | None, feature: str | int, data: Any) -> Any:
    return _call_feature(handle, feature_request(feature, protocol.FeatureFlags.SET, data))


def probe_feature(handle: c.vfu_client | None, feature: str | int, get: bool, set: bool) -> bool:
    try:
        _call_feature(handle, probe_request(feature, get, set))
    except OSError as error:
        if is_lacking(error):
            return False
        raise
    return True
