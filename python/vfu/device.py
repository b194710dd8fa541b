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
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import libvfu as c

from . import commands, pci, protocol
from .capabilities import Agreed
from .declared import misspelt, named, refuse_handler, refuse_misspelt
from .dma import DeviceDma, DmaRange, dma_range
from .errors import Error, hook, keep_unanswered, log_level, logger, make_error, report, report_missed
from .irqs import DeviceIrqs, Irqs
from .regions import MemoryPart, Region, collect
from .registers import Bits, Range, Register
from .shown import connected, shown

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

    Coro = Coroutine[Any, Any, Any]
    Task = asyncio.Task[Any]
    AtReset = Literal["keep", "cancel", "wait"]


class Gate(enum.IntEnum):
    """What on_gate() is asked about, before it is done: a client's DMA_MAP, DMA_UNMAP, RESET, DEVICE_FEATURE that sets
    (FEATURE_SET), a function-level reset in configuration space (FLR), the end of the connection (DISCONNECT), or another
    message that the protocol says so of (COMMAND)."""

    DMA_MAP = c.VFU_GATE_DMA_MAP
    DMA_UNMAP = c.VFU_GATE_DMA_UNMAP
    RESET = c.VFU_GATE_RESET
    FEATURE_SET = c.VFU_GATE_FEATURE_SET
    FLR = c.VFU_GATE_FLR
    DISCONNECT = c.VFU_GATE_DISCONNECT
    COMMAND = c.VFU_GATE_COMMAND


ENDS_TASKS = Gate.RESET, Gate.FLR, Gate.DISCONNECT


class Peer(NamedTuple):
    """Who a client is: as the kernel says of the process that connected, or, of a socket pair, made it.

    pid: its number; 0 if it cannot be seen from here, being in another PID namespace. uid, gid: its user and group.
    """

    pid: int
    uid: int
    gid: int


class _Unmade:
    """What stands for an attribute of __init__() until that has been called."""

    def __get__(self, device: object, cls: type) -> Any:
        raise AttributeError(f"{cls.__name__}.__init__() must call super().__init__() first")


class Device:
    """A PCI device: a class says what it has, an object of it is served, by a Server. Its state outlives connections.

        class Thermometer(vfu.Device):
            vendor_id, device_id, class_code = 0x1234, 0x0002, 0x118000
            bar0 = vfu.Bar(size=4096)
            irqs = vfu.Irqs(msix=1)

            temperature = bar0.reg32(0x00, reset=20, readonly=True)     # storage, served without Python
            alarm = bar0.reg32(0x04, w1c=1)                             # the client clears bits by writing ones

            @bar0.reg32(0x08).on_write
            async def send(self, address):                              # value written by the client
                await self.dma.write(address, self.bar0[0:4])
                self.irqs.msix[0].trigger()

    What the class declares
    -----------------------
    vendor_id, device_id, subsystem_vendor_id, subsystem_id (16 bits each), class_code (24 bits: class, subclass,
    programming interface), revision (8 bits): its identity, numbers.
    config_size: of configuration space, 256 or 4096 bytes. capabilities: those of PCI in it, vfu.pci.PowerManagement(),
    Express(), Vendor(), SerialNumber(), Extended(), or (id, bytes after the next pointer) each; those of VERSION are the
    Server's. config = vfu.ConfigSpace(): registers of the device's own in it.
    bar0 to bar5 = vfu.Bar(...), rom = vfu.Rom(...): memory, see Bar. log = vfu.DeviceRegion(...), under any name: a region
    that PCI does not know.
    registers = bar0.reg8(offset) to reg64(offset), memory(), range(): what lies in it, see Register and Range; event():
    writes that come as signals of an eventfd, see Bar. Without handlers
    a register is storage that the client reads and writes without Python; its arguments say which bits, its decorators
    on_read and on_write give it handlers.
    irqs = vfu.Irqs(intx=1, msix=4): interrupts, see Irqs.
    event_loop: True, if handlers need an asyncio loop though none is a coroutine. max_spawned: coroutines of spawn() at
    once, 1024; with more it fails with ENOBUFS. max_writers: coroutines of writes at once, 1024; writes that come then
    wait, and are answered when theirs begins. reset_timeout: seconds, 2.0, that a reset waits for tasks to end, see Tasks.

    What an object has
    ------------------
    self.REGISTER: a number to read and set; no handler runs, and the client's rights do not hold. self.bar0[a:b]: memory.
    Attributes of its own, under any names; the log tells of one that is a register's but for its spelling.
    self.irqs.msix[i].trigger(), self.irqs.intx.raise_() and lower(), err and req: interrupts, see DeviceIrqs; from any thread.
    self.dma: the client's memory, `await self.dma.read(iova, size)`, write(), read_list(), fill(), pin(), read_sync(), map(),
    see DeviceDma.
    __init__() may have arguments, which `vfu serve my.py period=0.1` gives, and calls super().__init__() first.

    Methods that are called, if the class has them
    ----------------------------------------------
    Handlers of registers; reset(), on_accept(), on_connect(), on_disconnect(), on_close(), on_dma_map(), on_dma_unmap(),
    on_config_write(), on_gate(), each described below. All by the thread that runs the server, one at a time, save that
    a handler that waits in read_sync() and write_sync() has others served meanwhile (E60).
    Coroutines run as tasks of the server's event loop: a write's is answered at once, a read's when it returns. A reset
    and the end of the connection cancel them; spawn() starts others, which need not end then, or are waited for.

    Tasks
    -----
    self.spawn(work(), at_reset=...) says what becomes of a task when the client resets the device (RESET, a
    function-level reset, D3hot to D0), and, the same, when its connection ends:

        "keep"      it runs on, for the next client too; the server's end cancels it. So if nothing is said.
        "cancel"    it is cancelled, as coroutines of handlers are; the reset is answered meanwhile.
        "wait"      it is cancelled, and has ended before reset() is called and the reset is answered; after the end of
                    a connection, before on_disconnect() is called and the next client is served.

    "wait" is for what holds something that the reset clears, or that the next client must find free: a file, a thread,
    state that is changed in steps. The task gets asyncio.CancelledError where it awaits, and what it does then (in
    finally) may await. on_gate() is asked first: a reset that it refuses ends no task. Nothing else of the client starts
    meanwhile, and it may go: then the tasks have ended before on_disconnect(), too. When the connection ends reset() is
    not called, and registers stay: a task that says in one that it is busy takes that back in finally. The server's end
    waits as well.
    A task that has not ended after reset_timeout is named in the log with the line where it is, cancelled once more, and
    waited for no more: what its finally awaits is cut short. Who needs longer says so, reset_timeout = 4.0.
    The client has a timeout of its own (QEMU's: 5 s), and may answer no DMA while it waits (E60): do not await DMA by
    messages in finally.

    A reset ends the device's DMA: what has not been sent never is, nor what was pinned as a buffer, and whoever awaits it,
    a task that is kept too, gets ECANCELED; what was sent came before the reset's answer. Bus mastering is off then.

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
    capabilities: Sequence[tuple[int, bytes] | pci.Declared] = ()
    irqs = Irqs()
    dma: DeviceDma
    event_loop: bool | None = None
    max_spawned: int = 1024
    max_writers: int = 1024
    reset_timeout: float = 2.0

    # Methods that the library calls only if a subclass has its own, in the order of struct vfu_device_hooks.
    _HOOKS = ("on_gate", None, "on_dma_map", "on_dma_unmap", "on_connect", None, "on_config_write", "on_accept")

    _CALLED = ("reset", "on_disconnect", "on_close", *filter(None, _HOOKS))
    # What a subclass may have to say, for those who nearly say it.
    _SAID = (
        *("vendor_id", "device_id", "subsystem_vendor_id", "subsystem_id", "class_code", "revision", "config_size"),
        *("capabilities", "config", "irqs", "event_loop", "max_spawned", "max_writers", "reset_timeout",
        "rom", *(f"bar{i}" for i in range(6))),
        *_CALLED,
    )

    _handle: Any = _Unmade()

    def __init__(self) -> None:
        """Makes the device of what its class declares; an __init__() of the class's own calls it before all else.

        TypeError, ValueError: what is declared makes no device, and the text says why.
        """
        cls = type(self)
        self._check_names()
        self._regions, self._parts, self._write_sides = collect(cls, lambda name: name == "dma" or hasattr(Device, name))
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_ending: Callable[[], bool] | None = None  # the server's answer, while one runs
        self._agreed: Callable[[str], int] | None = None  # what it has agreed with its client, the same
        self._tasks: set[Task] = set()  # of handlers
        self._writers = 0  # those of writes
        # (coroutine, what answers its write): writes beyond max_writers
        self._waiting: collections.deque[tuple[Coro, c.Deferred]] = collections.deque()
        self._background: set[Task] = set()  # of spawn()
        self._awaited: set[Task] = set()  # those of them that a reset waits for
        self._told: set[Task] = set()  # and those of these that it has told to end
        # What commands.install() finds: methods by command, by feature and GET or SET.
        self._served: dict[int, Callable[[Any], Any]] = {}
        self._features: dict[tuple[int, str], Callable[[Any], Any]] = {}
        self._unanswered_failures: list[Exception] | None = None  # None: nobody wants to know
        self._handle = handle = c.DeviceHandle(self)
        c.device_set_log_level(handle, log_level())
        self._check_numbers()
        c.vfu_device_set_ids(
            handle, self.vendor_id, self.device_id, self.subsystem_vendor_id, self.subsystem_id
        )
        c.vfu_device_set_class(handle, self.class_code, self.revision)
        c.vfu_device_set_config_size(handle, self.config_size)
        for region in self._regions.values():
            with named(cls, region.name):
                region._install(handle)
        for part in self._parts:
            with named(cls, getattr(part, "name", "") or part.region.name):
                part._install(handle)
        # Those without a place go beside those that have one.
        for one in sorted(self._pci_capabilities(), key=lambda one: not one.offset):
            with named(cls, f"capabilities: {type(one).__name__}"):
                one._install(handle)
        with named(cls, "irqs"):
            cls.irqs._install(handle, self._regions)
        commands.install(self, self._CALLED)
        self._hooks = sum(1 << bit for bit, name in enumerate(self._HOOKS) if self._wants(name))
        c.device_set_hooks(handle, self._hooks)
        self.__dict__["irqs"] = DeviceIrqs(handle, cls.irqs)
        self.dma = DeviceDma(handle)
        self._looked_at = {*vars(self), "_looked_at"}
        self._clear_registers()

    @shown
    def __repr__(self) -> str:
        said = f"{self.vendor_id:04x}:{self.device_id:04x}"
        if not hasattr(self, "_handle"):
            return f"{said}, super().__init__() was not called"
        if self._agreed is None:
            return f"{said}, not served"
        return f"{said}, served, {connected(self._agreed)}"

    # ---- for subclasses ----

    def reset(self) -> None:
        """The client has reset the device (RESET, or FLR): clear what the device keeps of its own.

        Before it is called registers have their reset values again, coroutines of handlers are cancelled, and the tasks of
        spawn(at_reset="wait") have ended. Memory that is no register is left alone, the client's stays mapped, and as for
        migration the device runs (E39).
        """

    def on_accept(self, peer: Peer) -> None:
        """Somebody has connected, a Peer, and nothing it sent is read yet. Raise an OSError to refuse it:
        PermissionError("users of the lab only"). The log has the text; the client sees the end of its connection."""

    def on_connect(self) -> Any:
        """A client has connected; self.agreed says what was agreed. May be a coroutine, which the end of the connection
        cancels: work in the background."""

    def on_disconnect(self) -> None:
        """The client has gone. Its memory is no longer there, and coroutines of handlers are cancelled.

        Registers keep their values for the next one, unless the policy disconnect says reset (E47).
        """

    def on_close(self) -> None:
        """The server that served the device has been closed: close files, end threads. Once for each server.

        Called after on_disconnect(), by the thread that closes the server; not in a child after fork().
        """

    def on_dma_map(self, range: DmaRange) -> None:
        """The client has announced memory, a DmaRange, which can be used from now on."""

    def on_dma_unmap(self, range: DmaRange) -> None:
        """Memory is about to go, a DmaRange: the last chance to use it. The client waits until what map() gave of it is
        released."""

    def on_config_write(self, offset: int, size: int) -> None:
        """The client has written size bytes at an offset of configuration space, and config_read() has them.

        What PCI defines, as BARs, command and MSI-X, the library does by itself.
        """

    def on_gate(self, what: Gate) -> Any:
        """Asked before what changes memory or state, a Gate. Raise an OSError to refuse with its errno, of which the log has
        a line; a coroutine makes
        the client wait until it ends, while nothing else of the client starts.

        When the server ends it disconnects without waiting: a coroutine is not run then.
        """

    @property
    def agreed(self) -> Agreed:
        """What was agreed with the client, an Agreed: self.agreed["max_data_xfer_size"]. Disconnected: there is none."""
        if self._agreed is None:
            raise make_error(errno.ENOTCONN)
        return Agreed(self._agreed)

    @property
    def peer(self) -> Peer:
        """Who the client is, a Peer, in on_disconnect() who it was. Disconnected: there is none. Any thread."""
        return Peer(*c.device_peer(self._handle))

    def find_capability(self, what: int | type[pci.Declared], after: int = 0, *, extended: bool = False) -> int:
        """The offset in configuration space of a capability: of the first, or of the next one behind the offset after.

        what: its id, in PCI's list or (extended) the other one; or a class, vfu.pci.Vendor. NotFound: there is none.
        """
        number, is_extended = (what, extended) if isinstance(what, int) else (what.ID, what.EXTENDED)
        find = c.vfu_device_find_extended_capability if is_extended else c.vfu_device_find_capability
        return find(self._handle, number, after)

    @property
    def bus_master(self) -> bool:
        """The client lets the device start DMA and send messages: a bit of Command."""
        return bool(c.vfu_device_config_state(self._handle, c.VFU_CONFIG_BUS_MASTER))

    @property
    def power_state(self) -> int:
        """0 to 3: D0 to D3hot, as the client has set it; 0 if there is no vfu.pci.PowerManagement. on_config_write() tells
        when to look. All is served in every state; from D3hot to D0 the device is reset."""
        return c.vfu_device_config_state(self._handle, c.VFU_CONFIG_POWER_STATE)

    def config_read(self, offset: int, size: int) -> bytes:
        """size bytes of configuration space from an offset on, as the device sees it. EINVAL: they are not all in it."""
        return c.vfu_device_config_read(self._handle, offset, size)

    def config_write(self, offset: int, data: ReadableBuffer) -> None:
        """Writes bytes to an offset of configuration space: read-only bits too, and without side effects."""
        c.vfu_device_config_write(self._handle, offset, data)

    def set_state(self, state: protocol.DeviceState | str) -> None:
        """Says which state of migration the device has reached: a protocol.DeviceState, or its name.

        Messages that are lawful in some states alone are refused in others. At first, and after a reset, it runs (E39).
        Any thread. ValueError: there is no such state.
        """
        c.vfu_device_set_state(self._handle, commands.number_of(state, protocol.DeviceState, "state"))

    def spawn(self, coroutine: Coro, *, at_reset: AtReset = "keep", until_reset: bool = False) -> Task:
        """Runs a coroutine on the server's event loop until it ends or the server does. Returns the task.

        at_reset: what a reset does to it, and just so the end of the connection. "keep": nothing, it is there for the next
        client too; "cancel": cancels it, as the coroutines of handlers; "wait": cancels it, and waits until it has ended,
        see Tasks in help(vfu.Device). until_reset=True is "cancel".
        Handlers that call it may be called at any rate: no more than max_spawned run, then it fails with ENOBUFS.
        What the coroutine raises is logged, and fails a test that has plugged the device (vfu.testing.plug). RuntimeError: there is no event loop, see event_loop.
        """
        if not asyncio.iscoroutine(coroutine):
            raise TypeError(f"spawn() runs a coroutine, as self.work() makes one; not {coroutine!r}")
        if at_reset not in ("keep", "cancel", "wait"):
            coroutine.close()
            raise ValueError(f'at_reset is "keep", "cancel" or "wait", not {at_reset!r}')
        if len(self._background) >= self.max_spawned:
            coroutine.close()
            raise make_error(errno.ENOBUFS, text=f"{self.max_spawned} coroutines of spawn() run already")
        task = self._start(coroutine, self._background, self._unanswered)
        if until_reset or at_reset != "keep":
            tasks = self._awaited if at_reset == "wait" else self._tasks
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        if self._awaited and not self._hooks & 1:  # the library asks before a reset, and we wait there
            self._hooks |= 1
            c.device_set_hooks(self._handle, self._hooks)
        return task

    # ---- called by bindings/ (access.c, device.c, commands.c), by name ----

    # What these return goes back to the library, which knows what to make of a coroutine that has no place here.

    @hook("on_gate")
    def _gate(self, what: int) -> bool:
        try:
            result = self.on_gate(Gate(what))
        except Exception as error:
            if what != Gate.DISCONNECT:
                raise
            report(self.on_gate, error)
            return self._await_tasks(what)  # the client is gone, whatever it says
        if not inspect.iscoroutine(result):
            return self._await_tasks(what)
        if self._loop is None and what == Gate.DISCONNECT:
            result.close()  # the server itself ends
            return False
        self._start(result, self._background, lambda task: self._decide(task, what))
        return True

    def _event(self, function: Callable[[Device], object]) -> None:
        result = function(self)
        if inspect.iscoroutine(result):
            self.spawn(result, at_reset="cancel")

    def _decide(self, task: Task, what: int) -> None:
        """on_gate() has decided. If what it let pass, or cannot stop, ends tasks, they are waited for first."""
        code = outcome(task)
        if (code and what != Gate.DISCONNECT) or not self._await_tasks(what):
            self._let_pass(code)

    def _let_pass(self, code: int) -> None:
        with contextlib.suppress(OSError):  # nobody asks any more
            c.vfu_device_gate_done(self._handle, -code)

    def _await_tasks(self, what: int) -> bool:
        """Whether the answer to the library's question has to wait for tasks, which then have been told to end."""
        if what not in ENDS_TASKS or not self._awaited or self._loop is None:
            return False
        self._start(self._end_tasks(), self._background, lambda task: self._let_pass(outcome(task)))
        return True

    async def _end_tasks(self) -> None:
        """Ends those that are waited for, also those that they start meanwhile, in reset_timeout at most."""
        loop = asyncio.get_running_loop()
        until = loop.time() + self.reset_timeout
        while self._awaited and (left := until - loop.time()) > 0:
            for task in self._awaited - self._told:  # once: what they do to end is not to be cancelled
                task.cancel()
            self._told = set(self._awaited)
            await asyncio.wait(self._awaited, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        for task in self._awaited:
            text = f"has not ended {self.reset_timeout:g} s after it was told to, and is waited for no more: it is at {place_of(task)}"
            report(task.get_coro(), TimeoutError(text))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        self._awaited.clear()
        self._told.clear()

    @hook("reset")
    def _reset(self) -> None:
        self._cancel()
        self._look_at_names()
        self._clear_registers()
        return self.reset()

    @hook("on_dma_map", answered=False)
    def _dma_mapped(self, iova: int, size: int, flags: int, mapped: bool) -> None:
        return self.on_dma_map(dma_range(iova, size, flags, mapped))

    @hook("on_dma_unmap", answered=False)
    def _dma_unmapping(self, iova: int, size: int, flags: int, mapped: bool) -> None:
        return self.on_dma_unmap(dma_range(iova, size, flags, mapped))

    @hook("on_config_write", answered=False)
    def _config_written(self, offset: int, size: int) -> None:
        return self.on_config_write(offset, size)

    @hook("on_accept")
    def _accept(self, pid: int, uid: int, gid: int) -> Any:
        """Why the client is refused; "": it is not."""
        try:
            function: Callable[[Peer], Any] = self.on_accept
            result = function(Peer(pid, uid, gid))
        except OSError as error:
            return error.strerror or str(error) or type(error).__name__
        if result is None or inspect.iscoroutine(result):
            return result or ""
        raise TypeError(f"on_accept() refuses by raising an OSError; it returned {result!r}, and the client is refused")

    @hook("on_connect", answered=False)
    def _connected(self) -> None:
        if inspect.iscoroutine(result := self.on_connect()):
            self._spawn_handler(result)

    @hook("on_disconnect", answered=False)
    def _disconnected(self) -> None:
        self._cancel()
        self._look_at_names()
        report_missed()
        return self.on_disconnect()

    def _closed(self) -> None:
        try:
            self.on_close()
        except Exception as error:
            report(self.on_close, error)
            keep_unanswered(self, error)

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
        self._start(coroutine, self._tasks, self._unanswered)

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
        self._unanswered(task)
        while self._waiting and self._writers < self.max_writers:
            coroutine, deferred = self._waiting.popleft()
            deferred.answer(None)
            self._start(coroutine, self._tasks, self._writer_ended)
            self._writers += 1

    def _unanswered(self, task: Task) -> None:
        """A coroutine has ended whose failure no answer tells of."""
        if outcome(task) not in (0, errno.ECANCELED):
            keep_unanswered(self, task.exception())

    def _answer_later(self, coroutine: Coro, deferred: c.Deferred) -> None:
        self._start(coroutine, self._tasks, lambda task: answer(deferred, task))

    # ---- inside ----

    def _pci_capabilities(self) -> list[pci.Declared]:
        said: Any = self.capabilities
        is_list = isinstance(said, Iterable) and not isinstance(said, dict)
        ones = list(said) if is_list else []
        pairs = [one for one in ones if not isinstance(one, pci.Declared)]
        if not is_list or not all(isinstance(one, (tuple, list)) and len(one) == 2 for one in pairs):
            raise TypeError(
                "capabilities are PCI's, (id, bytes) pairs or what vfu.pci makes; those of VERSION are the Server's"
            )
        return [one if isinstance(one, pci.Declared) else pci.Plain(*one) for one in ones]

    def _check_names(self) -> None:
        cls = type(self)
        if not isinstance(cls.irqs, Irqs):
            raise TypeError(f"{cls.__name__}.irqs: a device's interrupts are vfu.Irqs(...), not {cls.irqs!r}")
        for name in (*(f"bar{i}" for i in range(6)), "rom"):
            value = getattr(cls, name, None)
            if value is not None and not isinstance(value, Region):
                kind = "Rom" if name == "rom" else "Bar"
                raise TypeError(f"{cls.__name__}.{name}: a region is vfu.{kind}(...), not {value!r}")
        if hasattr(cls, "on_reset"):
            raise TypeError(f"{cls.__name__}.on_reset: the client's RESET calls reset(self)")
        for name in self._CALLED:
            refuse_handler(getattr(cls, name), ", ".join(inspect.signature(getattr(Device, name)).parameters))
        declared = (Register, Range, MemoryPart, Bits, Region, Irqs, type)
        refuse_misspelt(cls, Device, self._SAID, declared)

    def _check_numbers(self) -> None:
        sizes = {"class_code": 24, "revision": 8}
        for name in ("vendor_id", "device_id", "subsystem_vendor_id", "subsystem_id", *sizes):
            value, bits = getattr(self, name), sizes.get(name, 16)
            if not isinstance(value, int) or not 0 <= value < 1 << bits:
                said = hex(value) if isinstance(value, int) else repr(value)
                raise ValueError(f"{name} is a number of {bits} bits, not {said}")
        if self.config_size not in (256, 4096):
            raise ValueError(f"config_size is 256 or 4096, not {self.config_size!r}")

    def _wants(self, name: str | None) -> bool:
        # Registers and tasks are ours to look after, so reset and disconnect are always wanted.
        return name is None or getattr(type(self), name) is not getattr(Device, name)

    def _needs_loop(self) -> bool:
        if self.event_loop is not None:
            return self.event_loop
        functions = [getattr(self, name) for name in ("on_connect", "on_gate")]
        functions += [*self._served.values(), *self._features.values()]
        functions += [function for part in self._parts for function in part.functions]
        functions += [function for region in self._regions.values() for _, function, _ in region.events]
        return any(inspect.iscoroutinefunction(function) for function in functions)

    def _look_at_names(self) -> None:
        """Tells of attributes that were set on the object and are a register's but for the spelling: the client sees
        nothing of them. Looked at now and then, for a look at each would cost what setting a register does."""
        names = vars(self).keys() - self._looked_at
        if not names:
            return
        self._looked_at |= names
        cls = type(self)
        kinds = (Register, Range, MemoryPart, Bits, Region)
        known = [name for name in dir(cls) if isinstance(inspect.getattr_static(cls, name), kinds)]
        for name, near in misspelt(sorted(names), known):
            logger.warning("%s: self.%s is no register, did you mean %s? If it is your own, call it _%s",
                           cls.__name__, name, near, name)

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
    try:
        device._handle
    except AttributeError as error:
        raise TypeError(str(error)) from None


def place_of(task: Task) -> str:
    """The line where a task awaits."""
    frames = task.get_stack()
    return f"{frames[-1].f_code.co_filename}:{frames[-1].f_lineno}" if frames else "its end"


async def cancel_all(tasks: set[Task]) -> None:
    """Cancels tasks until they have ended: what they wait for when cancelled may never come, for nobody serves."""
    while tasks:
        for task in tasks:
            task.cancel()
        _, tasks = await asyncio.wait(tasks, timeout=1)
