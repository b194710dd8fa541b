# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""The machine that QEMU makes: its devices' places and its command line."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .cache import Kernel
from .errors import Unusable

# Devices have the slots from here on, up to that of the disk of modules.
FIRST_SLOT, DISK_SLOT = 0x10, 0x1E
# The kernel has four serial ports unless told otherwise, and the machine that many: a device may be a fifth.
# A CPU that is emulated on a busy machine may stand still for half a minute: it is stuck after two.
KERNEL_ARGUMENTS = (
    "console=ttyS0 quiet panic=-1 no_timer_check cryptomgr.notests iomem=relaxed initcall_blacklist=jent_mod_init "
    "8250.nr_uarts=8 watchdog_thresh=60"
)
# Interrupts of their own, for those of the third and fourth port are shared otherwise.
FURTHER_PORTS = {"stderr": "iobase=0x3e8,irq=5", "control": "iobase=0x2e8,irq=7"}


@dataclass
class Slot:
    """One device: the socket it is served at. root_port: behind a PCIe root port, whose bus the guest can reset.

    options: properties of QEMU's device vfio-user-pci."""

    socket: str
    root_port: bool = False
    options: Mapping[str, object] = field(default_factory=dict)


@dataclass
class Machine:
    """slots: where devices are plugged in. share: the RAM is shared memory, which servers map; otherwise they reach it by messages.

    memory: its size, as QEMU takes it. iommu: an Intel IOMMU; drivers of the kernel's run untranslated, as iommu=pt says, unless append says otherwise.
    append: further arguments of the kernel; arguments: further ones of QEMU."""

    slots: Sequence[Slot]
    share: bool = True
    iommu: bool = False
    memory: str = "512M"
    append: str = ""
    arguments: Sequence[str] = ()

    def __post_init__(self) -> None:
        if len(self.slots) > DISK_SLOT - FIRST_SLOT:
            raise Unusable(f"a guest has at most {DISK_SLOT - FIRST_SLOT} devices")

    def addresses(self) -> list[str]:
        """The devices' PCI addresses in the guest."""
        found, buses = [], 0
        for number, slot in enumerate(self.slots):
            buses += slot.root_port
            found.append(f"0000:{buses:02x}:00.0" if slot.root_port else f"0000:00:{FIRST_SLOT + number:02x}.0")
        return found

    def command(self, qemu: Sequence[str], kernel: Kernel, initrd: Path, channels: Mapping[str, str]) -> list[str]:
        """QEMU's command line. channels: character devices for console, stdout, stderr and control."""
        backend = "memory-backend-memfd,share=on" if self.share else "memory-backend-ram,share=off"
        # fmt: off
        arguments = [
            *qemu, "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-accel", "tcg",
            "-m", self.memory, "-object", f"{backend},id=ram,size={self.memory}",
            "-machine", "q35,memory-backend=ram,usb=off,vmport=off,smbus=off,sata=off,i8042=off",
        ]
        # fmt: on
        append = KERNEL_ARGUMENTS
        if self.iommu:
            arguments += ["-device", "intel-iommu,caching-mode=on,intremap=on"]
            append += " intel_iommu=on iommu=pt"
        for number, slot in enumerate(self.slots):
            arguments += device_arguments(number, slot)
        if kernel.disk is not None:
            arguments += disk_arguments(kernel.disk)
        for name, option in channels.items():
            arguments += ["-chardev", f"{option},id={name}"]
            if name in FURTHER_PORTS:
                arguments += ["-device", f"isa-serial,chardev={name},{FURTHER_PORTS[name]}"]
            else:
                arguments += ["-serial", f"chardev:{name}"]
        arguments += ["-kernel", str(kernel.image), "-initrd", str(initrd)]
        return [*arguments, "-append", f"{append} {self.append}".strip(), *self.arguments]


def device_arguments(number: int, slot: Slot) -> list[str]:
    """One vfio-user-pci, with its root port if it wants one."""
    device: dict[str, object] = {
        "driver": "vfio-user-pci", "id": f"dev{number}", "socket": {"type": "unix", "path": slot.socket}
    }
    place, arguments = f"{FIRST_SLOT + number:02x}", []
    if slot.root_port:
        port = {"driver": "pcie-root-port", "id": f"port{number}", "chassis": number + 1, "slot": number + 1}
        arguments = ["-device", json.dumps({**port, "addr": place})]
        device["bus"] = f"port{number}"
    else:
        device["addr"] = place
    return [*arguments, "-device", json.dumps({**device, **slot.options})]


def disk_arguments(disk: Path) -> list[str]:
    """The disk of modules, read only."""
    blockdev = {
        "driver": "raw", "node-name": "modules", "read-only": True,
        "file": {"driver": "file", "filename": str(disk), "locking": "off"},
    }
    device = {"driver": "virtio-blk-pci", "drive": "modules", "addr": f"{DISK_SLOT:x}"}
    return ["-blockdev", json.dumps(blockdev), "-device", json.dumps(device)]
