# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Servers: give a device to a client, one at a time."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, SupportsIndex

import libvfu as c

from . import protocol
from .arguments import check
from .capabilities import Agreed, check_capability, known_capabilities
from .device import Device, cancel_all, check_device
from .errors import Error, logger, trace_option
from .shown import connected, shown

if TYPE_CHECKING:
    from _typeshed import FileDescriptorLike, StrPath
    from typing_extensions import Self

OPTIONS: dict[str, int] = {
    name[len("VFU_OPT_") :].lower(): getattr(c, name) for name in dir(c) if name.startswith("VFU_OPT_")
}


class SettingError(ValueError):
    """A profile, policy, option or capability that there is not, or not with that value."""


def configure(
    of: str,
    handle: c.vfu_client | c.vfu_server,
    profile: str | None,
    policy: Mapping[str, str] | None,
    options: Mapping[str, int] | None,
    capabilities: Mapping[str, int | bool] | None,
) -> None:
    """Applies what clients and servers have in common; of is "client" or "server"."""
    set_option, set_policy, set_profile, set_capability = (
        getattr(c, f"vfu_{of}_{name}") for name in ("set", "set_policy", "set_profile", "set_capability")
    )
    if profile:
        try:
            set_profile(handle, profile)
        except (Error, TypeError) as error:
            raise SettingError(profile_complaint(profile)) from error
    for field, choice in (policy or {}).items():
        try:
            set_policy(handle, field, choice)
        except (Error, TypeError) as error:
            raise SettingError(policy_complaint(field, choice)) from error
    for name, value in {"trace": trace_option(), **(options or {})}.items():
        if name not in OPTIONS:
            raise SettingError(f"unknown option {name!r}; there are {', '.join(sorted(OPTIONS))}")
        if not isinstance(value, SupportsIndex):
            raise SettingError(f"option {name} can not be {value!r}: it is a number")
        try:
            set_option(handle, OPTIONS[name], _as_unsigned(value.__index__()))
        except Error as error:
            range_of_it = (error.strerror or "").rpartition(": ")[2]
            raise SettingError(f"option {name} can not be {value!r}: {range_of_it}") from error
    for name, value in (capabilities or {}).items():
        try:
            set_capability(handle, name, check_capability(name, value))
        except (Error, OverflowError, ValueError) as error:
            raise SettingError(str(error) if isinstance(error, ValueError) else getattr(error, "strerror", f"capability {name} can not be {value!r}")) from error


def _as_unsigned(value: int) -> int:
    """What C can be told; what it can not be is larger than any option may be, too, and C says how large that is."""
    return value if 0 <= value < 1 << 64 else (1 << 64) - 1


def profile_complaint(profile: str) -> str:
    """Which there are, as policy_complaint()."""
    from .protocol import POLICIES

    known = sorted({name for policy in POLICIES.values() for name in policy.profiles})
    return f"unknown profile {profile!r}; there are {', '.join(known)}"


def policy_complaint(field: str, choice: str) -> str:
    """What there is instead. The generated module is large, so it is read only when needed."""
    from .protocol import POLICIES

    if field not in POLICIES:
        return f"unknown policy {field!r}; there are {', '.join(sorted(POLICIES))}"
    return f"policy {field} is {' or '.join(POLICIES[field].choices)}, not {choice!r}"


def tell_unsaid(device: Device, said: Mapping[str, Any]) -> None:
    """Which methods no client can reach, and areas none can map, for want of a capability that the server does not say."""
    key = "sparse_mmap_fds"
    for region in device._regions.values():
        if region.has_files and not said.get(key):
            logger.warning(
                "%s: no client can map its areas, whose files need %s, which this server does not say: capabilities={%r: True}, "
                "or vfu serve --capability %s=true", region.name, key, key, key)
    for number, method in device._served.items():
        message = protocol.MESSAGES.get(number)
        name = message.requires if message else None
        if name and (ours := known_capabilities()[name].ours) is not None and not said.get(name, ours):
            logger.warning(
                "%s needs %s, which this server does not say: capabilities={%r: True}, or vfu serve --capability %s=true",
                method.__qualname__, name, name, name,
            )


def own_fd(fd: FileDescriptorLike) -> int:
    """A descriptor that the library may keep, of a number or of something that has one."""
    check(fd=fd)
    return fd if isinstance(fd, int) else os.dup(fd.fileno())


class Server:
    """Serves a device, to one client at a time: run() does until stop(), start() in a thread, serve_async() in asyncio.

    device: an object of a class of vfu.Device; it can be served again, but by one server at a time.
    socket_path: where clients connect; a socket file that nobody serves is replaced, and removed at the end.
    fd: an inherited descriptor instead, listening or connected: a number, which is taken, or a socket, which is not.

    profile: "strict", "default", "libvfio-user", "one-at-a-time" (a client's), a set of policies. policy: {field: choice}, see the policies in
    doc/gen/protocol.rst; unless it says otherwise bus_master is enforce, whatever the profile; options: {"timeout_ms": ..., ...}, see vfu.h; capabilities: what it says in
    VERSION, {"max_msg_fds": 8, "migration.pgsize": ...}.
    The logger "vfu" at level DEBUG when the server is made shows each message with its fields, at TRACE, 5, with its first
    256 bytes, too; options={"trace": 0} does not.
    options={"one_client": 1}: run() returns when the first client has gone; see fault.
    options={"socket_mode": 0o660}: permissions of the socket file, which it has before anybody can connect; else what
    the umask leaves.
    options={"twin_socket": 0}: a client that asks for a second socket for the device's messages gets none.

    ValueError: there is no such profile, policy, option or capability, or not with that value, and which there are; Error with EADDRINUSE: the path is
    served already. It ends with close(), a with statement, or the last reference to it.
    """

    device: Device

    def __init__(
        self,
        device: Device,
        socket_path: StrPath | None = None,
        *,
        fd: FileDescriptorLike | None = None,
        profile: str | None = None,
        policy: Mapping[str, str] | None = None,
        options: Mapping[str, int] | None = None,
        capabilities: Mapping[str, int | bool] | None = None,
    ) -> None:
        check_device(device)
        if (socket_path is None) == (fd is None):
            raise ValueError("give either socket_path or fd")
        self._where = os.fspath(socket_path) if socket_path is not None else "on a socket"
        self._h: c.vfu_server | None = None
        self._is_made = False
        self.device = device
        device._look_at_names()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._done: asyncio.Future[None] | None = None
        self._timer: asyncio.Handle | None = None
        self._thread: threading.Thread | None = None
        self._stopping = False
        self._lock = threading.RLock()  # stop() may come from a signal handler
        self._runner: int | None = None  # the thread that runs it
        self._pid = os.getpid()
        self._idle = threading.Event()
        self._idle.set()
        c.vfu_sigbus_guard()
        self._h = c.vfu_server_new(device._handle)
        policy = {"bus_master": "enforce", **(policy or {})}
        c.server_set_hooks(self._h, device._handle)
        try:
            configure("server", self._h, profile, policy, options, capabilities)
            tell_unsaid(device, {**(options or {}), **(capabilities or {})})
            if socket_path is not None:
                c.vfu_server_listen(self._h, os.fspath(socket_path))
            elif fd is not None:
                c.vfu_server_listen_inherited(self._h, own_fd(fd))
            self._is_made = True
        except BaseException:
            self.close()
            raise

    @shown
    def __repr__(self) -> str:
        name = type(self.device).__name__
        if self._h is None:
            return f"{self._where} closed, of {name}"
        doing = "serving" if self._runner is not None else "not running, of"
        return f"{self._where} {doing} {name}, {connected(self._agreed)}"

    # ---- running ----

    def run(self, event_loop: bool | None = None) -> None:
        """Serves until stop() or Ctrl-C, or, on a connected socket, until that connection has ended.

        A device with coroutines runs in an asyncio event loop; one without is served in C, which is
        faster. event_loop=True or False decides otherwise, here or as an attribute of the device.

        In the main thread Ctrl-C ends it with KeyboardInterrupt, in a handler, too, and then it can be run again, or
        closed. In an event loop it is asyncio that gets the signal, and cancels what awaits: a handler that sleeps
        without awaiting (but for DMA) goes on until a second one.
        """
        if event_loop is None:
            event_loop = self.device._needs_loop()
        if event_loop:
            asyncio.run(self.serve_async())
            return
        with self._running():
            try:
                while not self._stopping and c.server_serve(self._h, self.device._handle):
                    pass
            except asyncio.CancelledError:  # a handler that waited
                if not self._stopping:
                    raise

    async def serve_async(self) -> None:
        """run() for a running event loop of asyncio, which serves until it is cancelled, or stop()."""
        with self._running() as handle:
            await self._serve(handle)

    async def _serve(self, handle: c.vfu_server) -> None:
        loop = self._loop = asyncio.get_running_loop()
        done = self._done = loop.create_future()
        self.device._loop = loop
        self.device.dma._kick = self._kick
        # One descriptor for all: the sockets' own numbers may be reused behind the loop's back.
        fd = c.vfu_server_fd(handle)
        loop.add_reader(fd, self._process)
        try:
            self._process()
            await done
        finally:
            loop.remove_reader(fd)
            self._set_timer(-1)
            with self._lock:  # stop() has let go of the loop before it is closed
                self.device._loop = self.device.dma._kick = self._loop = self._done = None
            self.device._cancel()
            await self.device._end_tasks()
            await cancel_all(self.device._tasks | self.device._background)

    def start(self) -> Self:
        """Runs it in a thread until close().

        If something ends that thread (sys.exit() in a handler) it is logged, and the server is closed:
        its client and those who come later must not wait for nobody.
        """
        if self._thread is not None and self._thread.is_alive():
            raise RuntimeError("the server runs already")
        self._thread = threading.Thread(target=self._run_alone, name="vfu-server", daemon=True)
        self._thread.start()
        return self

    def _run_alone(self) -> None:
        try:
            self.run()
        except BaseException as error:
            logger.error("the server has ended: %s: %s", type(error).__name__, error, exc_info=error)
            if self._runner is None:
                self._free()

    def stop(self) -> None:
        """Makes run() and serve_async() return, soon. From any thread, and from signal handlers."""
        self._stopping = True
        with self._lock:
            if self._h is not None:
                c.vfu_server_stop(self._h)
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._kick)

    def close(self) -> None:
        """Ends the connection and frees the server. The device can be served again. Not inside a handler.

        In a child after fork() it lets go of the server, which the parent serves on.
        """
        if self._pid != os.getpid():  # threads that run it or hold the lock are not here
            self._lock, self._runner = threading.RLock(), None
            self._free()
            return
        if self._runner == threading.get_ident():
            raise RuntimeError("a server cannot be closed while it runs: stop() it")
        self.stop()
        if self._thread is not None and self._thread is not threading.current_thread():  # which may be who lets go of it last
            self._thread.join()
        self._thread = None
        self._idle.wait()
        self._free()

    def _free(self) -> None:
        with self._lock:
            handle, self._h = self._h, None
        # A traceback that somebody keeps must not keep the server.
        if handle is None:
            return
        handle.__swig_destroy__(handle)
        if self._is_made and self._pid == os.getpid():
            self.device._closed()
        c.device_reraise(self.device._handle)

    def disconnect(self) -> None:
        """Ends the present connection, if there is one, as if the client had gone. From any thread."""
        with self._lock:
            c.vfu_server_disconnect(self._h)

    @property
    def stats(self) -> dict[str, int]:
        """Counters since it was made, {name: number}: requests_in, bytes_out, drops... of vfu.h. From any thread."""
        with self._lock:
            return read_fields(c.vfu_stats, c.vfu_server_stats, self._h)

    @property
    def fault(self) -> Error | None:
        """What was wrong with the connection that ended last, an Error; None: one of the sides closed it. From any thread."""
        try:
            with self._lock:
                c.server_check_ended(self._h)
        except Error as error:
            return error
        return None

    @property
    def agreed(self) -> Agreed:
        """What was agreed with the present client, an Agreed: agreed["max_data_xfer_size"]...

        Disconnected: there is none. From any thread.
        """
        return Agreed(self._agreed)

    def _agreed(self, name: str) -> int:
        with self._lock:
            return c.vfu_server_agreed(self._h, name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_h", None) is not None:
            self.close()

    @contextlib.contextmanager
    def _running(self) -> Iterator[c.vfu_server]:
        if self._h is None:
            raise ValueError("closed")
        if self._runner is not None:
            raise RuntimeError("the server runs already")
        self._runner = threading.get_ident()
        self._idle.clear()
        # Python's word of a coroutine that nobody awaited then names the handler's line.
        depth = sys.get_coroutine_origin_tracking_depth()
        sys.set_coroutine_origin_tracking_depth(depth or 1)
        self.device._is_ending, self.device._agreed = self._is_ending, self._agreed
        try:
            yield self._h
        finally:
            self.device._is_ending = self.device._agreed = None
            sys.set_coroutine_origin_tracking_depth(depth)
            self._runner = None
            self._stopping = False
            self._idle.set()

    def _is_ending(self) -> bool:
        return self._stopping or (self._done is not None and self._done.cancelled())

    # ---- event loop ----

    def _kick(self) -> None:
        if self._loop is not None:
            self._loop.call_soon(self._process)

    def _process(self) -> None:
        if self._done is None or self._done.done():
            return
        error: BaseException | None = None
        try:
            timeout = c.server_step(self._h, self.device._handle)
        except (KeyboardInterrupt, SystemExit):
            raise  # the event loop knows what to do
        except BaseException as caught:
            error = None if isinstance(caught, asyncio.CancelledError) and self._is_ending() else caught
            timeout = None
        if self._done.done():  # cancelled meanwhile
            return
        if error is not None:
            self._done.set_exception(error)
        elif timeout is None or self._stopping:
            self._done.set_result(None)
        else:
            self._set_timer(timeout)

    def _set_timer(self, timeout: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        if self._loop is None:
            return
        if timeout == 0:
            self._timer = self._loop.call_soon(self._process)
        elif timeout > 0:
            self._timer = self._loop.call_later(timeout / 1000, self._process)


def read_fields(kind: Callable[[], Any], function: Callable[[Any, Any], object], handle: object) -> dict[str, Any]:
    """What a function puts into a structure, as a dictionary."""
    raw = kind()
    function(handle, raw)
    names = [name for name, value in vars(kind).items() if isinstance(value, property) and name != "thisown"]
    return {name: getattr(raw, name) for name in names}


def serve(device: Device, path: StrPath, **kwargs: Any) -> None:
    """Serves a device at a socket path until Ctrl-C. All else is a Server's."""
    with contextlib.suppress(KeyboardInterrupt), Server(device, path, **kwargs) as server:
        server.run()
