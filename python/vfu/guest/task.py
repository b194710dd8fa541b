# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""What a guest has to do, and the initramfs that tells it so.

    bin/ lib...   tools: busybox, lspci, setpci       (of the cache)
    init bin/*    the files beside this one
    guest/env     variables for init and the script: DEV0, DEV1... are the devices' addresses
    guest/run     the script
    guest/boot/   modules for the disk of modules
"""

import os
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from . import modules, programs
from .cache import Kernel, Tools
from .errors import Unusable
from .initramfs import Archive

HERE = Path(__file__).parent
# In order of their paths, which is no matter to the guest.
OWN = ("bin/bind-driver", "bin/load-driver", "bin/mount-modules", "init")


@dataclass
class Task:
    """script: a shell script's text, or a program linked statically. shell: one on the terminal, after that.

    drivers: modules of the kernel's, or files .ko, to load first. files: {path in the guest: file here}. environment:
    {variable: value} of the script and the shell."""

    script: bytes | None = None
    shell: bool = False
    drivers: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, Path] = field(default_factory=dict)


def check_drivers(drivers: Sequence[str], kernel: Kernel) -> None:
    """Raises Unusable for those that are not there to be loaded."""
    for driver in drivers:
        if driver.endswith(".ko"):
            if not os.path.isfile(driver):
                raise Unusable(f"there is no file {driver}")
        elif kernel.names is not None and modules.canonical(driver) not in kernel.names:
            raise Unusable(f"kernel {kernel.version} has no module {driver}")


def environment(task: Task, addresses: Sequence[str]) -> str:
    """The file guest/env."""
    drivers: list[str] = []
    for driver in task.drivers:
        if driver.endswith(".ko"):
            drivers += [*modules.needs(Path(driver).read_bytes()), "/guest/drivers/" + os.path.basename(driver)]
        else:
            drivers.append(driver)
    # A program is run as such, all else by sh, for there is no other interpreter.
    program = "" if task.script is None else "/guest/run" if task.script[:4] == b"\x7fELF" else "sh /guest/run"
    variables = {f"DEV{number}": address for number, address in enumerate(addresses)}
    variables.update(
        {"devices": " ".join(addresses), "drivers": " ".join(drivers), "program": program, "shell": "", "terminal": ""}
    )
    if task.shell:
        columns, lines = os.get_terminal_size(0) if os.isatty(0) else (80, 24)
        variables["shell"] = f"cols {columns or 80} rows {lines or 24}"
        variables["terminal"] = os.environ.get("TERM", "dumb")
    variables.update(task.environment)
    return "".join(f"{name}={shlex.quote(value)}\n" for name, value in variables.items())


def add_tools(archive: Archive, tools: Tools) -> None:
    """Programs of the guest, busybox under all its names."""
    files: dict[str, Path] = {}
    for tool in tools.guest:
        files.update(programs.with_libraries(tools.root, tool))
    for path, source in sorted(files.items()):
        archive.file(path, source)
    busybox = next(path for path in files.values() if path.name == "busybox")
    taken = {*files, *OWN}
    listed = subprocess.run([str(busybox), "--list"], stdout=subprocess.PIPE, text=True, check=True).stdout
    for name in sorted(set(listed.split())):
        if "bin/" + name not in taken:
            archive.link("bin/" + name, "busybox")
    if tools.pci_ids is not None:
        archive.file("usr/share/misc/pci.ids", tools.pci_ids)


def add_task(archive: Archive, task: Task, kernel: Kernel, addresses: Sequence[str]) -> None:
    """What is of this guest alone."""
    for path in "dev", "proc", "sys", "tmp", "guest":
        archive.directory(path)
    for path in OWN:
        archive.file(path, (HERE / path).read_bytes(), 0o755)
    archive.file("guest/env", environment(task, addresses).encode())
    if task.script is not None:
        archive.file("guest/run", task.script, 0o755)
    if kernel.disk is not None:
        archive.file("guest/disk", b"")
        for file in kernel.boot or ():
            archive.file("guest/boot/" + file.name, file)
    for driver in task.drivers:
        if driver.endswith(".ko"):
            archive.file("guest/drivers/" + os.path.basename(driver), Path(driver))
    for path, file in task.files.items():
        archive.file(path.lstrip("/"), file)


def make_initramfs(task: Task, tools: Tools, kernel: Kernel, addresses: Sequence[str]) -> bytes:
    """All of it."""
    archive = Archive()
    add_tools(archive, tools)
    add_task(archive, task, kernel, addresses)
    return archive.content()
