# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Devices: subclass Device, declare regions, registers and interrupts, serve it."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import enum
import errno
import inspect
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any

import libvfu as c

from . import commands, protocol
from .capabilities import Agreed
from .declared import refuse_generator, refuse_misspelt
from .dma import DeviceDma, DmaRange, dma_range
from .errors import Error, log_level, make_error, report, report_missed
from .irqs import DeviceIrqs, Irqs
from .regions import MemoryPart, Region, collect
from .registers import Bits, Range, Register

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

    Coro = Coroutine[Any, Any, Any]
    Task = asyncio.Task[Any]


class Gate(enum.IntEnum):
    """What a gate is asked about."""

    DMA_MAP = c.VFU_GATE_DMA_MAP
    DMA_UNMAP = c.VFU_GATE_DMA_UNMAP
    RESET = c.VFU_GATE_RESET
    FEATURE_SET = c.VFU_GATE_FEATURE_SET
    FLR = c.VFU_GATE_FLR
    DISCONNECT = c.VFU_GATE_DISCONNECT
    COMMAND = c.VFU_GATE_COMMAND


class Device:
    """A PCI device. Its state outlives connections.

    Class attributes of a subclass say what it is: vendor_id, device_id, class_code, revision...; bar0 to
    bar5 = vfu.Bar(...) and rom = vfu.Rom(...); irqs = vfu.Irqs(...); registers = bar0.reg32(offset).
    Of an instance, self.REGISTER is a number; self.bar0[a:b] its memory; self.irqs.msix[i].trigger(),
    self.irqs.intx.raise_() and lower() interrupt; self.dma reads and writes the client's memory.

    A method on_NAME(self, request) serves a message of the protocol that the library leaves to devices, as
    on_get_irq_info, or one with a number that the protocol lacks, as on_4242. request is an object of
    vfu.protocol, or a vfu.Raw; request.fds holds descriptors that came along, and closes those that are not taken.
    It returns what the answer is: an object of vfu.protocol, a dict of its fields, bytes, or None if the answer has
    none (counts and offsets are set from what follows; what lies in lists may be dicts too, where they hold one kind);
    or that and a list of descriptors (numbers, or files), which stay the method's. NotImplemented has the
    library answer as it would without the method. If the message requires a capability of VERSION, the Server must say
    it, and the client: capabilities={"NAME": True} of both.

    feature_get_NAME(self, data) and feature_set_NAME(self, data) serve a feature, by name or number. data is what
    the client sent; what is answered is an object of vfu.protocol or bytes, or, of a setter, None for what was set.

    All of these may be coroutines, which answer when they end. What they answer is checked before it is sent: the
    client gets EIO for one that breaks a rule of the protocol, and the log says which field and rule.

    A handler that raises gives the client an error: the errno of an OSError, else EIO; and it is logged.
    """

    vendor_id: int = 0
    device_id: int = 0
    subsystem_vendor_id: int = 0
    subsystem_id: int = 0
    class_code: int = 0
    revision: int = 0
    config_size: int = 256
    capabilities: Sequence[tuple[int, bytes]] = ()  # PCI's: (id, bytes after the next pointer); those of VERSION are the Server's
    irqs = Irqs()
    dma: DeviceDma
    event_loop: bool | None = None  # True: handlers need an asyncio loop, though none is a coroutine
    max_spawned: int = 1024  # coroutines of spawn() at once; with more it fails with ENOBUFS
    max_writers: int = 1024  # coroutines of writes at once; writes that come then wait, and are answered when theirs begins

    # Methods that the library calls only if a subclass has its own, in the order of struct vfu_device_hooks.
    _HOOKS = ("on_gate", None, "on_dma_map", "on_dma_unmap", "on_connect", None, "on_config_write")

    # What a subclass may have to say, for those who nearly say it.
    _SAID = (
        *("vendor_id", "device_id", "subsystem_vendor_id", "subsystem_id", "class_code", "revision", "config_size"),
        *("capabilities", "irqs", "event_loop", "max_spawned", "max_writers", "rom", *(f"bar{i}" for i in range(6))),
        *("reset", "on_disconnect", *filter(None, _HOOKS)),
    )

    def __init__(self) -> None:
        cls = type(self)
        self._check_names()
        regions, self._parts, self._write_sides = collect(cls, lambda name: name == "dma" or hasattr(Device, name))
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_ending: Callable[[], bool] | None = None  # the server's answer, while one runs
        self._agreed: Callable[[str], int] | None = None  # what it has agreed with its client, the same
        self._tasks: set[Task] = set()  # of handlers
        self._writers = 0  # those of writes
        # (coroutine, what answers its write): writes beyond max_writers
        self._waiting: collections.deque[tuple[Coro, c.Deferred]] = collections.deque()
        self._background: set[Task] = set()  # of spawn()
        # What commands.install() finds: methods by command, by feature and GET or SET.
        self._served: dict[int, Callable[[Any], Any]] = {}
        self._features: dict[tuple[int, str], Callable[[Any], Any]] = {}
        self._handle = handle = c.DeviceHandle(self)
        c.device_set_log_level(handle, log_level())
        self._check_numbers()
        c.vfu_device_set_ids(
            handle, self.vendor_id, self.device_id, self.subsystem_vendor_id, self.subsystem_id
        )
        c.vfu_device_set_class(handle, self.class_code, self.revision)
        c.vfu_device_set_config_size(handle, self.config_size)
        for region in regions.values():
            region._install(handle)
        for part in self._parts:
            part._install(handle)
        for identity, data in self._pci_capabilities():
            c.vfu_device_add_capability(handle, identity, data)
        cls.irqs._install(handle, regions)
        commands.install(self, [*filter(None, self._HOOKS), "on_disconnect", "on_close"])
        c.device_set_hooks(handle, sum(1 << bit for bit, name in enumerate(self._HOOKS) if self._wants(name)))
        self.__dict__["irqs"] = DeviceIrqs(handle, cls.irqs)
        self.dma = DeviceDma(handle)
        self._clear_registers()

    # ---- for subclasses ----

    def reset(self) -> None:
        """The client reset the device. Registers have their reset values again and coroutines are cancelled."""

    def on_connect(self) -> Any:
        """A client has connected."""

    def on_disconnect(self) -> None:
        """The client has gone."""

    def on_close(self) -> None:
        """The server that served the device has been closed: close files, end threads. Once for each server.

        Called after on_disconnect(), by the thread that closes the server; not in a child after fork().
        """

    def on_dma_map(self, range: DmaRange) -> None:
        """A range of memory has come."""

    def on_dma_unmap(self, range: DmaRange) -> None:
        """A range of memory is about to go."""

    def on_config_write(self, offset: int, size: int) -> None:
        """The client has written to configuration space."""

    def on_gate(self, what: Gate) -> Any:
        """Asked before what changes memory or state (a Gate). Raise to refuse; a coroutine makes the client wait.

        When the server ends it disconnects without waiting: a coroutine is not run then.
        """

    @property
    def agreed(self) -> Agreed:
        """What was agreed with the client, by name: self.agreed["max_data_xfer_size"]. Disconnected: there is none."""
        if self._agreed is None:
            raise make_error(errno.ENOTCONN)
        return Agreed(self._agreed)

    def config_read(self, offset: int, size: int) -> bytes:
        """Configuration space as the device sees it."""
        return c.vfu_device_config_read(self._handle, offset, size)

    def config_write(self, offset: int, data: ReadableBuffer) -> None:
        """Writes read-only bits too, without side effects."""
        c.vfu_device_config_write(self._handle, offset, data)

    def set_state(self, state: protocol.DeviceState | str) -> None:
        """Says which state of migration the device has reached: a protocol.DeviceState, or its name.

        Messages that are lawful in some states alone are refused in others. At first, and after a reset, it runs.
        """
        c.vfu_device_set_state(self._handle, commands.number_of(state, protocol.DeviceState, "state"))

    def spawn(self, coroutine: Coro, *, until_reset: bool = False) -> Task:
        """Runs a coroutine on the server's event loop until it ends or the server does. Returns the task.

        until_reset: a reset, or the end of the connection, cancels it too, as it does the coroutines of handlers.
        Handlers that call it may be called at any rate: no more than max_spawned run.
        """
        if len(self._background) >= self.max_spawned:
            coroutine.close()
            raise make_error(errno.ENOBUFS, text=f"{self.max_spawned} coroutines of spawn() run already")
        task = self._start(coroutine, self._background, outcome)
        if until_reset:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return task

    # ---- called by the library ----

    # What these return goes back to the library, which knows what to make of a coroutine that has no place here.

    def _gate(self, what: int) -> bool:
        result = self.on_gate(Gate(what))
        if not inspect.iscoroutine(result):
            return False
        if self._loop is None and what == Gate.DISCONNECT:
            result.close()  # the server itself ends
            return False
        self._start(result, self._background, self._decide)
        return True

    def _decide(self, task: Task) -> None:
        with contextlib.suppress(OSError):  # nobody asks any more
            c.vfu_device_gate_done(self._handle, -outcome(task))

    def _reset(self) -> None:
        self._cancel()
        self._clear_registers()
        return self.reset()

    def _dma_mapped(self, iova: int, size: int, flags: int, mapped: bool) -> None:
        return self.on_dma_map(dma_range(iova, size, flags, mapped))

    def _dma_unmapping(self, iova: int, size: int, flags: int, mapped: bool) -> None:
        return self.on_dma_unmap(dma_range(iova, size, flags, mapped))

    def _connected(self) -> None:
        if inspect.iscoroutine(result := self.on_connect()):
            self._spawn_handler(result)

    def _disconnected(self) -> None:
        self._cancel()
        report_missed()
        return self.on_disconnect()

    def _closed(self) -> None:
        try:
            self.on_close()
        except Exception as error:
            report(self.on_close, error)

    def _command(self, number: int, request: c.Request) -> object:
        return commands.serve_command(self, number, request, outcome)

    def _get_feature(self, feature: int, request: c.Request) -> object:
        return commands.serve_feature(self, "GET", feature, request, outcome)

    def _set_feature(self, feature: int, request: c.Request) -> object:
        return commands.serve_feature(self, "SET", feature, request, outcome)

    def _check_wait(self) -> None:
        """Asked now and then while a handler waits for DMA. It is cancelled as coroutines are."""
        if self._is_ending is not None and self._is_ending():
            raise asyncio.CancelledError

    def _spawn_handler(self, coroutine: Coro) -> None:
        """Runs on what a handler began; a reset or the end of the connection cancels it."""
        self._start(coroutine, self._tasks, outcome)

    def _spawn_writer(self, coroutine: Coro) -> bool:
        """The coroutine of a write runs on, but not any number: False: _spawn_later wants it."""
        if self._waiting or self._writers >= self.max_writers:
            return False
        self._start(coroutine, self._tasks, self._writer_ended)
        self._writers += 1
        return True

    def _spawn_later(self, coroutine: Coro, deferred: c.Deferred) -> None:
        self._waiting.append((coroutine, deferred))

    def _writer_ended(self, task: Task) -> None:
        self._writers -= 1
        outcome(task)
        while self._waiting and self._writers < self.max_writers:
            coroutine, deferred = self._waiting.popleft()
            deferred.answer(None)
            self._start(coroutine, self._tasks, self._writer_ended)
            self._writers += 1

    def _answer_later(self, coroutine: Coro, deferred: c.Deferred) -> None:
        self._start(coroutine, self._tasks, lambda task: answer(deferred, task))

    # ---- inside ----

    def _pci_capabilities(self) -> list[tuple[int, bytes]]:
        said: Any = self.capabilities
        pairs = [] if isinstance(said, dict) else list(said)
        if isinstance(said, dict) or not all(isinstance(one, (tuple, list)) and len(one) == 2 for one in pairs):
            raise TypeError("capabilities are PCI's, (id, bytes) pairs; those of VERSION are the Server's")
        return pairs

    def _check_names(self) -> None:
        cls = type(self)
        for name in (*filter(None, self._HOOKS), "on_disconnect", "reset"):
            refuse_generator(getattr(cls, name))
        declared = (Register, Range, MemoryPart, Bits, Region, Irqs, type)
        refuse_misspelt(cls, Device, self._SAID, declared)

    def _check_numbers(self) -> None:
        sizes = {"class_code": 24, "revision": 8}
        for name in ("vendor_id", "device_id", "subsystem_vendor_id", "subsystem_id", *sizes):
            value, bits = getattr(self, name), sizes.get(name, 16)
            if not isinstance(value, int) or not 0 <= value < 1 << bits:
                raise ValueError(f"{name} is a number of {bits} bits, not {value!r}")

    def _wants(self, name: str | None) -> bool:
        # Registers and tasks are ours to look after, so reset and disconnect are always wanted.
        return name is None or getattr(type(self), name) is not getattr(Device, name)

    def _needs_loop(self) -> bool:
        if self.event_loop is not None:
            return self.event_loop
        functions = [getattr(self, name) for name in ("on_connect", "on_gate")]
        functions += [*self._served.values(), *self._features.values()]
        functions += [function for part in self._parts for function in part.functions]
        return any(inspect.iscoroutinefunction(function) for function in functions)

    def _clear_registers(self) -> None:
        for part in self._parts:
            part._clear(self)

    def _cancel(self) -> None:
        while self._waiting:
            coroutine, deferred = self._waiting.popleft()
            coroutine.close()
            deferred.fail(errno.ECANCELED)
        for task in list(self._tasks):
            task.cancel()

    def _start(self, coroutine: Coro, tasks: set[Task], ended: Callable[[Task], object]) -> Task:
        """Makes the coroutine itself a task: cancelled before it begins, one around it would leave it behind."""
        if self._loop is None:
            coroutine.close()
            raise RuntimeError("coroutines need an event loop: set event_loop = True in the device's class")
        task = self._loop.create_task(coroutine)
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        task.add_done_callback(ended)
        return task


def outcome(task: Task) -> int:
    """What has become of a handler's coroutine: 0 or an errno. Failures are logged."""
    if task.cancelled():
        return errno.ECANCELED
    error = task.exception()
    if error is None:
        return 0
    if not isinstance(error, Exception):
        return errno.EIO  # it has ended the event loop too
    if isinstance(error, Error) and error.errno == errno.ECANCELED:
        return errno.ECANCELED  # its memory was unmapped, or the client has gone
    return report(task.get_coro(), error)


def answer(deferred: c.Deferred, task: Task) -> None:
    """Answers a read with a coroutine's result."""
    if code := outcome(task):
        deferred.fail(code)
        return
    try:
        deferred.answer(task.result())
    except Exception as error:
        deferred.fail(report(task.get_coro(), error))


def check_device(device: object) -> None:
    """What a server needs; gives a useful message to those who forgot something."""
    if isinstance(device, type):
        raise TypeError(f"serve an instance: {device.__name__}()")
    if not isinstance(device, Device):
        raise TypeError(f"a vfu.Device is wanted, not {type(device).__name__}")
    if not hasattr(device, "_handle"):
        raise TypeError(f"{type(device).__name__}.__init__() must call super().__init__() first")


async def cancel_all(tasks: set[Task]) -> None:
    """Cancels tasks until they have ended: what they wait for when cancelled may never come, for nobody serves."""
    while tasks:
        for task in tasks:
            task.cancel()
        _, tasks = await asyncio.wait(tasks, timeout=1)
