# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""What pip asks to build the package (PEP 517): runs configure and make, and packs what they made.

It needs nothing but this Python and what configure asks for, so `pip install .` works without any index:

    configure, make --> build/wheel-cpython-311/     a build directory of its own, or -C builddir=DIR
    make install-data                     --> vfu/  vfu_protocol.py  libvfu.py  libvfu-X.dist-info/
    make python/packaging/_libvfu.so      --> _libvfu.so, which looks for libraries in libvfu.libs/
    libvfu.so.0, and json-c of this system --> libvfu.libs/

The wheel has all it needs but the C library: it goes where there is neither libvfu nor json-c. It is for this
version of Python and this machine's kind of Linux.
"""

from __future__ import annotations

import base64
import glob
import hashlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import zipfile
from pathlib import Path
from typing import Any, Iterator, Mapping, Optional

SOURCE = Path(__file__).resolve().parents[2]
PYTHON = getattr(sys, "_base_executable", sys.executable)  # that of a virtual environment goes with it
LIBRARIES = "libvfu.libs"  # the place of libraries beside a module, as python/local.mk links it
COMMAND = "[console_scripts]\nvfu = vfu.cli:main\n"
Settings = Optional[Mapping[str, Any]]


def run(*command: str, cwd: Path, output: bool = False) -> str:
    """Runs a command of the build; what it says is returned, or goes to pip, which shows it if the build fails."""
    # A make around pip is none of ours.
    env = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MFLAGS", "DESTDIR")}
    print("+", " ".join(command), flush=True)
    try:
        stdout = subprocess.PIPE if output else None
        said: Optional[str] = subprocess.run(command, cwd=cwd, env=env, check=True, text=True, stdout=stdout).stdout
        return said or ""
    except FileNotFoundError:
        sys.exit(f"libvfu: there is no {command[0]}; ./quickstart install brings all that a build needs")
    except subprocess.CalledProcessError as error:
        sys.exit(f"libvfu: {' '.join(command)}: failed with status {error.returncode}, why is said above")


def make(build: Path, *arguments: str) -> None:
    run("make", "-s", f"-j{os.cpu_count() or 1}", *arguments, cwd=build)


def default_build() -> Path:
    """Below build/, where the next one finds what need not be compiled again."""
    place = SOURCE if os.access(SOURCE, os.W_OK) else Path(tempfile.gettempdir()) / f"libvfu-{os.getuid()}"
    return place / "build" / f"wheel-{sys.implementation.cache_tag}"


def variable(build: Path, name: str) -> str:
    """What configure found; empty if it did not run."""
    makefile = build / "Makefile"
    found = re.search(rf"^{name} = (.*)$", makefile.read_text(), re.M) if makefile.exists() else None
    return found[1] if found else ""


def configured(settings: Settings) -> Path:
    """A build directory for this very Python, with all built."""
    build = Path((settings or {}).get("builddir") or default_build()).absolute()
    if not os.path.exists(variable(build, "PYTHON")):
        if not (SOURCE / "configure").exists():
            run("autoreconf", "-fi", cwd=SOURCE)
        build.mkdir(parents=True, exist_ok=True)
        # Warnings are for those who work on libvfu.
        run(str(SOURCE / "configure"), "-q", "--disable-werror", "--disable-static", "--enable-python",
            f"PYTHON={PYTHON}", cwd=build)
    if variable(build, "PYTHON_VERSION") != "%d.%d" % sys.version_info[:2]:
        sys.exit(f"libvfu: {build} is configured for another Python than {sys.executable}")
    make(build)
    return build


def libraries(build: Path) -> Iterator[tuple[str, Path]]:
    """The name and file of libvfu and of what it needs besides the C library."""
    libvfu = build / "libvfu" / ".libs" / "libvfu.so.0"
    yield libvfu.name, libvfu
    for name, path in re.findall(r"(libjson-c\S+) => (/\S+)", run("ldd", str(libvfu), cwd=build, output=True)):
        yield name, Path(path)


def fill(tree: Path, build: Path) -> Path:
    """Puts what is to be installed into tree, and returns its dist-info directory."""
    with tempfile.TemporaryDirectory() as staged:
        make(build, "install-data", f"DESTDIR={staged}")
        (info,) = Path(staged).glob("**/libvfu-*.dist-info")
        shutil.copytree(info.parent, tree, ignore=shutil.ignore_patterns("__pycache__"))
    make(build, "python/packaging/_libvfu.so")
    shutil.copy(build / "python" / "packaging" / "_libvfu.so", tree)
    (tree / LIBRARIES).mkdir()
    for name, path in libraries(build):
        shutil.copy(path, tree / LIBRARIES / name)
    ours = [str(tree / "_libvfu.so"), str(tree / LIBRARIES / "libvfu.so.0")]
    if shutil.which("strip"):
        run("strip", "--strip-unneeded", *ours, cwd=build)
    return tree / info.name


def describe(info: Path, tag: str) -> None:
    """What a wheel has besides METADATA; RECORD is written last."""
    (info / "WHEEL").write_text(f"Wheel-Version: 1.0\nGenerator: libvfu\nRoot-Is-Purelib: false\nTag: {tag}\n")
    (info / "entry_points.txt").write_text(COMMAND)
    (info / "licenses").mkdir()
    shutil.copy(SOURCE / "COPYING", info / "licenses")
    for path in glob.glob("/usr/share/doc/libjson-c[0-9]*/copyright"):
        shutil.copy(path, info / "licenses" / "COPYING.json-c")


def pack(tree: Path, record: Path, wheel: Path) -> None:
    """All files of tree as a zip file, in an order and with dates that depend on nothing else."""
    lines = []
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as file:
        def add(name: str, data: bytes) -> None:
            entry = zipfile.ZipInfo(name)
            entry.external_attr = (0o100755 if ".so" in name else 0o100644) << 16
            file.writestr(entry, data, zipfile.ZIP_DEFLATED)

        for path in sorted(path for path in tree.rglob("*") if path.is_file()):
            name, data = path.relative_to(tree).as_posix(), path.read_bytes()
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            lines.append(f"{name},sha256={digest},{len(data)}")
            add(name, data)
        name = record.relative_to(tree).as_posix()
        add(name, "\n".join([*lines, f"{name},,", ""]).encode())


def build_wheel(
    wheel_directory: str, config_settings: Settings = None, metadata_directory: Optional[str] = None
) -> str:
    """Builds libvfu-VERSION-TAG.whl in wheel_directory and returns its name."""
    python = f"cp{sys.version_info[0]}{sys.version_info[1]}"
    tag = f"{python}-{python}{sys.abiflags}-{re.sub('[-.]', '_', sysconfig.get_platform())}"
    with tempfile.TemporaryDirectory() as tmp:
        tree = Path(tmp) / "tree"
        info = fill(tree, configured(config_settings))
        describe(info, tag)
        name = f"{info.stem}-{tag}.whl"
        pack(tree, info / "RECORD", Path(wheel_directory) / name)
    return name


def build_sdist(sdist_directory: str, config_settings: Settings = None) -> str:
    """Has make pack the tarball, moves it to sdist_directory and returns its name."""
    build = configured(config_settings)
    make(build, "dist-gzip")
    (tarball,) = build.glob("libvfu-*.tar.gz")
    shutil.move(str(tarball), sdist_directory)
    return tarball.name
