# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Interrupts of a device."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, SupportsIndex, overload

import libvfu as c

from .declared import number
from .shown import shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .device import Device
    from .regions import Region


_NAMES = {
    c.VFU_IRQ_INTX: "intx",
    c.VFU_IRQ_MSI: "msi",
    c.VFU_IRQ_MSIX: "msix",
    c.VFU_IRQ_ERR: "err",
    c.VFU_IRQ_REQ: "req",
}


class Irqs:
    """Which interrupts a device has, as its class declares them: irqs = vfu.Irqs(intx=1, msix=4).

    intx: the pin, 1 to 4 for INTA to INTD, 0: none. msi: how many vectors, a power of two up to 32. msix: the same, up
    to 2048. The MSI-X table gets a BAR of its own, the first free one, unless msix_bar says which; then the table is at
    the offset msix_table, the pending bits at msix_pba, in bytes. msi_64bit, msi_maskable: with addresses of 64 bits, with
    a mask bit for each vector in MSI's capability. ValueError: such a number there cannot be.

    Of an object of the class self.irqs is a DeviceIrqs, which raises them.
    """

    def __init__(
        self,
        intx: int = 0,
        msi: int = 0,
        msix: int = 0,
        msix_bar: int | None = None,
        msix_table: int = 0,
        msix_pba: int | None = None,
        msi_64bit: bool = True,
        msi_maskable: bool = False,
    ) -> None:
        numbers = {"intx": intx, "msi": msi, "msix": msix, "msix_table": msix_table, "msix_pba": msix_pba or 0}
        for name, value in numbers.items():
            if not 0 <= number(name, value) < 1 << 32:
                raise ValueError(f"{name} is a number of 32 bits, not {value}")
        if intx > 4:
            raise ValueError(f"intx is a pin, 1 to 4, or 0 for none, not {intx}")
        if msi > 32 or msi & (msi - 1):
            raise ValueError(f"msi is 1, 2, 4, 8, 16 or 32 vectors, not {msi}")
        if msix > 2048:
            raise ValueError(f"msix is at most 2048 vectors, not {msix}")
        self.intx, self.msi, self.msix = intx, msi, msix
        self.msix_bar, self.msix_table = msix_bar, msix_table
        self.msi_64bit, self.msi_maskable = msi_64bit, msi_maskable
        table_size = 1 << max(msix * 16 - 1, 0).bit_length()
        self.msix_pba = max(0x800, msix_table + table_size) if msix_pba is None else msix_pba

    @shown
    def __repr__(self) -> str:
        return f"intx {self.intx}, msi {self.msi}, msix {self.msix}"

    @overload
    def __get__(self, device: None, owner: type | None = None) -> Irqs: ...
    @overload
    def __get__(self, device: Device, owner: type | None = None) -> DeviceIrqs: ...
    def __get__(self, device: Device | None, owner: type | None = None) -> Irqs | DeviceIrqs:
        # What a device has of its own comes first: see Device.__init__.
        if device is None:
            return self
        raise AttributeError(f"{type(device).__name__}.__init__() must call super().__init__() first")

    def __set_name__(self, owner: type, name: str) -> None:
        if name != "irqs":
            raise TypeError(f"{owner.__name__}.{name}: a device's interrupts are called irqs")

    @property
    def places(self) -> list[tuple[int, int, int]]:
        """(region, start, end) of what of a BAR of the device's is MSI-X's."""
        if not self.msix or self.msix_bar is None:
            return []
        sizes = (self.msix_table, self.msix * 16), (self.msix_pba, (self.msix + 63) // 64 * 8)
        return [(self.msix_bar, start, start + size) for start, size in sizes]

    def _install(self, handle: c.DeviceHandle, regions: Mapping[int, Region]) -> None:
        c.vfu_device_set_intx(handle, self.intx)
        if self.msi:
            flags = (c.VFU_MSI_64 if self.msi_64bit else 0) | (c.VFU_MSI_MASKABLE if self.msi_maskable else 0)
            c.vfu_device_set_msi_layout(handle, self.msi, flags)
        if self.msix:
            bar = self._table_bar(handle, regions) if self.msix_bar is None else self.msix_bar
            c.vfu_device_set_msix(handle, self.msix, bar, self.msix_table, self.msix_pba)

    def _table_bar(self, handle: c.DeviceHandle, regions: Mapping[int, Region]) -> int:
        taken = set(regions) | {i + 1 for i, region in regions.items() if getattr(region, "is64", False)}
        free = [i for i in range(6) if i not in taken]
        if not free:
            raise ValueError("no BAR is free for the MSI-X table: put it into one with msix_bar")
        end = self.msix_pba + (self.msix + 63) // 64 * 8
        size = max(4096, 1 << (end - 1).bit_length())
        c.device_set_region(handle, free[0], size, c.VFU_REGION_READ | c.VFU_REGION_WRITE, 0, -1, [], 0, [])
        return free[0]


class Vector:
    """One interrupt vector of a device, self.irqs.msix[3]: a message to the client."""

    __slots__ = ("_handle", "_index", "_vector")

    def __init__(self, handle: c.DeviceHandle, index: int, vector: int) -> None:
        self._handle, self._index, self._vector = handle, index, vector

    @shown
    def __repr__(self) -> str:
        name = _NAMES[self._index]
        return f"{name}[{self._vector}]" if name in ("msi", "msix") else name

    def trigger(self, after_dma: bool = True) -> bool:
        """Raises it, once the DMA that was started before has arrived (after_dma=False: now). Any thread.

        False: the client does not listen. True: it is delivered, or will be when it is no longer masked, and the client
        has turned bus mastering on (E63, which is logged). Asked for twice before that it comes once. If there is no
        client, or it goes before that, it is lost: the next one gets none but its own (E47).
        """
        raise_it = c.vfu_irq_raise_after if after_dma else c.vfu_irq_raise
        try:
            raise_it(self._handle, self._index, self._vector)
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise
            return False
        return True


class Line(Vector):
    """INTx, self.irqs.intx: a line, which stays raised until it is lowered. Any thread."""

    __slots__ = ()

    def raise_(self, after_dma: bool = True) -> bool:
        """Asserts the line, once the DMA that was started before has arrived (after_dma=False: now), as trigger().

        False: the client does not listen. It gets it when it does, and so does the next one, while the line is up.
        """
        return self.trigger(after_dma)

    def lower(self) -> None:
        """Deasserts the line; when it is unmasked it is not raised again."""
        c.vfu_irq_lower(self._handle)


def _declare(name: str) -> str:
    return f"the device's class declares no {name}: say irqs = vfu.Irqs({name}=1) there"


class NoLine(Line):
    """INTx of a device that declared none: false, and using it says what to declare."""

    __slots__ = ()

    def __init__(self) -> None:
        pass

    def __bool__(self) -> bool:
        return False

    def trigger(self, after_dma: bool = True) -> bool:
        raise AttributeError(_declare("intx"))

    def lower(self) -> None:
        self.trigger()


class Vectors(tuple[Vector, ...]):
    """The vectors of one kind, by index. enabled: whether the client uses them; used: how many."""

    __slots__ = ()
    name = ""
    state = 0  # of configuration space

    @property
    def enabled(self) -> bool:
        """The client has enabled this kind of interrupt in configuration space; on_config_write() tells when to look."""
        return bool(self) and bool(c.vfu_device_config_state(self[0]._handle, self.state))

    @property
    def used(self) -> int:
        """How many of them the client uses, from the first on: none before it has enabled them. Of MSI it may be fewer than
        there are: a vector that it does not use must not be triggered, so what would be told by that is told by another."""
        return len(self) if self.enabled else 0

    @overload
    def __getitem__(self, key: SupportsIndex) -> Vector: ...
    @overload
    def __getitem__(self, key: slice) -> tuple[Vector, ...]: ...
    def __getitem__(self, key: SupportsIndex | slice) -> Vector | tuple[Vector, ...]:
        try:
            return super().__getitem__(key)
        except IndexError:
            has = f"it has {self.name}={len(self)}" if self else _declare(self.name)
            raise IndexError(f"there is no {self.name}[{key}]: {has}") from None


class MsiVectors(Vectors):
    __slots__ = ()
    name = "msi"
    state = c.VFU_CONFIG_MSI

    @property
    def used(self) -> int:
        return c.vfu_device_config_state(self[0]._handle, c.VFU_CONFIG_MSI_VECTORS) if self.enabled else 0


class MsixVectors(Vectors):
    __slots__ = ()
    name = "msix"
    state = c.VFU_CONFIG_MSIX


class DeviceIrqs:
    """self.irqs of a device: intx, a Line (false if Irqs has none), and msi[i] and msix[i], sequences of Vector
    with msi.enabled and msix.enabled.

    Every device has err, a Vector that tells of an error which it cannot recover from, and req, which asks the client
    to give the device back.
    """

    intx: Line
    msi: Vectors
    msix: Vectors
    err: Vector
    req: Vector

    def __init__(self, handle: c.DeviceHandle, spec: Irqs) -> None:
        self.intx = Line(handle, c.VFU_IRQ_INTX, 0) if spec.intx else NoLine()
        self.msi = MsiVectors(Vector(handle, c.VFU_IRQ_MSI, i) for i in range(spec.msi))
        self.msix = MsixVectors(Vector(handle, c.VFU_IRQ_MSIX, i) for i in range(spec.msix))
        self.err, self.req = Vector(handle, c.VFU_IRQ_ERR, 0), Vector(handle, c.VFU_IRQ_REQ, 0)

    @shown
    def __repr__(self) -> str:
        return f"intx {'yes' if self.intx else 'no'}, msi {len(self.msi)}, msix {len(self.msix)}"
