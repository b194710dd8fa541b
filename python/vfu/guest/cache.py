# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""What guests are made of: fetched once, kept in a directory, or taken from this machine.

    part      kept here                              else taken from
    qemu/     root/: QEMU and its libraries          --qemu, or PATH if it is new enough
    tools/    root/: busybox, lspci, setpci...       PATH, where this is not Debian
    kernel/   vmlinux, modules.squashfs, boot/       --kernel, with /lib/modules/VERSION

A part is made beside its place and moved there whole, with the recipe it was made by; made again if the recipe is
another. QEMU's part is some 150 MB, the kernel's some 170 MB.
"""

import contextlib
import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from . import kernel, modules, programs
from .errors import GuestError, Unavailable, Unusable
from .packages import BACKPORTS, SUITE, Apt, Progress, find_mirror, output

# QEMU's first version with the device vfio-user-pci that this package asks for.
OLDEST_QEMU = (11, 1)
QEMU = "qemu-system-x86_64"
# The last number of a recipe changes with what is done with the packages.
QEMU_PACKAGES = ["qemu-system-x86"]
QEMU_RECIPE = " ".join([BACKPORTS, *QEMU_PACKAGES, "1"])
TOOLS_PACKAGES = ["busybox-static", "kmod", "pci.ids", "pciutils", "squashfs-tools", "zstd"]
TOOLS_RECIPE = " ".join([SUITE, *TOOLS_PACKAGES, "1"])
KERNEL_RECIPE = f"{SUITE} linux-image-amd64 1"


def default_directory() -> Path:
    """Where parts are kept unless told otherwise: vfu-guest in the user's directory for caches."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vfu-guest"


@dataclass
class Tools:
    """Programs for the guest: busybox at least. root: where they are unpacked, None if they are this machine's."""

    root: Path | None
    guest: list[str]
    mksquashfs: list[str] | None
    pci_ids: Path | None


@dataclass
class Kernel:
    """A kernel to boot. disk: a file system of its modules; boot: what has to be loaded to mount that."""

    image: Path
    version: str | None = None
    disk: Path | None = None
    boot: list[Path] | None = None
    names: frozenset[str] | None = None


def qemu_version(command: list[str]) -> tuple[int, ...] | None:
    """A QEMU's version; None if it is none."""
    found = re.match(r"QEMU emulator version (\d+)\.(\d+)", output([*command, "--version"]))
    return tuple(map(int, found.groups())) if found else None


def silent(step: str, done: float) -> None:
    """No progress is shown."""


class Cache:
    """The directory. progress: told of steps that take long. close() it after having asked for parts."""

    def __init__(self, directory: Path | None = None, progress: Progress = silent):
        self.directory = directory or default_directory()
        self.progress = progress
        self._apt: Apt | None = None
        self._lists: "tempfile.TemporaryDirectory[str] | None" = None

    def close(self) -> None:
        """Lets go of what is needed for making parts only."""
        if self._lists is not None:
            self._lists.cleanup()
        self._apt = self._lists = None

    def qemu(self, wanted: str | None = None) -> list[str]:
        """How to run QEMU: the one wanted, or that of PATH if it is new enough, or one that is fetched."""
        if wanted is not None:
            version = qemu_version([wanted])
            if version is None:
                raise Unusable(f"{wanted} is no QEMU that runs here")
            if version < OLDEST_QEMU:
                raise Unusable(f"{wanted} is QEMU {version[0]}.{version[1]}; the device vfio-user-pci needs 11.1")
            return [wanted]
        found = shutil.which(QEMU)
        if found is not None and (qemu_version([found]) or (0,)) >= OLDEST_QEMU:
            return [found]
        root = self._part("qemu", QEMU_RECIPE, self._make_qemu) / "root"
        share = root / "usr/share"
        return [*programs.command(root, f"usr/bin/{QEMU}"), "-L", f"{share}/qemu", "-L", f"{share}/seabios"]

    def tools(self) -> Tools:
        """Programs for the guest: fetched on Debian, elsewhere this machine's."""
        try:
            root = self._part("tools", TOOLS_RECIPE, self._make_tools) / "root"
        except Unavailable:
            if shutil.which("busybox") is None:
                raise
            found = [shutil.which(name) for name in ("busybox", "lspci", "setpci")]
            mksquashfs = shutil.which("mksquashfs")
            return Tools(None, [path for path in found if path], [mksquashfs] if mksquashfs else None, None)
        mksquashfs_here = programs.command(root, "usr/bin/mksquashfs")
        guest = ["usr/bin/busybox", "usr/bin/lspci", "usr/bin/setpci"]
        return Tools(root, guest, mksquashfs_here, root / "usr/share/misc/pci.ids")

    def kernel(self, tools: Tools, wanted: Path | None = None, directory: Path | None = None) -> Kernel:
        """The kernel wanted, its modules from /lib/modules/VERSION unless told otherwise; or Debian's."""
        if wanted is not None:
            return self._own_kernel(tools, wanted, directory)
        part = self._part("kernel", KERNEL_RECIPE, lambda apt, new: self._make_kernel(apt, new, tools.root))
        names = frozenset((part / "names").read_text().split())
        boot = sorted((part / "boot").iterdir())
        return Kernel(part / "vmlinux", (part / "version").read_text(), part / "modules.squashfs", boot, names)

    # ---- making parts ----

    def _part(self, name: str, recipe: str, make: Callable[[Apt, Path], None]) -> Path:
        """A part's directory, made if it is not there."""
        place = self.directory / name
        if recipe_of(place) == recipe:
            return place
        find_mirror()  # raises before anything is touched
        with self._locked():
            if recipe_of(place) != recipe:  # somebody else may have made it meanwhile
                new = Path(tempfile.mkdtemp(prefix=f"{name}.", dir=self.directory))
                try:
                    make(self._updated_apt(), new)
                    (new / "recipe").write_text(recipe)
                    shutil.rmtree(place, ignore_errors=True)
                    new.chmod(0o755)
                    new.rename(place)
                finally:
                    shutil.rmtree(new, ignore_errors=True)
        return place

    def _updated_apt(self) -> Apt:
        """One for all parts, for it reads the lists of packages first."""
        if self._apt is None:
            self._lists = tempfile.TemporaryDirectory(prefix="apt.", dir=self.directory)
            self._apt = Apt(Path(self._lists.name), self.progress)
        self._apt.update()
        return self._apt

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Two that miss the same part fetch it once."""
        self.directory.mkdir(parents=True, exist_ok=True)
        with open(self.directory / "lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _make_qemu(self, apt: Apt, new: Path) -> None:
        apt.unpack("QEMU", new / "root", QEMU_PACKAGES)
        version = qemu_version(programs.command(new / "root", f"usr/bin/{QEMU}"))
        if version is None or version < OLDEST_QEMU:
            raise Unavailable(f"{BACKPORTS} has no QEMU of version 11.1")

    def _make_tools(self, apt: Apt, new: Path) -> None:
        apt.unpack("tools", new / "root", TOOLS_PACKAGES)

    def _make_kernel(self, apt: Apt, new: Path, tools: Path | None) -> None:
        root = new / "root"
        apt.unpack("the kernel", root, [apt.kernel_package()], needs=False)
        self.progress("preparing the kernel", 0.0)
        image = next((root / "boot").glob("vmlinuz-*"))
        version = image.name.partition("-")[2]
        kernel.unpack(image, new / "vmlinux", programs.command(tools, "usr/bin/zstd"))
        depmod = programs.command(tools, "usr/bin/kmod")
        depmod[1:1] = ["--argv0", "depmod"]
        modules_of = root / "usr/lib/modules" / version
        (root / "lib").symlink_to("usr/lib")
        if output([*depmod, "-b", str(root), version]) or not (modules_of / "modules.dep").exists():
            raise GuestError("depmod failed")
        self._add_modules(modules_of, new, programs.command(tools, "usr/bin/mksquashfs"))
        (new / "version").write_text(version)
        shutil.rmtree(root)
        self.progress("preparing the kernel", 1.0)

    def _add_modules(self, directory: Path, new: Path, mksquashfs: list[str]) -> None:
        """What Kernel says of modules, as files."""
        found = modules.Modules(directory)
        modules.make_disk(directory, new / "modules.squashfs", mksquashfs)
        (new / "boot").mkdir()
        for number, file in enumerate(found.files(modules.BOOT)):
            (new / "boot" / f"{number}-{modules.canonical(file.name)}.ko").write_bytes(modules.read(file))
        (new / "names").write_text("\n".join(found.names()))

    def _own_kernel(self, tools: Tools, image: Path, directory: Path | None) -> Kernel:
        version = kernel.version(image)
        if directory is None and version is not None:
            directory = Path("/lib/modules") / version
        if directory is None or tools.mksquashfs is None or not can_have_disk(directory):
            return Kernel(image, version)
        mksquashfs, source = tools.mksquashfs, directory
        stamp = (directory / "modules.dep").stat()
        recipe = f"{directory.resolve()} {stamp.st_mtime_ns} {stamp.st_size} 1"
        with self._locked():
            place = self.directory / f"modules-{directory.name}"
            if recipe_of(place) != recipe:
                shutil.rmtree(place, ignore_errors=True)
                place.mkdir()
                self.progress(f"packing {directory}", 0.0)
                self._add_modules(source, place, mksquashfs)
                (place / "recipe").write_text(recipe)
                self.progress(f"packing {directory}", 1.0)
        names = frozenset((place / "names").read_text().split())
        return Kernel(image, version, place / "modules.squashfs", sorted((place / "boot").iterdir()), names)


def can_have_disk(directory: Path) -> bool:
    """Can a kernel with these modules mount a disk that has them?"""
    if not (directory / "modules.dep").exists():
        return False
    try:
        modules.Modules(directory).files(modules.BOOT)
        return True
    except GuestError:
        return False


def recipe_of(place: Path) -> str | None:
    """What a part was made by; None if it is not there."""
    try:
        return (place / "recipe").read_text()
    except OSError:
        return None
