# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""vfu serve as a process: whose sockets it takes, whom it tells that it is ready, how it ends, and in the background."""

import configparser
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import uuid

import pytest

import vfu

VFU = [sys.executable, "-m", "vfu"]
DEVICE = """
import os, sys
import vfu

class Toy(vfu.Device):
    vendor_id = 0x1234
    bar0 = vfu.Bar(4096)

    def __init__(self, say=""):
        super().__init__()
        if say == "environment":
            print(*(name for name in os.environ if name.startswith(("LISTEN_", "NOTIFY_"))), flush=True)
            say = " ".join(os.readlink(f"/proc/self/fd/{fd}") for fd in range(3, 100) if os.path.exists(f"/proc/self/fd/{fd}"))
        if say:
            print(say)
            print(say, file=sys.stderr)

    @bar0.reg32(0).on_write
    def speak(self, value):
        print("the value is", value)

    def on_close(self):
        print("closed")
"""
# What a service manager does: the descriptors it was given become 3, 4...; then it becomes the service.
ACTIVATE = """
import os, sys
count = int(sys.argv[1])
high = [os.dup(int(fd)) for fd in sys.argv[2].split(",")]
for place, fd in enumerate(high, 100):
    os.dup2(fd, place)
for place in range(count):
    os.dup2(100 + place, 3 + place)
os.closerange(3 + count, 100 + len(high))
os.environ.setdefault("LISTEN_PID", str(os.getpid()))
os.execv(sys.argv[3], sys.argv[3:])
"""


@pytest.fixture
def toy(tmp_path):
    (tmp_path / "toy.py").write_text(DEVICE)
    return tmp_path / "toy.py"


@pytest.fixture
def start():
    """start(command, ...) -> Popen, killed at the end of the test."""
    with contextlib.ExitStack() as stack:
        def run(command, **options):
            process = stack.enter_context(subprocess.Popen(list(map(str, command)), text=True, **options))
            stack.callback(process.kill)
            return process

        yield run


@pytest.fixture
def serve(toy, start):
    """serve(argument, ...) -> Popen of vfu serve, which is ready."""

    def run(*arguments, **options):
        ours, theirs = os.pipe()
        with open(ours) as word:
            fds = [theirs, *options.pop("pass_fds", ())]
            process = start([*VFU, "serve", toy, *arguments, f"--ready-fd={theirs}"], pass_fds=fds, **options)
            os.close(theirs)
            assert word.read() == "ready\n"
        return process

    return run


def run(*command, **options):
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=60, **options)


def listener(path):
    made = socket.socket(socket.AF_UNIX)
    made.bind(str(path))
    made.listen()
    return made


def until(condition):
    deadline = time.monotonic() + 30
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert condition()


# ---- one client, and the end ----


@pytest.mark.parametrize("fault", [False, True])
def test_one_client_at_a_path(serve, tmp_path, fault):
    process = serve(f"--socket-path={tmp_path / 's'}", "--one-client", stderr=subprocess.PIPE)
    with socket.socket(socket.AF_UNIX) as probe:  # says nothing, and so is no client
        probe.connect(str(tmp_path / "s"))
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(tmp_path / "s"))
        with vfu.Client(fd=sock) as dev:
            assert dev.config.vendor_id == 0x1234
            with pytest.raises(vfu.NotFound):
                vfu.Client(tmp_path / "s")
            if fault:
                sock.sendall(b"no message, but as long")
                assert process.wait(30) == 3
                assert "connection ended: " in process.stderr.read()
    assert process.wait(30) == (3 if fault else 0)


@pytest.mark.parametrize("mode", ["600", "0660", "222"])
def test_permissions_of_the_socket(serve, tmp_path, mode):
    serve(f"--socket-path={tmp_path / 's'}", f"--socket-mode={mode}", umask=0)
    assert (tmp_path / "s").stat().st_mode & 0o7777 == int(mode, 8)
    with vfu.Client(tmp_path / "s") as dev:
        assert dev.config.vendor_id == 0x1234


@pytest.mark.parametrize("ids, told", [("0, 0", True), ("0xffff, 0xffff", True), ("0, 2", False), ("0x1234, 0", False)])
def test_ids_of_no_device(start, tmp_path, ids, told):
    (tmp_path / "toy.py").write_text(f"import vfu\nclass Toy(vfu.Device):\n    vendor_id, device_id = {ids}\n")
    process = start([*VFU, "serve", tmp_path / "toy.py", f"--socket-path={tmp_path}/sock"], stderr=subprocess.PIPE)
    until(lambda: os.path.exists(tmp_path / "sock"))
    process.terminate()
    assert ("means to Linux that there is no device" in process.communicate()[1]) == told


def test_permissions_that_are_none(toy):
    for mode in ("rw", "0", "1000", "8"):
        failed = run(*VFU, "serve", toy, "--socket-path=/nowhere/s", f"--socket-mode={mode}")
        assert failed.returncode == 2 and f"{mode!r} is no mode in octal, 1 to 777" in failed.stderr
    failed = run(*VFU, "serve", toy, "--fd=0", "--socket-mode=600")
    assert failed.returncode == 2 and "--socket-mode is for the file of --socket-path" in failed.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_one_client_ended_by_a_signal(serve, tmp_path, number):
    process = serve(f"--socket-path={tmp_path / 's'}", "--one-client")
    with vfu.Client(tmp_path / "s"):
        process.send_signal(number)
        assert process.wait(30) == 0


def test_one_client_of_a_listener(serve, tmp_path):
    """The next client waits for the next server, and the socket's file stays."""
    with listener(tmp_path / "s") as sock:
        fd = sock.fileno()
        process = serve(f"--fd={fd}", "--one-client", pass_fds=[fd])
        first = vfu.Client(tmp_path / "s")
        with socket.socket(socket.AF_UNIX) as second:
            second.connect(str(tmp_path / "s"))
            first.close()
            assert process.wait(30) == 0
            process = serve(f"--fd={fd}", "--one-client", pass_fds=[fd])
            with vfu.Client(fd=second) as dev:
                assert dev.config.vendor_id == 0x1234
        assert process.wait(30) == 0


@pytest.mark.parametrize("fault", [False, True])
def test_a_connected_socket_is_one_client(serve, fault):
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            process = serve(f"--fd={theirs.fileno()}", pass_fds=[theirs.fileno()])
        if fault:
            ours.sendall(bytes(16))
        else:
            vfu.Client(fd=ours).close()
    assert process.wait(30) == (3 if fault else 0)


# Whoever is interrupted may do with that what it wants.
EARLY = {
    "nothing": "os.kill(os.getpid(), signal.SIGTERM)",
    "swallows": "with contextlib.suppress(SystemExit):\n    os.kill(os.getpid(), signal.SIGTERM)",
    "another": "class Field:\n    def __set_name__(self, *_):\n        os.kill(os.getpid(), signal.SIGTERM)\nclass User:\n    field = Field()",
    "half made": "class Server(vfu.Server):\n    def __init__(self, *args, **options):\n        super().__init__(*args, **options)\n"
                 "        os.kill(os.getpid(), signal.SIGTERM)\nvfu.Server = Server",
}  # fmt: skip


@pytest.mark.parametrize("text", EARLY.values(), ids=EARLY)
def test_ended_before_it_serves(tmp_path, text):
    (tmp_path / "early.py").write_text(f"import contextlib, os, signal, vfu\n{text}\nclass Toy(vfu.Device):\n    vendor_id = 1\n")
    done = run(*VFU, "serve", "early.py", "--socket-path=s", "--pid-file=pid", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert os.listdir(tmp_path) == ["early.py"]


def test_nohup(serve, tmp_path):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        process = serve(f"--socket-path={tmp_path / 's'}")
    finally:
        signal.signal(signal.SIGHUP, before)
    process.send_signal(signal.SIGHUP)
    with vfu.Client(tmp_path / "s") as dev:
        assert dev.config.vendor_id == 0x1234
    process.terminate()
    assert process.wait(30) == 0


# ---- ready ----


def test_ready_on_standard_output(start, toy, tmp_path):
    process = start([*VFU, "serve", toy, f"--socket-path={tmp_path / 's'}", "--ready-fd=1"], stdout=subprocess.PIPE)
    with process.stdout as said:
        assert said.readline() == "ready\n"
        with vfu.Client(tmp_path / "s") as dev:
            dev.regions.bar0.write32(0, 7)
        process.terminate()
        assert "the value is 7" in said.read()  # it stays open
    assert process.wait(30) == 0


def test_never_ready(toy, tmp_path):
    result = run(*VFU, "serve", toy, "--ready-fd=1", f"--socket-path={tmp_path / 'nowhere' / 's'}")
    assert result.returncode == 1 and "ready" not in result.stdout
    result = run(*VFU, "serve", toy, "--ready-fd=77", f"--socket-path={tmp_path / 's'}")
    assert (result.returncode, result.stderr) == (1, "vfu serve: --ready-fd=77: Bad file descriptor\n")
    ours, theirs = os.pipe()
    os.close(ours)
    with open(theirs, "wb"):
        result = run(*VFU, "serve", toy, f"--ready-fd={theirs}", f"--socket-path={tmp_path / 's'}", pass_fds=[theirs])
    assert (result.returncode, result.stderr) == (1, f"vfu serve: --ready-fd={theirs}: Broken pipe\n")


@pytest.mark.parametrize("option", ["--ready-fd", "--fd"])
def test_numbers_of_no_descriptor(toy, tmp_path, option):
    result = run(*VFU, "serve", toy, f"{option}=99999999999999999999")
    assert result.returncode == 2 and f"argument {option}: 99999999999999999999 is no descriptor" in result.stderr


@pytest.mark.parametrize("abstract", [False, True])
def test_notifies(serve, tmp_path, abstract):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        name = f"@vfu-{uuid.uuid4()}" if abstract else str(tmp_path / "notify")
        manager.bind(name.replace("@", "\0") if abstract else name)
        manager.settimeout(30)
        process = serve(f"--socket-path={tmp_path / 's'}", env={**os.environ, "NOTIFY_SOCKET": name})
        assert manager.recv(1000) == f"READY=1\nMAINPID={process.pid}".encode()
        process.terminate()
        assert manager.recv(1000) == b"STOPPING=1"
        assert process.wait(30) == 0


def test_serves_though_nobody_is_notified(serve, tmp_path):
    process = serve(
        f"--socket-path={tmp_path / 's'}", env={**os.environ, "NOTIFY_SOCKET": "/nowhere"}, stderr=subprocess.PIPE
    )
    process.terminate()
    assert process.wait(30) == 0
    assert "NOTIFY_SOCKET=/nowhere: No such file" in process.stderr.read()


# ---- sockets of a service manager ----


def activated(toy, sockets, *arguments, count=None, **variables):
    """The command that a manager runs, and its environment."""
    count = len(sockets) if count is None else count
    fds = ",".join(str(one.fileno()) for one in sockets)
    return (
        [sys.executable, "-c", ACTIVATE, count, fds, *VFU, "serve", toy, *arguments],
        {"env": {**os.environ, "LISTEN_FDS": str(count), **variables}, "pass_fds": [one.fileno() for one in sockets]},
    )


@pytest.mark.parametrize("which", ["--fd=the b", "--fd=4"])
def test_activated(toy, start, tmp_path, which):
    """The variables are gone, and so are the sockets that were not chosen."""
    with listener(tmp_path / "a") as a, listener(tmp_path / "b") as b:
        command, options = activated(toy, [a, b], "say=environment", which, LISTEN_FDNAMES="a:the b")
        process = start(command, stdout=subprocess.PIPE, **options)
        with vfu.Client(tmp_path / "b", timeout=30) as dev:
            assert dev.config.vendor_id == 0x1234
        process.terminate()
        with process.stdout as said:
            variables, fds = said.read().split("\n")[:2]
        assert process.wait(30) == 0
        assert variables == ""
        assert f"socket:[{os.fstat(b.fileno()).st_ino}]" in fds and f"socket:[{os.fstat(a.fileno()).st_ino}]" not in fds
    assert (tmp_path / "b").exists()


def test_activated_by_a_connection(toy, start):
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            command, options = activated(toy, [theirs])
            process = start(command, **options)
        with vfu.Client(fd=ours, timeout=30) as dev:
            assert dev.config.vendor_id == 0x1234
    assert process.wait(30) == 0


def test_units(toy, start, tmp_path):
    """The example's, as systemd would start them."""
    examples = os.path.join(os.path.dirname(__file__), "..", "..", "python", "examples", "systemd")
    units = configparser.ConfigParser(interpolation=None)
    assert units.read([os.path.join(examples, "vfu@.socket"), os.path.join(examples, "vfu@.service")])
    path = units["Socket"]["ListenStream"].replace("%t/vfu/%i", f"{tmp_path}/toy")
    words = units["Service"]["ExecStart"].replace("/etc/vfu/%i.py", str(toy)).split()
    assert units["Service"]["Type"] == "notify" and words[:3] == ["/usr/bin/vfu", "serve", str(toy)]
    with listener(path) as sock, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(30)
        command, options = activated(toy, [sock], *words[3:], NOTIFY_SOCKET=str(tmp_path / "notify"))
        process = start(command, **options)
        assert manager.recv(1000).startswith(b"READY=1\n")
        vfu.Client(path).close()
        assert manager.recv(1000) == b"STOPPING=1"
        assert process.wait(30) == 0


def test_wrong_sockets(toy, tmp_path):
    def complaint(sockets, *arguments, status=1, **variables):
        command, options = activated(toy, sockets, *arguments, **variables)
        result = run(*command, **options)
        assert result.returncode == status and result.stderr.startswith("vfu serve: "), result
        return result.stderr.removeprefix("vfu serve: ")

    with listener(tmp_path / "a") as a, socket.socket() as tcp:
        names = {"LISTEN_FDNAMES": "a:b"}
        assert "passes 2 sockets: say --fd=NAME; there are: a, b" in complaint([a, a], **names)
        assert "no sockets are called c; there are: a, b" in complaint([a, a], "--fd=c", **names)
        assert "2 sockets are called a" in complaint([a, a], "--fd=a", LISTEN_FDNAMES="a:a")
        assert "LISTEN_FDNAMES=a:b has 2 names for LISTEN_FDS=1" in complaint([a], **names)
        assert "LISTEN_FDS=x is no number" in complaint([a], LISTEN_FDS="x")
        assert "LISTEN_FDS=40, but descriptor " in complaint([a], LISTEN_FDS="40")
        assert "descriptor 3 is no stream socket of UNIX" in complaint([tcp])
        assert "--socket-path leaves unused" in complaint([a], f"--socket-path={tmp_path / 's'}")
        assert "(LISTEN_PID=1 is for another process, " in complaint([a], status=2, LISTEN_PID="1")
        assert "no sockets are called a; there are: none" in complaint([a], "--fd=a", LISTEN_PID="1")
    result = run(*VFU, "serve", toy)
    assert (result.returncode, result.stderr) == (2, "vfu serve: give --socket-path or --fd\n")
    result = run(*VFU, "serve")
    assert result.stderr.endswith("required: FILE.py[:CLASS]\n")


# ---- in the background ----


@contextlib.contextmanager
def ended(pid):
    """Whose child it is now is nobody here, so the end of the block waits for the number to be free."""
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        until(lambda: not os.path.exists(f"/proc/{pid}") or "State:\tZ" in open(f"/proc/{pid}/status").read())


def test_detached(toy, tmp_path):
    """Ready when the command ends; all its streams are elsewhere, or capture_output would wait for them."""
    files = [f"--pid-file={tmp_path / 'pid'}", f"--log-file={tmp_path / 'log'}"]
    result = run(*VFU, "serve", toy, "say=hello", "--socket-path=s", "--detach", *files, "--log-level=info", cwd=tmp_path)
    assert (result.returncode, result.stdout, result.stderr) == (0, "hello\n", "hello\n")
    pid = int((tmp_path / "pid").read_text())
    with ended(pid):
        with vfu.Client(tmp_path / "s") as dev:
            dev.regions.bar0.write32(0, 9)
            assert os.getsid(pid) != os.getsid(0) and os.getsid(pid) != pid
        again = run(*VFU, "serve", toy, f"--socket-path={tmp_path / 't'}", "--detach", *files)
        assert again.returncode == 1 and f"pid is of a process that runs: {pid}\n" in again.stderr
        assert (tmp_path / "pid").read_text() == f"{pid}\n"
    assert not (tmp_path / "pid").exists() and not (tmp_path / "s").exists()
    log = (tmp_path / "log").read_text()
    assert f"vfu[{pid}]: INFO: client connected" in log and "\nthe value is 9\n" in log and log.endswith("closed\n")


def test_detached_from_a_socket_for_standard_input(toy, tmp_path):
    """As inetd passes it: it is served on, though /dev/null takes its place."""
    with listener(tmp_path / "s") as sock:
        files = [f"--pid-file={tmp_path / 'pid'}", f"--log-file={tmp_path / 'log'}"]
        assert run(*VFU, "serve", toy, "--fd=0", "--detach", *files, stdin=sock).returncode == 0
    with ended(int((tmp_path / "pid").read_text())), vfu.Client(tmp_path / "s", timeout=30) as dev:
        assert dev.config.vendor_id == 0x1234


def test_detached_without_standard_streams(toy, tmp_path):
    """Whose numbers no socket gets."""
    files = [f"--pid-file={tmp_path / 'pid'}", f"--log-file={tmp_path / 'log'}"]
    words = [*VFU, "serve", toy, f"--socket-path={tmp_path / 's'}", "--detach", *files]
    assert run(*words, preexec_fn=lambda: [*map(os.close, range(3))]).returncode == 0
    with ended(int((tmp_path / "pid").read_text())), vfu.Client(tmp_path / "s", timeout=30) as dev:
        assert dev.config.vendor_id == 0x1234


def test_not_detached_if_it_cannot(toy, tmp_path):
    (tmp_path / "pid").write_text("1\n")  # of one that is dead: nobody has locked it
    good = ["serve", f"--socket-path={tmp_path / 's'}", "--detach", f"--log-file={tmp_path / 'log'}"]

    def complaint(*arguments):
        result = run(*VFU, *arguments)
        assert result.returncode == 1 and not (tmp_path / "s").exists(), result
        return result.stderr

    assert "nowhere/log: No such file or directory" in complaint(*good[:-1], toy, f"--log-file={tmp_path / 'nowhere' / 'log'}")
    assert "nowhere/pid: No such file or directory" in complaint(*good, toy, f"--pid-file={tmp_path / 'nowhere' / 'pid'}")
    assert "there is no file" in complaint(*good, tmp_path / "none.py", f"--pid-file={tmp_path / 'pid'}")
    assert not (tmp_path / "pid").exists()
    assert "Toy has no argument x" in complaint(*good, toy, "x=1")


def with_syslog(path, *arguments):
    code = f"import sys, vfu.cli.background; vfu.cli.background.SYSLOG = {str(path)!r}; sys.exit(vfu.cli.main(sys.argv[1:]))"
    return run(sys.executable, "-c", code, *arguments)


@pytest.mark.parametrize("level", ["info", "error"])
def test_syslog(toy, tmp_path, level):
    """What a device prints is there at any level."""
    command = ["serve", toy, f"--socket-path={tmp_path / 's'}", "--detach", f"--pid-file={tmp_path / 'pid'}"]
    result = with_syslog(tmp_path / "log", *command)
    assert result.returncode == 1 and "log: No such file or directory; without syslog" in result.stderr
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as syslog:
        syslog.bind(str(tmp_path / "log"))
        syslog.settimeout(30)
        assert with_syslog(tmp_path / "log", *command, f"--log-level={level}").returncode == 0
        pid = int((tmp_path / "pid").read_text())
        with ended(pid):
            with vfu.Client(tmp_path / "s") as dev:
                dev.regions.bar0.write32(0, 5)
        said = b""
        while b"closed" not in said:
            said += syslog.recv(1000)
    assert f"vfu[{pid}]: the value is 5".encode() in said
    assert (b"client connected" in said) == (level == "info")
