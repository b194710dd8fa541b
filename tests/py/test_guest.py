# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""vfu guest, as far as it goes without QEMU; with it: tests/qemu."""

import argparse
import contextlib
import json
import lzma
import os
import shlex
import shutil
import signal
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from vfu import guest
from vfu.cli import guest as guest_arguments
from vfu.cli import in_guest, parser
from vfu.cli.progress import Progress
from vfu.guest import boot, cache, initramfs, kernel, modules, packages, programs, task
from vfu.guest.cache import Cache, Kernel, Tools

COUNTER = os.path.join(os.path.dirname(__file__), "..", "..", "python", "examples", "counter.py")


def vfu(*args, **kwargs):
    return subprocess.run(
        [sys.executable, "-m", "vfu", "guest", *map(str, args)], stdin=subprocess.DEVNULL, capture_output=True,
        text=True, timeout=60, **kwargs,
    )


def script(path, text):
    path.write_text(text)
    path.chmod(0o755)
    return path


# ---- a cpio archive, read again ----


def unpack(data):
    """{path: (mode, content)} of archives one after the other."""
    found, at = {}, 0
    while at < len(data):
        assert data[at : at + 6] == b"070701"
        fields = [int(data[at + 6 + 8 * n : at + 14 + 8 * n], 16) for n in range(13)]
        mode, size, name_size = fields[1], fields[6], fields[11]
        name = data[at + 110 : at + 110 + name_size]
        assert name.endswith(b"\0")
        start = (at + 110 + name_size + 3) & ~3
        found[name[:-1].decode()] = (mode, data[start : start + size])
        at = (start + size + 3) & ~3
    return found


def test_archive(tmp_path):
    tool = script(tmp_path / "tool", "#!/bin/sh\n")
    archive = initramfs.Archive()
    archive.file("a/b/c", b"12345", 0o600)
    archive.file("a/b/tool", tool)
    archive.link("a/link", "b/c")
    archive.directory("a")
    found = unpack(archive.content())
    assert list(found) == ["a", "a/b", "a/b/c", "a/b/tool", "a/link", "TRAILER!!!"]
    assert found["a/b/c"] == (0o100600, b"12345")
    assert found["a/b/tool"] == (0o100755, b"#!/bin/sh\n")
    assert found["a/link"] == (0o120777, b"b/c")
    assert found["a"][0] == 0o040755


@pytest.fixture
def tools(tmp_path):
    """Tools of this machine: a program in place of busybox that knows two names."""
    busybox = tmp_path / "busybox"
    shutil.copy("/bin/sh", busybox)
    return Tools(None, [str(busybox)], None, None)


def test_initramfs(tmp_path, tools, monkeypatch):
    listing = subprocess.CompletedProcess([], 0, "busybox\nls\nmodprobe\nbind-driver\n")
    real = subprocess.run
    monkeypatch.setattr(task.subprocess, "run", lambda args, **k: listing if "--list" in args else real(args, **k))
    module = tmp_path / "mine.ko"
    module.write_bytes(b"\x7fELF\0license=GPL\0depends=uio,vfio\0retpoline=Y\0")
    boot_module = tmp_path / "0-virtio_blk.ko"
    boot_module.write_bytes(b"m")
    what = guest.Task(
        b"echo \"it's\"", drivers=["gpio-pci-idio-16", str(module)], environment={"WORD": "it's"},
        files={"bin/test": module},
    )
    kernel_ = Kernel(Path("vmlinux"), "6.12", Path("disk"), [boot_module], frozenset(["gpio_pci_idio_16"]))
    task.check_drivers(what.drivers, kernel_)
    found = unpack(task.make_initramfs(what, tools, kernel_, ["0000:00:10.0", "0000:01:00.0"]))
    assert found["bin/ls"] == (0o120777, b"busybox")
    assert found["bin/busybox"][0] == 0o100755
    assert found["bin/bind-driver"][1].startswith(b"#!/bin/busybox sh")  # ours, not busybox's
    assert found["init"][0] == 0o100755
    assert found["guest/run"] == (0o100755, b"echo \"it's\"")
    assert found["guest/boot/0-virtio_blk.ko"][1] == b"m"
    assert found["guest/drivers/mine.ko"][1] == found["bin/test"][1] == module.read_bytes()
    variables = dict(line.split("=", 1) for line in shlex.split(found["guest/env"][1].decode()))
    assert variables == {
        "DEV0": "0000:00:10.0", "DEV1": "0000:01:00.0", "devices": "0000:00:10.0 0000:01:00.0",
        "drivers": "gpio-pci-idio-16 uio vfio /guest/drivers/mine.ko", "program": "sh /guest/run",
        "shell": "", "terminal": "", "WORD": "it's",
    }
    # What programs are linked with goes along: the loader and the C library at least.
    assert any("ld-" in path for path in found)
    assert any("libc.so" in path for path in found)


def test_static_program_is_run_as_such():
    assert "program=/guest/run\n" in task.environment(guest.Task(b"\x7fELF..."), [])
    assert "program=''\n" in task.environment(guest.Task(), [])


def test_guest_scripts_are_there():
    for name in task.OWN:
        assert (task.HERE / name).read_text().startswith("#!/bin/busybox sh\n# SPDX")


def test_drivers_that_are_not_there(tmp_path):
    known = Kernel(Path("vmlinux"), "6.12", names=frozenset(["gpio_pci_idio_16"]))
    with pytest.raises(guest.GuestError, match="kernel 6.12 has no module no-such"):
        task.check_drivers(["no-such"], known)
    with pytest.raises(guest.GuestError, match="no file .*x.ko"):
        task.check_drivers([str(tmp_path / "x.ko")], known)
    task.check_drivers(["whatever"], Kernel(Path("vmlinux")))  # of a kernel whose modules nobody knows


# ---- machine ----


def values(command, option):
    return [command[n + 1] for n, word in enumerate(command) if word == option]


def test_command_line():
    machine = guest.Machine(
        [guest.Slot("/tmp/a", root_port=True), guest.Slot("/tmp/b,c", options={"x-msg-timeout": 1})],
        iommu=True, memory="1G", append="quiet", arguments=["-d", "int"],
    )
    assert machine.addresses() == ["0000:01:00.0", "0000:00:11.0"]
    kernel_ = Kernel(Path("/k"), disk=Path("/disk,1"))
    command = machine.command(["qemu"], kernel_, Path("/i"), {"console": "null", "stderr": "null"})
    assert command[0] == "qemu" and command[-2:] == ["-d", "int"]
    assert "memory-backend-memfd,share=on,id=ram,size=1G" in values(command, "-object")
    devices = [json.loads(value) for value in values(command, "-device") if value.startswith("{")]
    assert [device["driver"] for device in devices] == [
        "pcie-root-port", "vfio-user-pci", "vfio-user-pci", "virtio-blk-pci"
    ]
    assert devices[1]["bus"] == devices[0]["id"]
    assert devices[2]["socket"] == {"type": "unix", "path": "/tmp/b,c"} and devices[2]["x-msg-timeout"] == 1
    assert devices[2]["addr"] == "11"
    assert any(value.startswith("intel-iommu") for value in values(command, "-device"))
    assert "intel_iommu=on" in values(command, "-append")[0] and values(command, "-append")[0].endswith(" quiet")
    assert values(command, "-serial") == ["chardev:console"]
    private = guest.Machine([], share=False).command(["qemu"], Kernel(Path("/k")), Path("/i"), {})
    assert "memory-backend-ram,share=off,id=ram,size=512M" in values(private, "-object")
    assert "-blockdev" not in private and "intel" not in " ".join(private)


def test_too_many_devices():
    with pytest.raises(guest.GuestError, match="at most 14 devices"):
        guest.Machine([guest.Slot("/tmp/s")] * 15)


# ---- kernels, modules, programs ----


def test_kernel_version(tmp_path):
    image = bytearray(0x400)
    image[0x202:0x206] = b"HdrS"
    struct.pack_into("<H", image, 0x20E, 0x100)
    image[0x300:0x320] = b"6.1.0-9-amd64 (x@y) #1 SMP\0".ljust(0x20, b"\0")
    (tmp_path / "bzImage").write_bytes(image)
    assert kernel.version(tmp_path / "bzImage") == "6.1.0-9-amd64"
    (tmp_path / "vmlinux").write_bytes(b"\x7fELF" + bytes(100) + b"Linux version 6.12.1 (x)" + bytes(100))
    assert kernel.version(tmp_path / "vmlinux") == "6.12.1"
    (tmp_path / "text").write_text("no kernel")
    for path, complaint in ((tmp_path / "text", "no Linux kernel"), (tmp_path / "nowhere", "cannot be read: No such file or directory$")):
        with pytest.raises(guest.GuestError, match=complaint):
            kernel.version(path)


def test_modules(tmp_path):
    (tmp_path / "modules.dep").write_text(
        "kernel/a/vfio-pci.ko.xz: kernel/b/core.ko kernel/b/vfio.ko\nkernel/b/vfio.ko:\n"
    )
    (tmp_path / "modules.builtin").write_text("kernel/c/virtio.ko\n")
    found = modules.Modules(tmp_path)
    assert found.names() == ["vfio", "vfio_pci", "virtio"]
    assert [path.name for path in found.files(["vfio_pci", "virtio"])] == ["vfio.ko", "core.ko", "vfio-pci.ko.xz"]
    with pytest.raises(guest.GuestError, match="no module uio"):
        found.files(["uio"])
    (tmp_path / "m.ko.xz").write_bytes(lzma.compress(b"\0depends=\0"))
    assert modules.needs(modules.read(tmp_path / "m.ko.xz")) == []


def test_program_for_another_machine(tmp_path):
    with pytest.raises(guest.GuestError, match="no program for x86-64"):
        programs.interpreter(script(tmp_path / "x", "#!/bin/sh\n"))


# ---- what is fetched ----


def test_codename():
    assert packages.codename('ID=debian\nVERSION_CODENAME=trixie\n') == "trixie"
    assert packages.codename('ID="debian"\n') == "sid"
    assert packages.codename('ID=ubuntu\nID_LIKE=debian\nVERSION_CODENAME=noble\n') is None


@pytest.fixture
def elsewhere(monkeypatch, tmp_path):
    """A machine that is not Debian, with one directory on PATH."""
    monkeypatch.setattr(packages, "codename", lambda text: None)
    (tmp_path / "path").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    return tmp_path / "path"


@pytest.fixture
def plain_shell(monkeypatch):
    """A shell does not start with a sanitizer in it (make check-tsan)."""
    monkeypatch.delenv("LD_PRELOAD", raising=False)


def qemu(path, version):
    return script(path, f'#!/bin/sh\necho "QEMU emulator version {version} (Debian)"\n')


def test_elsewhere_says_what_to_get(tmp_path, elsewhere):
    kept = Cache(tmp_path / "cache")
    for call in (kept.qemu, kept.tools, lambda: kept.kernel(Tools(None, [], None, None))):
        with pytest.raises(guest.Unavailable, match="--kernel .*--qemu .*11.1.*busybox"):
            call()
    assert not (tmp_path / "cache").exists()
    script(elsewhere / "busybox", "")
    assert kept.tools() == Tools(None, [str(elsewhere / "busybox")], None, None)
    (tmp_path / "vmlinux").write_bytes(b"\x7fELFLinux version 0.0.0-none (x)")
    assert kept.kernel(kept.tools(), tmp_path / "vmlinux") == Kernel(tmp_path / "vmlinux", "0.0.0-none")


@pytest.mark.usefixtures("plain_shell")
def test_which_qemu(tmp_path, elsewhere):
    kept = Cache(tmp_path / "cache")
    assert kept.qemu(str(qemu(tmp_path / "mine", "12.0.1"))) == [str(tmp_path / "mine")]
    with pytest.raises(guest.GuestError, match=r"is QEMU 10.2; .* needs 11.1"):
        kept.qemu(str(qemu(tmp_path / "old", "10.2.0")))
    with pytest.raises(guest.GuestError, match="no QEMU that runs here"):
        kept.qemu(str(tmp_path / "nowhere"))
    qemu(elsewhere / cache.QEMU, "9.2.0")
    with pytest.raises(guest.Unavailable):
        kept.qemu()
    qemu(elsewhere / cache.QEMU, "11.1.0")
    assert kept.qemu() == [str(elsewhere / cache.QEMU)]


def test_parts_are_made_whole_and_once(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "find_mirror", lambda: "")
    monkeypatch.setattr(cache.Apt, "update", lambda self: None)
    kept, made = Cache(tmp_path), []

    def make(apt, new):
        made.append(new)
        (new / "file").write_text(str(len(made)))
        if len(made) == 1:
            raise guest.Unavailable("no network")

    with pytest.raises(guest.Unavailable):
        kept._part("part", "recipe 1", make)
    assert {path.name.partition(".")[0] for path in tmp_path.iterdir()} == {"lock", "apt"}
    for recipe, content in (("recipe 1", "2"), ("recipe 1", "2"), ("recipe 2", "3")):
        assert (kept._part("part", recipe, make) / "file").read_text() == content
    kept.close()
    assert {path.name for path in tmp_path.iterdir()} == {"lock", "part"}
    assert {path.name for path in (tmp_path / "part").iterdir()} == {"file", "recipe"}


# ---- the loop around QEMU ----


def fake(tmp_path, text):
    """A program in place of QEMU, and how boot.run() is to call it."""
    program = script(tmp_path / "qemu", "#!/bin/sh\n" + text)
    return lambda channels: [str(program)]


def sinks(**kinds):
    return {name: kinds.get(name, lambda data: None) for name in ("console", "stdout", "stderr", "control", "qemu")}


@pytest.mark.usefixtures("plain_shell")
def test_run_to_the_end(tmp_path):
    said = []
    status = boot.run(fake(tmp_path, "echo one >&2; printf two >&2; exit 3"), sinks(qemu=boot.Lines(said.append)))
    assert status == 3 and said == ["one"]


@pytest.mark.usefixtures("plain_shell")
def test_run_is_ended(tmp_path):
    command = fake(tmp_path, f"echo $$ >{tmp_path}/pid; exec sleep 1000")
    assert boot.run(command, sinks(), timeout=0.5) is None
    assert boot.run(command, sinks(), watch=lambda: False) is None

    def watch():
        if (tmp_path / "pid").exists():
            raise KeyboardInterrupt
        return True

    (tmp_path / "pid").unlink(missing_ok=True)
    with pytest.raises(KeyboardInterrupt):
        boot.run(command, sinks(), watch=watch)
    assert not Path("/proc", (tmp_path / "pid").read_text().strip()).exists()


def kit(tmp_path, monkeypatch, text):
    monkeypatch.setattr(guest, "make_initramfs", lambda *args: b"")
    program = script(tmp_path / "qemu", "#!/bin/sh\n" + text)
    return guest.Kit([str(program)], Tools(None, [], None, None), Kernel(Path("k")))


@pytest.mark.usefixtures("plain_shell")
def test_faults_are_told(tmp_path, monkeypatch):
    broken = kit(tmp_path, monkeypatch, "echo 'no such device' >&2; exit 1")
    with pytest.raises(guest.GuestError, match="QEMU has ended with status 1 before it had started\n    no such device"):
        guest.run(guest.Machine([]), guest.Task(b""), broken)
    hangs = kit(tmp_path, monkeypatch, "exec sleep 1000")
    with pytest.raises(guest.TimedOut, match="after 0.3 s"):
        guest.run(guest.Machine([]), guest.Task(b""), hangs, timeout=0.3)


# What the guest says comes through descriptors of QEMU's, in the order of fdsets: 0 is the console.
SAYS = """
while [ $# -gt 0 ]; do case $1 in -add-fd) n=${2#fd=}; eval "set${2##*set=}=${n%,*}"; shift;; esac; shift; done
"""


@pytest.mark.usefixtures("plain_shell")
def test_outcome(tmp_path, monkeypatch):
    good = kit(tmp_path, monkeypatch, SAYS + """
        say() { echo "$2" >"/proc/self/fd/$1"; }
        say $set3 init; say $set0 console; say $set1 out; say $set2 err; say $set3 "end 7" """)
    outcome = guest.run(guest.Machine([]), guest.Task(b""), good)
    assert outcome == guest.Outcome(7, b"out\n", b"err\n", "console\n")
    bad = kit(tmp_path, monkeypatch, SAYS + """
        echo "no such thing" >/proc/self/fd/$set2; echo "driver x" >/proc/self/fd/$set3""")
    with pytest.raises(guest.GuestError, match="cannot load the driver x: no such thing .no modules: --modules"):
        guest.run(guest.Machine([]), guest.Task(b""), bad)


@pytest.mark.usefixtures("plain_shell")
def test_a_shell_ended_by_qemu(tmp_path, monkeypatch):
    monkeypatch.setattr(boot, "kept_terminal", lambda wanted: contextlib.nullcontext())
    quits = kit(tmp_path, monkeypatch, SAYS + "echo init >/proc/self/fd/$set3")
    assert guest.run(guest.Machine([]), guest.Task(shell=True), quits).status == 0
    dies = kit(tmp_path, monkeypatch, SAYS + "echo init >/proc/self/fd/$set3; exit 1")
    with pytest.raises(guest.GuestError, match="with status 1 before its script was done"):
        guest.run(guest.Machine([]), guest.Task(shell=True), dies)


def test_long_socket_paths(tmp_path, monkeypatch):
    seen = []
    real = guest.Machine.command
    monkeypatch.setattr(guest.Machine, "command", lambda self, *args: seen.append(self.slots) or real(self, *args))
    long = guest.Machine([guest.Slot("/tmp/" + "x" * 200)])
    with pytest.raises(guest.GuestError):
        guest.run(long, guest.Task(b""), kit(tmp_path, monkeypatch, "exit 1"))
    assert len(seen[0][0].socket) < 107


# ---- servers ----


def test_server(tmp_path):
    import vfu

    server = guest.Server(guest.serve_command(COUNTER), tmp_path / "s", "counter.py")
    try:
        with vfu.Client(tmp_path / "s") as dev:
            assert dev.config.vendor_id == 0x1234
        assert server.fault() is None
        server.process.kill()
        server.process.wait()
        assert server.fault() == "the server of counter.py has ended by signal SIGKILL"
        assert server.fault() is None  # told once
    finally:
        server.stop()
    assert not (tmp_path / "s").exists()


# ---- the command ----


def test_only_the_first_signal_counts():
    with pytest.raises(in_guest.Ended) as ended, in_guest.ended_by_signals():
        try:
            os.kill(os.getpid(), signal.SIGINT)
        finally:
            os.kill(os.getpid(), signal.SIGINT)  # while it cleans up
            os.kill(os.getpid(), signal.SIGTERM)
    assert ended.value.number == signal.SIGINT
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_devices_and_their_arguments(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x=y.py").write_text("")
    words = ["a.py", "period=0.1", "name=", "/tmp/s", "x=y.py"]
    assert in_guest.grouped(words) == [("a.py", ["period=0.1", "name="]), ("/tmp/s", []), ("x=y.py", [])]
    options = parser().parse_args(["guest", "a.py", "--policy=a=b", "--policy=c=d", "--log-level", "debug"])
    assert in_guest.serving_options(options) == ["--policy=a=b", "--policy=c=d", "--log-level=debug"]


def test_servers_that_end_at_once(tmp_path, monkeypatch, capfd):
    """Before the guest has started it is ended; after, it may go on."""
    (tmp_path / "bad.py").write_text("x =")
    serving = {f"serve_{name}": [] for name in guest_arguments.SERVING}
    options = argparse.Namespace(devices=[str(tmp_path / "bad.py")], log_level="warning", **serving)
    with contextlib.ExitStack() as stack:
        devices = in_guest.Devices(options, stack)
        devices.servers[0].process.wait(60)
        assert not devices.watch(False) and devices.watch(True)
    said = capfd.readouterr().err
    assert "bad.py cannot be loaded: SyntaxError" in said
    assert said.count("the server of bad.py has ended with status 1") == 1 and "did not end" not in said


def test_bad_use(tmp_path):
    for args, complaint in (
        ([], "required: DEVICE"),
        ([COUNTER, "--share=maybe"], "invalid choice"),
        ([COUNTER, "--run=x", "--env=1=2"], "'1=2' is not NAME=VALUE"),
        ([COUNTER, "--run=x", "--timeout=0"], "'0' is no number of seconds"),
    ):
        result = vfu(*args)
        assert result.returncode == 2 and complaint in result.stderr, result.stderr
    for args, complaint in (
        ([COUNTER], "say what the guest has to do"),
        ([COUNTER, "--shell"], "--shell needs a terminal"),
        ([COUNTER, "--run=-", "--driver=vfio-pci"], "--driver vfio-pci needs --iommu"),
        ([COUNTER, "--run", tmp_path / "nowhere"], "No such file"),
        ([COUNTER, "--run=-", "--qemu", tmp_path / "nowhere"], "no QEMU that runs here"),
        ([tmp_path / "nowhere.py", "--run=-"], "there is no file or socket"),
    ):
        result = vfu(*args, "--cache", tmp_path / "cache")
        assert result.returncode in (1, 125) and complaint in result.stderr, result.stderr
        assert "Traceback" not in result.stderr


def test_help_names_all():
    text = vfu("--help").stdout
    for word in ("--driver", "--shell", "--share", "--iommu", "--run", "--qemu", "--kernel", "exit status", "--cache"):
        assert word in text


def test_progress(capsys, monkeypatch):
    progress = Progress("guest")
    for done in (0.0, 0.5, 1.0):
        progress("fetching QEMU", done)
    progress.close()
    assert capsys.readouterr().err == "vfu guest: fetching QEMU\n"
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setitem(sys.modules, "tqdm", None)  # not installed
    progress = Progress("guest")
    for done in (0.0, 0.5, 1.0):
        progress("fetching QEMU", done)
    said = capsys.readouterr().err
    assert "fetching QEMU  50% [####" in said and said.endswith("]\n")
