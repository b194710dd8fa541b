# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Fixtures for tests of devices. In conftest.py: pytest_plugins = ["vfu.pytest_plugin"]

    def test_in_process(vfu_plug):
        dev = vfu_plug(MyDevice())                    # a connected vfu.Client; see vfu.testing.plug
        assert dev.config.vendor_id == 0x1234

    def test_served(vfu_served):
        dev = vfu_served("mydevice.py", "period=0.1") # the same of a process; see vfu.testing.served

    def test_in_a_guest(vfu_guest):
        outcome = vfu_guest(MyDevice(), "lspci -ks $DEV0", drivers=["vfio-pci"], iommu=True)
        assert outcome.status == 0 and b"driver in use: vfio-pci" in outcome.stdout

    def test_what_i_do_myself(vfu_no_leaks): ...

After each the same is checked: no descriptor and no thread is left. vfu_guest skips where there is no way to get a guest;
the first one on a machine fetches it, which takes a minute (see vfu guest --help).
"""

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from vfu import Client, Device, Server

from . import guest, testing

# A device for a guest: an object of this process, what `vfu serve` serves, or the socket of a running server.
Plugged = Device | type[Device] | str


@pytest.fixture
def vfu_no_leaks() -> Iterator[None]:
    """The test fails if it leaves a descriptor open, or a thread behind."""
    with testing.leaves_nothing():
        yield


@pytest.fixture
def vfu_plug(vfu_no_leaks: None) -> Iterator[Callable[..., Client]]:
    """vfu_plug(device, **options) -> client of a device in this process, as vfu.testing.plug."""
    with contextlib.ExitStack() as stack:
        yield lambda device, **options: stack.enter_context(testing.plug(device, **options))


@pytest.fixture
def vfu_served(vfu_no_leaks: None) -> Iterator[Callable[..., Client]]:
    """vfu_served("FILE.py[:CLASS]" or a class, *arguments, **options) -> client, as vfu.testing.served."""
    with contextlib.ExitStack() as stack:
        yield lambda device, *arguments, **options: stack.enter_context(testing.served(device, *arguments, **options))


@pytest.fixture(scope="session")
def vfu_guest_kit() -> guest.Kit:
    """What guests of this session are made of; override it for another kernel, QEMU or cache."""
    try:
        return guest.Kit.of(guest.Cache())
    except guest.Unavailable as error:
        pytest.skip(str(error))


@pytest.fixture
def vfu_guest(vfu_guest_kit: guest.Kit, vfu_no_leaks: None) -> Callable[..., guest.Outcome]:
    """vfu_guest(device or list of them, script, **options) -> vfu.guest.Outcome; see run_in_guest."""

    def run(devices: Plugged | Sequence[Plugged], script: str | bytes, **options: Any) -> guest.Outcome:
        return run_in_guest(vfu_guest_kit, devices, script, **options)

    return run


def run_in_guest(
    kit: guest.Kit,
    devices: Plugged | Sequence[Plugged],
    script: str | bytes,
    *,
    drivers: Sequence[str] = (),
    files: Mapping[str, str | os.PathLike[str]] = {},
    environment: Mapping[str, str] = {},
    timeout: float = 300.0,
    **machine: Any,
) -> guest.Outcome:
    """Boots a guest with devices and has it run a script, in which $DEV0, $DEV1... are their addresses.

    drivers, files ({path in the guest: file here}), environment: as vfu.guest.Task has them; timeout: in seconds;
    all else is vfu.guest.Machine's: share, iommu, memory... Raises vfu.guest.GuestError if there is no outcome, and
    AssertionError if a server that was started for it has ended by itself."""
    task = guest.Task(
        script.encode() if isinstance(script, str) else script, drivers=drivers, environment=environment,
        files={place: Path(file) for place, file in files.items()},
    )
    several = [devices] if isinstance(devices, (str, Device, type)) else devices
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vfu-guest.")))
        processes: list[guest.Server] = []
        slots = []
        for number, device in enumerate(several):
            slots.append(guest.Slot(socket_of(device, directory / f"{number}.sock", stack, processes)))
        outcome = guest.run(
            guest.Machine(slots, **machine), task, kit, timeout=timeout,
            watch=lambda started: started or all(process.process.poll() is None for process in processes),
        )
        faults = [fault for process in processes if (fault := process.fault())]
    assert not faults, "; ".join(faults)
    return outcome


def socket_of(
    device: Plugged, path: Path, stack: contextlib.ExitStack, processes: list[guest.Server]
) -> str:
    """Where a device is served, from now on if it was not."""
    if isinstance(device, Device):
        stack.enter_context(Server(device, path)).start()
        return str(path)
    if isinstance(device, str) and Path(device).is_socket():
        return device
    file = testing.file_of(device)
    process = guest.Server(guest.serve_command(file), path, file)
    stack.callback(process.stop)
    processes.append(process)
    return str(path)
