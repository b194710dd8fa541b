# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Clients: use a device that someone serves."""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import threading
from collections.abc import Callable, Iterable
from collections.abc import Mapping as AnyMapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import libvfu as c

from .. import commands, pci, protocol
from ..arguments import check, check_given
from ..capabilities import Agreed, limits_of
from ..errors import Disconnected, log_level, logger, make_error
from ..fixed import Fixed
from ..server import configure, own_fd, read_fields
from ..shown import shown
from .dma import ClientDma
from .irqs import ClientIrqs
from .link import Link, link_of, watch
from .posts import posting
from .regions import IO, MEMORY, MEMORY64, Config, Regions, assign_bars
from .times import answer_time, milliseconds

if TYPE_CHECKING:
    from _typeshed import FileDescriptorLike, ReadableBuffer, StrPath
    from typing_extensions import Self


class DeviceInfo(NamedTuple):
    """What the device says about itself: how many regions and irqs it has (indices, some of which may be empty), and
    whether it is a PCI device (pci) and can be reset (reset)."""

    regions: int
    irqs: int
    pci: bool
    reset: bool


def _serve(handle: c.vfu_client) -> None:
    """The background thread: while the connection is up."""
    while True:
        try:
            c.vfu_client_serve(handle, -1)
        except OSError:
            if _status(handle) not in (0, -errno.EINPROGRESS):
                return


def _status(handle: c.vfu_client) -> int:
    """0: the connection is up; -EINPROGRESS: it comes again, perhaps; else why not."""
    try:
        return c.vfu_client_status(handle)
    except OSError as error:
        return -(error.errno or errno.ENOTCONN)


def _is_up(handle: c.vfu_client) -> bool:
    return _status(handle) == 0


class Client(Fixed):
    """A connection to a device: at a path, or over a connected socket (fd: a number, which is taken, or a socket,
    which is not). Any thread may use it.

    info: a DeviceInfo; regions, config, irqs, dma: what the device has, see Regions, Config, ClientIrqs, ClientDma.

    background: a thread serves the device's DMA all the time; else it is served in every call that waits.
    timeout: seconds to wait for each answer; 0 or None: for ever.
    wait: seconds for which it tries again while there is no server at the path, or one that has a client.
    reconnect: seconds for which it tries to connect again when the connection has ended, in calls that wait, serve() and
    background=True; 0: it does not. What was under way is Disconnected, and not repeated; memory for DMA, interrupts and
    bus mastering are as before; what the device was told by writes is yours to tell again, as link.state says. It ends when
    another device is there (link.cause is ESTALE, and says what differs), and when a server has not taken all that in time.
    on_link: on_link(link) is called when the connection is lost, restored, or given up, on whichever thread notices; one call
    at a time, in that order. When it is restored on_link may use the Client, before all others. What it raises is logged.
    irqs: give the device eventfds now: those of MSI-X if it has that, else of MSI, else of INTx. The first use of
    another interrupt takes them away again, as servers may have room for one interrupt's only. "all": those of all
    interrupts, and none is ever taken away. False: when they are used.
    bus_master: turn bus mastering on at the first use of DMA, MSI or MSI-X, as drivers do; a reset turns it
    off, the next use on again. False: it is yours (config.bus_master), and without it nothing comes.
    shared: the device gets the files behind memory for DMA, and maps them. False: it reaches all memory by messages, each
    of which may do only what its range allows.
    mapped: accesses inside of what the device lets be mapped of a region are made in that memory, of which the device sees no
    access, as virtual machines make them. False: all are messages.
    ioevents: a write for which the device gives an eventfd signals that. It is not ordered with messages (E52).
    profile, policy, options, capabilities: as a Server's; profile="libvfio-user" moves at most 128 KiB with one message
    (E69), "one-at-a-time" is for servers that read no command before they have answered the last (E70), and lose their way at those
    they do not know, which are ENOSYS here (E71). ValueError: there is no such, and which there are.
    options={"twin_socket": 1}: ask the server for a second socket, by which the device's messages (DMA that is not mapped) and
    their answers go; limits["twin_socket"] is whether there is one. All else is as with one, see vfu.h.
    It ends with close(), a with statement, or the last reference to the Client: regions do not keep it.
    (E52) and the like: see help(vfu).

    Handlers of signals run while a call waits in the main thread, at the latest after 250 ms. What they raise, as
    KeyboardInterrupt, ends the call, whatever has become of it at the device; the Client can be used on, or closed. If
    they return the call goes on. What waits in another thread ends with close().

    NotFound, Refused, Denied: there is no server at the path. Timeout: it does not answer. Disconnected: it has a
    client already. With wait= these, but for Denied, are of the last attempt. Error with EPROTO: what it says breaks a rule of the protocol, which field and text name. After close()
    methods raise ValueError or Disconnected, and in the child of a fork an Error with EOWNERDEAD.
    """

    info: DeviceInfo
    regions: Regions
    irqs: ClientIrqs
    dma: ClientDma

    def __init__(
        self,
        path: StrPath | None = None,
        *,
        fd: FileDescriptorLike | None = None,
        background: bool = False,
        timeout: float | None = 5.0,
        wait: float = 0,
        reconnect: float = 0,
        on_link: Callable[[Link], Any] | None = None,
        irqs: bool | Literal["all"] = True,
        bus_master: bool = True,
        shared: bool = True,
        mapped: bool = True,
        ioevents: bool = False,
        profile: str | None = None,
        policy: AnyMapping[str, str] | None = None,
        options: AnyMapping[str, int] | None = None,
        capabilities: AnyMapping[str, int | bool] | None = None,
    ) -> None:
        check(irqs=irqs)
        check_given(on_link=on_link, fd=fd)
        if (path is None) == (fd is None):
            raise ValueError("give either path or fd")
        if fd is not None and reconnect:
            raise ValueError("reconnect needs a path: who was given a socket has no other")
        self._where = os.fspath(path) if path is not None else "of a socket"
        self._on_link = on_link
        self._h: c.vfu_client | None = None
        self._connecting: c.vfu_client | None = None
        self._ending: c.vfu_client | None = None
        self._thread: threading.Thread | None = None
        c.vfu_sigbus_guard()
        handle = self._connecting = c.vfu_client_new()
        c.client_set_hooks(handle, log_level())
        settings = {
            "timeout_ms": milliseconds(timeout or 0),
            "connect_wait_ms": milliseconds(wait),
            "reconnect_ms": milliseconds(reconnect),
            "bus_master": int(bus_master),
            "dma_share": int(shared),
            "mapped": int(mapped),
            "ioevents": int(ioevents),
            **(options or {}),
        }
        configure("client", handle, profile, policy, settings, capabilities)
        self._timeout = settings["timeout_ms"] / 1000  # what vfu.aio waits by itself
        if path is not None:
            try:
                c.vfu_client_connect(handle, os.fspath(path))
            except Disconnected as error:
                # Not of one that sends what is no message.
                if error.errno != errno.ENOTCONN or error.strerror == "the peer closed the connection":
                    error.strerror += " (a server has one client at a time, and may refuse some)"
                raise
        elif fd is not None:
            c.vfu_client_attach(handle, own_fd(fd))
        self._h, self._connecting = handle, None
        try:
            self._set_up(handle, background, irqs)
            watch(self, handle)
            self.dma.shared = bool(settings["dma_share"])
        except BaseException:
            self.close()
            raise

    def _give_up(self) -> None:
        """Ends the attempt of another thread to make it."""
        if (handle := getattr(self, "_connecting", None) or getattr(self, "_h", None)) is not None:
            c.vfu_client_disconnect(handle)

    @shown
    def __repr__(self) -> str:
        if self._h is None:
            return f"{self._where} closed"
        if not _is_up(self._h):
            return f"{self._where} {'reconnecting' if _status(self._h) == -errno.EINPROGRESS else 'disconnected'}"
        return f"{self._where} connected: {self.info.regions} regions, {self.info.irqs} irqs"

    def _set_up(self, handle: c.vfu_client, background: bool, irqs: bool | Literal["all"]) -> None:
        raw = c.vfu_device_info()
        c.vfu_client_device_info(handle, raw)
        self.info = DeviceInfo(raw.num_regions, raw.num_irqs, raw.pci, raw.reset)
        self.regions = Regions(handle, self.info.regions)
        self.irqs = ClientIrqs(handle, self.info.irqs, irqs)
        self.dma = ClientDma(handle)
        self.irqs._arm_first(irqs)
        if background:
            self._thread = threading.Thread(target=_serve, args=(handle,), name="vfu-client", daemon=True)
            self._thread.start()

    @property
    def config(self) -> Config:
        """Configuration space, dev.regions.config. Error with EPROTO: the device has none of a size that PCI knows."""
        if len(self.regions) <= c.VFU_REGION_CONFIG:
            raise make_error(errno.EPROTO, text=f"the device has {len(self.regions)} regions, no configuration space")
        config = self.regions.config
        if config.size not in pci.CONFIG_SIZES:
            raise make_error(errno.EPROTO, text=f"configuration space of {config.size} bytes: PCI knows 256 and 4096")
        return config

    @property
    def limits(self) -> dict[str, Any]:
        """What was agreed when connecting, {name: value}: major and minor of the version; max_data_xfer_size and pgsize
        in bytes, max_msg_fds, max_dma_maps... as in protocol.Limits."""
        out = read_fields(c.vfu_limits, c.vfu_client_limits, self._h)
        return out | limits_of(self.agreed)

    @property
    def agreed(self) -> Agreed:
        """What was agreed of the capabilities of VERSION: agreed["pgsizes"], agreed["migration.pgsize"]..."""
        return Agreed(functools.partial(c.vfu_client_agreed, self._h))

    @property
    def stats(self) -> dict[str, int]:
        """Counters since it was made, {name: number}: requests_out, bytes_in, late_replies... of vfu.h."""
        return read_fields(c.vfu_stats, c.vfu_client_stats, self._h)

    @property
    def connected(self) -> bool:
        """Whether the connection is up. That it has ended is noticed when it is used."""
        return self._h is not None and _is_up(self._h)

    def _tell(self, link: Link) -> None:
        """On any thread; the first caller of a new connection, whose regions have other files."""
        try:
            if link.event == "restored":
                with contextlib.suppress(Disconnected):  # it has ended, too, and there will be another
                    self.regions._refresh()
            if self._on_link is not None:
                self._on_link(link)
        except Exception:
            logger.exception("on_link(%s)", link)

    @property
    def link(self) -> Link:
        """What has become of the connection, with reconnect=: see Link."""
        return link_of(c.client_link(self._h))

    def assign_bars(
        self, *, io: range = IO, memory: range = MEMORY, memory64: range = MEMORY64, rom: bool = False
    ) -> list[pci.ClientBar]:
        """Places the BARs and the expansion ROM, as firmware does, and turns on decoding of I/O and memory in Command; returns them.

        Some servers, QEMU's among them, refuse all accesses to BARs before. Each is aligned to its size. io, memory and
        memory64: where there is room, range(first, end) each; BARs with 64 bits that are prefetchable go to memory64. Keep
        the IOVA of dma.map() out of them. rom: the ROM is decoded, too, which else has its place alone. A reset may take it all
        away.
        vfu.Error with ENOSPC: there is no room; EPROTO: the device does not take them. Then all is as it was.
        """
        check(io=io, memory=memory, memory64=memory64)
        return assign_bars(self._h, io, memory, memory64, rom=rom)

    def reset(self) -> None:
        """Resets the device. Memory stays mapped, but bus mastering is off until the next map() or wait().

        vfu.Error: the device refuses; info.reset says whether it can be reset at all.
        """
        c.vfu_client_reset(self._h)

    def posting(self) -> contextlib.AbstractContextManager[None]:
        """A batch: with dev.posting(): what the thread writes in the block wants no answer, and is sent together.

        It is sent at the end of the block, before any other message of the Client, and each 1,024 writes; those of 1
        to 8 bytes share messages (REGION_WRITE_MULTI) if the device agreed to write_multiple. Order is kept (E52), what the
        device says is not told (E27). Writes with post=False, and all to configuration space, are as ever; so are those
        of other threads; and all are if options={"posted": 0}, or a region is known that can be mapped.

        Blocks may be inside of one another. An exception in the block goes on when the writes before it are sent. vfu.Error at
        the end: Disconnected, or Timeout with a device that does not read. Not for a block that awaits: other tasks of
        the thread would be in it.
        """
        return posting(self._h)

    def call(
        self,
        command: str | int | protocol.Payload,
        /,
        *,
        fds: Iterable[FileDescriptorLike] = (),
        timeout: float | None = None,
        post: bool = False,
        **fields: Any,
    ) -> Any:
        """Sends a message and returns its answer, an object of vfu.protocol.

        command: its name, as "get_irq_info", with its fields; an object of vfu.protocol; or a number, and then, if
        the protocol does not know it, data=bytes; the answer to that is a vfu.Raw. Messages that are about what the
        library keeps, as dma_map, have methods of their own and are refused here. What lies in a list may be dicts of
        its fields, where the list holds one kind; counts and offsets are set from what follows, and so need not be given.

        fds: descriptors to send, numbers or files, which stay yours. Those of the answer are in its attribute fds,
        which closes those that are not taken. timeout: seconds, 0: for ever; that of the Client if not given.
        post: without an answer. argsz, where it is room for the answer, is 64 KiB if not given.

        Error: field and text say which rule the request breaks, which then is not sent; or the device's errno.
        """
        return commands.call(self._h, command, fds, answer_time(timeout), post, fields)

    def feature_get(
        self, feature: str | int, data: protocol.Part | ReadableBuffer = b"", room: int = commands.ROOM
    ) -> Any:
        """What a feature says, by name ("migration") or number: an object of vfu.protocol if that knows it, else bytes.

        data: what goes with the question, an object likewise or bytes. room: most bytes of the answer.
        """
        return commands.get_feature(self._h, feature, data, room)

    def feature_set(self, feature: str | int, data: protocol.Part | ReadableBuffer) -> Any:
        """Sets a feature, by name or number: data is an object of vfu.protocol, or bytes.

        Returns what the device says to that: what was set, if it does not differ. ENOTTY or EINVAL: it has no such
        feature (E45).
        """
        return commands.set_feature(self._h, feature, data)

    def feature_probe(self, feature: str | int, *, get: bool = False, set: bool = False) -> bool:
        """Whether the device has a feature, by name or number, and with get and set those methods of it (E45, E46)."""
        return commands.probe_feature(self._h, feature, get, set)

    def feature(self, flags: int, data: ReadableBuffer = b"") -> bytes:
        """DEVICE_FEATURE as it is: flags as in linux/vfio.h (bits 0 to 15 the feature, 16 get, 17 set, 18 probe), and the
        data behind them. Returns the data of the reply."""
        check(flags=flags)
        return c.vfu_client_feature(self._h, flags, data)

    def serve(self, timeout: float | None = None) -> int:
        """Serves the device's DMA for so many seconds (None: until the connection ends); how many requests there were.

        For a device that uses memory while its client has nothing to ask, where there is no background thread.
        """
        return c.vfu_client_serve(self._h, -1 if timeout is None else milliseconds(timeout))

    # ---- in somebody else's loop ----

    def fileno(self) -> int:
        """A descriptor for a loop of one's own, select() or a simulator's: readable when process() has something to do.

            import select

            for _ in range(10):  # or while the simulator goes on
                timeout = dev.poll_timeout
                select.select([dev], [], [], 0.001 if timeout is None else min(0.001, timeout))
                dev.process()

        The device's DMA is served in process(), and in calls that wait. In asyncio use vfu.aio. It stays the Client's.
        """
        return c.vfu_client_fd(self._h)

    @property
    def poll_timeout(self) -> float | None:
        """Seconds until process() is to be called although fileno() is not readable; 0: now; None: no time is known."""
        timeout = c.vfu_client_timeout(self._h)
        return None if timeout < 0 else timeout / 1000

    def process(self, most: int = 0) -> int:
        """Handles what has come from the device, its DMA above all, without waiting: how many messages there were.

        most: so many at most, 0: a fair number. Disconnected: the device has gone.
        """
        check(most=most)
        return c.vfu_client_process(self._h, most)

    def set_reader(self, on: bool = True) -> None:
        """Has no thread but the calling one read what the device says, in process() or in its own calls that wait.

        So functions that serve DMA run in no other, as a simulator wants it; calls of other threads sleep until it has read
        their answers, and it has to go on. Not on: whoever waits reads, as at first.
        """
        c.vfu_client_set_reader(self._h, on)

    def flush(self) -> None:
        """For who leaves such a loop: waits until all that others have left to it is sent."""
        c.vfu_client_flush(self._h)

    def close(self) -> None:
        """Ends the connection. Can be called again; should a signal handler raise meanwhile, do so for the rest.

        Eventfds of interrupts and files of regions are closed; memory that was mapped stays usable.
        """
        if self._h is not None:
            self._ending, self._h = self._h, None
        if self._ending is None:
            return
        c.vfu_client_disconnect(self._ending)
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()
        self._ending = None
        if hasattr(self, "dma"):
            self.dma._maps.clear()
            self.regions._close()
            self.irqs._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_h", None) is not None or getattr(self, "_ending", None) is not None:
            self.close()
