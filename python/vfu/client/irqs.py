# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""The client's view of the device's interrupts, and of their vectors."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, SupportsIndex, overload

import libvfu as c

from .. import pci
from ..arguments import check_given
from ..errors import logger
from ..fixed import Fixed
from ..shown import shown
from .times import wait_time

if TYPE_CHECKING:
    from _typeshed import FileDescriptorLike

IRQ_NAMES = ("intx", "msi", "msix", "err", "req")

# Vectors that get their eventfd when the client connects. Those above get it at first use.
_EAGER_VECTORS = 64


class ClientVector(Fixed):
    """One interrupt vector of the device, dev.irqs.msix[3]: waited for, or watched by an event loop. Any thread.

    index and vector: which one. It has an eventfd, which the device gets when the vector is first used, and which is closed with the Client.
    """

    index: int
    vector: int

    def __init__(self, arming: _Arming, index: int, vector: int) -> None:
        self._arming, self._h, self.index, self.vector = arming, arming.handle, index, vector
        self._fd: int | None = None
        self._close: Callable[[], Any] | None = None
        self._turn: int | None = None
        # A message, which a device sends only while bus mastering is on.
        self._is_message = index in (c.VFU_IRQ_MSI, c.VFU_IRQ_MSIX)
        self._is_looked_into = False

    @shown
    def __repr__(self) -> str:
        return f"{irq_name(self.index)}[{self.vector}], {self._armed()}"

    def _armed(self) -> str:
        return "armed" if self._fd is not None and self._turn == self._arming.turn(self.index) else "not armed"

    @property
    def fd(self) -> int:
        """The eventfd that the device signals, the same for good: for event loops. Asking for it arms the vector.

        It stays the Client's. Its count is taken by wait(timeout=0): a read of it may block, as the device can change
        its flags.
        """
        if self._turn != self._arming.turn(self.index):
            self._arming.arm([self])
        return self._eventfd()

    def use(self, fd: FileDescriptorLike | None) -> None:
        """Has the device signal an eventfd of the caller's, which may be closed then, in place of the Client's own; None: that again.

        The device gets it now if it has one, else when the vector is first used. fd of the vector is another number then, of the same
        eventfd. vfu.Error: the device refuses it.
        """
        check_given(fd=fd)
        own = c.eventfd_new() if fd is None else os.dup(fd if isinstance(fd, int) else fd.fileno())
        with self._arming.lock:
            was_armed = self._armed() == "armed"
            self._let_go()
            self._fd = own
            self._close = weakref.finalize(self, os.close, own)
            try:
                if was_armed:
                    self._arming.arm([self])
            except BaseException:
                self._let_go()  # not to wait on what the device does not signal
                raise

    def wait(self, timeout: float | None = None) -> int:
        """Waits until the device raises it, for timeout seconds at most (None: for ever, 0 and less: it only looks), and serves its DMA
        meanwhile.

        Returns how often it was raised since it was last waited for; 0: the time is up. Disconnected: the device has
        gone, and will not. While the Client connects again (reconnect=) it goes on, for that time.

        The first use gives the device the eventfd, and after a reset turns bus mastering on: calls of their own, for whose answers
        it waits before. If nothing comes for half of the time, or a second, Command is read once for each vector of MSI and MSI-X,
        in that time, too: the log says so if bus mastering is off.
        """
        longest = wait_time(timeout)
        fd = self.fd
        if self._is_message:
            c.vfu_client_use_bus_master(self._h)  # off again after a reset
            if longest and not self._is_looked_into:
                first = doubtful(longest)
                if count := c.client_wait_eventfd(self._h, fd, first):
                    return count
                self._is_looked_into = look_into(self._h)
                longest -= first if longest > 0 else 0
        return c.client_wait_eventfd(self._h, fd, longest)

    def trigger(self) -> None:
        """Asks the device to raise it, as a test does (SET_IRQS with DATA_NONE and ACTION_TRIGGER)."""
        c.vfu_client_irq_trigger(self._h, self.index, self.vector, 1)

    def mask(self) -> None:
        """Has the device hold it back until unmask(). vfu.Error: it cannot, as the interrupt's flags say."""
        c.vfu_client_irq_mask(self._h, self.index, self.vector, 1)

    def unmask(self) -> None:
        """Lets it come again; what was raised meanwhile comes now."""
        c.vfu_client_irq_unmask(self._h, self.index, self.vector, 1)

    def mask_on(self, fd: int | None) -> None:
        """Has the device mask it whenever the eventfd fd is signalled (os.eventfd_write(fd, 1)); None: no longer.

        fd stays the caller's, who may close it. vfu.Error: the interrupt cannot be masked, as its flags say.
        """
        check_given(fd=fd)
        c.client_set_mask_eventfds(self._h, self.index, self.vector, [-1 if fd is None else fd])

    def unmask_on(self, fd: int | None) -> None:
        """The same for unmask(), as KVM resamples INTx: while the line is up each signal brings it again.

        disable() and the end of the connection take both away.
        """
        check_given(fd=fd)
        c.client_set_unmask_eventfds(self._h, self.index, self.vector, [-1 if fd is None else fd])

    def _is_armed_with(self, fd: int) -> bool:
        """The device has this eventfd, which is still open."""
        return self._fd == fd and self._turn == self._arming.turn(self.index)

    def _let_go(self) -> None:
        if self._close:
            self._close()
        self._fd = self._close = self._turn = None

    def _eventfd(self) -> int:
        if self._fd is None:
            self._fd = c.eventfd_new()
            self._close = weakref.finalize(self, os.close, self._fd)
        return self._fd


def doubtful(longest: int) -> int:
    """After so many milliseconds of a wait it is time to ask why nothing comes."""
    return 1000 if longest < 0 else min(longest // 2, 1000)


def look_into(handle: c.vfu_client) -> bool:
    """A message does not come: if it cannot, that is logged when the device has answered. False: it could not be asked."""
    try:
        c.client_read_async(handle, c.VFU_REGION_CONFIG, pci.FIELDS["command"][0], 2, 0, _complain)
    except OSError:
        return False
    return True


def _complain(status: int, command: bytes) -> None:
    if status >= 0 and not command[0] & pci.COMMAND_BUS_MASTER:
        logger.warning("no interrupt: bus mastering is off, so the device cannot send MSI and MSI-X")


class _Arming:
    """Which eventfds the device has: those of one interrupt at a time, for there are servers with one table for all."""

    def __init__(self, handle: c.vfu_client, one_at_a_time: bool) -> None:
        self.handle, self._one_at_a_time = handle, one_at_a_time
        self._armed: set[int] = set()  # indices
        self._turns: dict[int, int] = {}  # index: how often its eventfds were taken away
        self.lock = threading.RLock()

    def turn(self, index: int) -> int:
        return self._turns.get(index, 0)

    def arm(self, vectors: Sequence[ClientVector]) -> None:
        """Gives the device the eventfds of neighbouring vectors of one index."""
        index = vectors[0].index
        with self.lock:
            if self._one_at_a_time:
                for other in self._armed - {index}:
                    logger.info("%s takes the place of %s", irq_name(index), irq_name(other))
                    self.take_away(other)
            c.client_set_eventfds(self.handle, index, vectors[0].vector, [vector._eventfd() for vector in vectors])
            self._armed.add(index)
            for vector in vectors:
                vector._turn = self.turn(index)

    def take_away(self, index: int) -> None:
        with self.lock:
            c.vfu_client_irq_disable(self.handle, index)
            self._armed.discard(index)
            self._turns[index] = self.turn(index) + 1


def irq_name(index: int) -> str:
    """As attributes of irqs are called, and those that have none."""
    return IRQ_NAMES[index] if index < len(IRQ_NAMES) else f"irq{index}"


class ClientIrq(ClientVector):
    """An interrupt of the device, dev.irqs.msix, and its vectors: irq[i], irq[a:b]. Itself it stands for vector 0.

    index: which one. count: how many vectors it has, which is its len() too; 0: the device has no such interrupt (E35).
    flags: of protocol.IrqInfoFlags, whether it can be masked, resized...
    """

    count: int
    flags: int

    def __init__(self, arming: _Arming, index: int) -> None:
        super().__init__(arming, index, 0)
        info = c.vfu_irq_info()
        c.vfu_client_irq_info(self._h, index, info)
        self.count, self.flags = info.count, info.flags
        self._vectors: dict[int, ClientVector] = {}  # those that were used

    @shown
    def __repr__(self) -> str:
        armed = sum(vector._armed() == "armed" for vector in list(self._vectors.values()))
        return f"{irq_name(self.index)}: {self.count} vectors, {armed} armed"

    def __len__(self) -> int:
        return self.count

    @overload
    def __getitem__(self, vector: int) -> ClientVector: ...
    @overload
    def __getitem__(self, vector: slice) -> list[ClientVector]: ...
    def __getitem__(self, vector: int | slice) -> ClientVector | list[ClientVector]:
        if isinstance(vector, slice):
            return [self[i] for i in range(*vector.indices(self.count))]
        if not -self.count <= vector < self.count:
            raise IndexError(f"{irq_name(self.index)} has {self.count} vectors")
        vector %= self.count
        if vector not in self._vectors:
            self._vectors.setdefault(vector, ClientVector(self._arming, self.index, vector))  # another thread may be first
        return self._vectors[vector]

    @property
    def fd(self) -> int:
        """The eventfd of vector 0."""
        return self[0].fd

    def enable(self) -> None:
        """Gives the device the eventfds of the first 64 vectors now; the others follow when they are used.

        Those of another interrupt are taken away first, unless the Client has irqs="all".
        IndexError: it has no vectors.
        """
        if not self.count:
            raise IndexError(f"{irq_name(self.index)} has no vectors")
        self._arming.arm(self[:_EAGER_VECTORS])

    def disable(self) -> None:
        """Takes all eventfds away from the device; a vector that is used again gets its own back."""
        self._arming.take_away(self.index)

    def trigger(self, *vectors: int) -> None:
        """Asks the device to raise these vectors in one message, by default vector 0: irq.trigger(0, 3)."""
        self._do(c.VFU_IRQ_DO_TRIGGER, vectors)

    def mask(self, *vectors: int) -> None:
        """Has the device hold these back until unmask(), in one message; by default vector 0."""
        self._do(c.VFU_IRQ_DO_MASK, vectors)

    def unmask(self, *vectors: int) -> None:
        """Lets these come again, in one message; by default vector 0."""
        self._do(c.VFU_IRQ_DO_UNMASK, vectors)

    def _do(self, action: int, vectors: Sequence[int]) -> None:
        """Without vectors the plain message that a single vector's method sends: there are servers that know no other."""
        if not vectors:
            plain = {c.VFU_IRQ_DO_TRIGGER: c.vfu_client_irq_trigger, c.VFU_IRQ_DO_MASK: c.vfu_client_irq_mask}
            plain.get(action, c.vfu_client_irq_unmask)(self._h, self.index, 0, 1)
            return
        numbers = [self[vector].vector for vector in vectors]  # IndexError
        which = bytearray(max(numbers) - min(numbers) + 1)
        for number in numbers:
            which[number - min(numbers)] = 1
        c.client_irq_do(self._h, self.index, action, min(numbers), which)

    def use(self, fd: FileDescriptorLike | None) -> None:
        """The eventfd of vector 0."""
        self[0].use(fd)

    def _close_all(self) -> None:
        for vector in self._vectors.values():
            vector._let_go()


class ClientIrqs(Fixed):
    """dev.irqs: the interrupts of the device, by index or as intx, msi, msix, err, req.

    The device is asked about each once, when it is first used. IndexError, AttributeError: the device has fewer.
    """

    _PREFERRED = (c.VFU_IRQ_MSIX, c.VFU_IRQ_MSI, c.VFU_IRQ_INTX)

    intx: ClientIrq
    msi: ClientIrq
    msix: ClientIrq
    err: ClientIrq
    req: ClientIrq

    def __init__(self, handle: c.vfu_client, count: int, arm: bool | Literal["all"]) -> None:
        self._count = count
        self._known: dict[int, ClientIrq] = {}
        self._arming = _Arming(handle, one_at_a_time=arm != "all")

    def _arm_first(self, arm: bool | Literal["all"]) -> None:
        """What Client(irqs=) says. Its eventfds are closed with the others, also if the device refuses."""
        wanted = range(self._count) if arm == "all" else self._PREFERRED if arm else ()
        for irq in (self[index] for index in wanted if index < self._count):
            if irq.count and irq.flags & c.VFU_IRQ_EVENTFD:
                irq.enable()
                if arm != "all":
                    break

    @shown
    def __repr__(self) -> str:
        known = ", ".join(f"{irq_name(irq.index)}[{irq.count}]" for irq in list(self._known.values()))
        return f"{self._count}, asked for: {known or 'none'}"

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> ClientIrq:
        if not 0 <= index < self._count:
            raise IndexError(f"the device has {self._count} interrupts")
        if index not in self._known:
            self._known.setdefault(index, ClientIrq(self._arming, index))  # another thread may be first
        return self._known[index]

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *IRQ_NAMES[: self._count]]

    if not TYPE_CHECKING:  # checkers know these by their names

        def __getattr__(self, name):
            if name not in IRQ_NAMES or IRQ_NAMES.index(name) >= len(self):
                raise AttributeError(f"no interrupt is called {name}; names: {', '.join(IRQ_NAMES[:len(self)])}")
            return self[IRQ_NAMES.index(name)]

    def _close(self) -> None:
        for irq in self._known.values():
            irq._close_all()
