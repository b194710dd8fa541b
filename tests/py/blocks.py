# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Every block of commands or code that a reader may copy: found, and run as the reader would.

    README.md, doc/*.md...: ```fences```, indented ----+                     +-> shell:  a Session, command by command
    examples, the package: indented in docstrings -----+--> find() -> Block -+-> python: its kind, test_blocks.py
    heads of examples in C and shell ------------------+                     +-> figure: looked at only

A block whose first line is a comment that names a file, "# client.py" or "/* client.c */", is saved as that file beside
./run; "# client.py, goes on" is added to it. A fence ```output has what the command before it printed. A page NAME-3.md finds what NAME-1.md and NAME-2.md had saved.

A Session is a reader: with windows in which servers go on while the next command is tried, a directory, exported
variables. It works in a copy of the tree made of links, and what a document puts in /tmp is in the test's directory.

test_blocks.py runs all that needs no guest, tests/qemu/command.py what does, with the same Session.
"""

import ast
import contextlib
import dataclasses
import functools
import os
import pty
import re
import select
import shlex
import shutil
import signal
import subprocess
import textwrap
import time
from pathlib import Path

import vfu

TOP = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("abs_builddir") or os.getcwd())

# Only hanging counts.
SECONDS = 120

# A block is shell if its first word is one of these.
PROGRAMS = (
    "./quickstart ./run autoreconf cc cd dpkg-buildpackage export lua make pip python3 qemu-system-x86_64 sudo apt-get sh "
    "vfu wireshark tshark systemctl systemd-socket-activate git"
).split()

# What a document leaves to its reader to fill in.
PLACEHOLDERS = {"SOCKET": "/tmp/counter.sock", "OUTPUT": "wire_h", "SPECDIR": "spec", "FILE": "made"}


# A reader who has solved the exercises of the course.
SOLVED = [
    (r"(\S*doc/course/)(\d-[\w-]+)/exercise\.py", r"\1solutions/\2.py"),
    (r"(\S*doc/course/)(\d-[\w-]+)/check\.py", r"\g<0> \1solutions/\2.py"),
]

# The device that blocks speak of without showing it.
MY_DEVICE = """
import vfu


class MyDevice(vfu.Device):
    vendor_id, device_id = 0x1234, 0x0042
    bar0 = vfu.Bar(4096)
    irqs = vfu.Irqs(intx=1, msix=4)
    scratch = bar0.reg32(0)

    def __init__(self, period: float = 1.0):
        super().__init__()
        self.period = period
"""


@dataclasses.dataclass
class Block:
    file: str  # relative to the source tree
    line: int
    owner: str  # the heading, or the class or function
    kind: str  # "shell", "python", "figure", or what its fence says
    text: str

    @property
    def where(self):
        return f"{self.file}:{self.line} ({self.owner})"

    @property
    def commands(self):
        """Its lines, each with those that it goes on in, without comments."""
        lines = re.sub(r"\\\n\s*", "", self.text).splitlines()
        return [bare for line in lines if (bare := re.sub(r"(^|\s+)#.*", "", line).strip())]

    @property
    def prints(self):
        """{command: what its comment says that it prints}"""
        return dict(re.findall(r"^(.*?)\s+# prints: (.*)$", self.text, re.M))

    @property
    def saved_as(self):
        """(the file that its first line names, whether it is added to what is there), or None."""
        found = re.match(r"(?:#|/\*) ([\w-]+\.(?:py|c|sh))(, goes on)?(?: \*/)?\n", self.text)
        return (found[1], bool(found[2])) if found else None


# ---- finding ----


def documents():
    """The files that are looked into, relative to the tree. A tarball's tree has builds in it."""
    for place in ("doc", "spec", "codegen", "libvfu", "python", "tests"):
        for path in sorted((TOP / place).rglob("*")):
            name = str(path.relative_to(TOP))
            if path.parent.name == "gen":  # a tarball has what is generated
                continue
            if path.suffix == ".md" or (path.suffix == ".py" and place == "python"):
                yield name
            if re.match(r"(doc|python)/examples/.*\.(c|sh)$", name):
                yield name
    yield from ("README.md", "HACKING.md", "libvfu/vfu.h", "python/gen/vfu_protocol.py")


def find(name):
    """The blocks of a file, in order."""
    return _find(name, next(path for path in (TOP / name, BUILD / name) if path.exists()).read_text())


@functools.cache
def _find(name, text):
    if name.endswith(".md"):
        return list(_in_markdown(name, text))
    if name.endswith(".py"):
        return list(_in_docstrings(name, text))
    if name.endswith(".h"):
        return list(_in_comments(name, text))
    return list(_indented(name, _comment(text), 1, "head"))


def pages_before(name):
    """Those of a series that a reader of this page has read."""
    found = re.match(r"(.*-)(\d)\.md$", name)
    return [f"{found[1]}{number}.md" for number in range(1, int(found[2]))] if found else []


def _in_markdown(name, text):
    owner, prose, start = "", [], 1
    fence = None
    for number, line in enumerate(text.splitlines(), 1):
        if fence:
            if line.startswith("```"):
                if not fence[0].startswith("{"):  # what such a fence has is text of the site
                    yield Block(name, fence[1], owner, fence[0] or "figure", "".join(fence[2]))
                fence, prose, start = None, [], number + 1
            else:
                fence[2].append(line + "\n")
            continue
        if line.startswith(("```", "#")):
            yield from _indented(name, prose, start, owner)
            prose, start = [], number + 1
            if line.startswith("#"):
                owner = line.lstrip("# ")
            else:
                fence = line[3:].strip(), number + 1, []
            continue
        prose.append(line)
        for command in re.findall(r"`(\./run [^`]+)`", line):
            yield Block(name, number, owner, "shell", command + "\n")
    yield from _indented(name, prose, start, owner)


def _in_docstrings(name, text):
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, kinds) and (said := ast.get_docstring(node)):
            yield from _indented(name, said.splitlines(), node.body[0].lineno, getattr(node, "name", "module"))


def _comment(text):
    """The first comment of a file in C or shell, without its marks."""
    lines = re.search(r"\A(#.*\n)+|/\*[\s\S]*?\*/", text)[0].splitlines()
    return [re.sub(r"^( \* ?|/\* ?|# ?)", "", line) for line in lines]


def _in_comments(name, text):
    """Of a header. Its blocks are C if they have a statement."""
    for found in re.finditer(r"/\*[\s\S]*?\*/", text):
        start = text[: found.start()].count("\n") + 1
        for block in _indented(name, _comment(found[0]), start, "comment"):
            yield dataclasses.replace(block, kind="c" if ";" in block.text else "figure")


def _indented(name, lines, start, owner):
    """What stands four columns in, behind an empty line."""
    lines = [line.expandtabs() for line in lines] + [""]
    block, at = [], 0
    for number, line in enumerate([*lines, "end"]):
        if block and (line.startswith("    ") or not line.strip()):
            block.append(line)
        elif block:
            yield from _split(Block(name, start + at, owner, "", textwrap.dedent("\n".join(block)).strip("\n") + "\n"))
            block = []
        elif line.startswith("    ") and not (number and lines[number - 1].strip()):
            block, at = [line], number


def _split(block):
    """The block with its kind; or if it is none as a whole, its paragraphs: a figure may stand above code."""
    paragraphs = re.split(r"\n(?=\n)", block.text)
    if _kind(block.text) != "figure" or {_kind(text) for text in paragraphs} == {"figure"}:
        paragraphs = [block.text]
    for text in paragraphs:
        line = block.line + text.startswith("\n")
        yield dataclasses.replace(block, line=line, kind=_kind(text), text=text.lstrip("\n"))
        block.line += text.count("\n") + 1


def _kind(text):
    first = text.split()[0]
    if first in PROGRAMS or text.startswith("$ "):
        return "shell"
    if first == ">>>":
        return "session"
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return "figure"
    code = (ast.Call, ast.Import, ast.ImportFrom, ast.Assign, ast.FunctionDef, ast.ClassDef)
    return "python" if any(isinstance(node, code) for node in ast.walk(tree)) else "figure"


# ---- running ----


class Failed(AssertionError):
    pass


class Session:
    """A reader of one document, in tmp."""

    def __init__(self, tmp, file="README.md", cache=None):
        """cache: the directory of `vfu guest`, if it is wanted."""
        self.tmp, self.state, self._lasting = Path(tmp), [], {}
        self.top = self.tmp / "tree"
        self._make_tree()
        self.directory = self.top / ("python/examples" if file.startswith("python/examples/") else "")
        self.owner, self.said = None, ""
        for block in (block for page in pages_before(file) for block in find(page) if block.saved_as):
            self.save(block)
        names = ("LD_PRELOAD", "MAKEFLAGS", "MFLAGS", "MAKELEVEL", "COLUMNS")
        self.env = {name: value for name, value in os.environ.items() if name not in names}
        self.env.update(HOME=str(self.tmp / "home"), PATH=f"{self.tmp / 'bin'}:{os.environ['PATH']}", TERM="dumb")
        if cache:
            (self.tmp / "home" / "vfu-guest").symlink_to(cache)
            self.env.update(XDG_CACHE_HOME=str(self.tmp / "home"))

    def _make_tree(self):
        """The tree as links, so that nothing is written into it; and the build's commands as if installed."""
        for name in ("tree/build/doc", "home", "bin", "tmp"):
            (self.tmp / name).mkdir(parents=True)
        for path in TOP.iterdir():
            if path.name not in ("build", ".git"):
                (self.top / path.name).symlink_to(path)
        for name in "run", "libvfu":
            (self.top / "build" / name).symlink_to(BUILD / name)
        generated = BUILD / "doc/gen"
        (self.top / "build/doc/gen").symlink_to(generated if (generated / "vfio-user.json").exists() else TOP / "doc/gen")
        (self.top / "build" / "x.py").write_text("import vfu\n")
        (self.top / "build" / "test.sh").write_text("lspci -s $DEV0\n")
        self._make_command("vfu", f"{BUILD}/run vfu")
        self._make_command("python3", f"{BUILD}/run python3")
        # A program with a sanitized library has to be sanitized itself.
        sanitizers = re.findall(r"-fsanitize=\S+", (BUILD / "config.status").read_text())
        self._make_command("cc", " ".join([os.environ.get("CC") or str(shutil.which("cc")), *sorted(set(sanitizers))]))

    def _copy_build(self):
        """A copy of the build, as far from a tree of links. Another prefix than its own has the library linked
        anew, and other tests use the one that is there."""
        common = Path(os.path.commonpath([TOP, BUILD]))
        copy = self.tmp / "copy" / BUILD.relative_to(common)
        if not copy.exists():
            shutil.copytree(BUILD, copy, symlinks=True, ignore=shutil.ignore_patterns("tests"))
            for path in common.iterdir() if common == TOP else [TOP]:
                link = self.tmp / "copy" / path.relative_to(common)
                if not link.exists():
                    link.symlink_to(path)
        return copy

    def _make_command(self, name, command):
        path = self.tmp / "bin" / name
        path.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        path.chmod(0o755)

    def local(self, text):
        """The text with this session's places."""
        for name, value in PLACEHOLDERS.items():
            text = re.sub(rf"\b{name}\b", value, text)
        for unsolved, solved in SOLVED:
            text = re.sub(unsolved, solved, text)
        text = re.sub(r"(?<![\w/])/tmp/", f"{self.tmp}/tmp/", text)
        if re.match(r"make .*\binstall\b", text):
            text = re.sub(r"^make (-C build )?", f"make -C {self._copy_build()} ", text)
        return text

    def open(self, block):
        """A new section is read in a new window: in the tree, or where ./run is."""
        if block.owner != self.owner:
            in_build = "cd build" not in block.text and re.search(r"^\./run |(^| )\.\./", block.text, re.M)
            self.owner, self.state = block.owner, ["cd build"] * bool(in_build)

    def run(self, command, prints=None):
        """One line of a block. What goes on until it is stopped is used meanwhile, and stopped at the end."""
        command = self.local(command.removesuffix("&").strip())
        if re.match(r"(cd|export) ", command):
            self.state.append(command)
            command = "true"
        self._serve_what_is_named(command)
        for part in _parts(command):
            listens = _listens_on(part)
            if listens:
                self._start(part, listens)
            else:
                self._stop(*[path for path in self._lasting if path.name.startswith("traced") and str(path) not in part])
                self.said = said = self._finish(part, self._popen(part))
                if prints is not None and said.strip() != prints:
                    raise Failed(f"{part}: printed {said!r} instead of {prints!r}")

    def save(self, block):
        """Where ./run is."""
        name, goes_on = block.saved_as
        with open(self.top / "build" / name, "a" if goes_on else "w") as file:
            file.write("\n" * goes_on + block.text)

    def python(self, text):
        """A program, and what it prints."""
        text = self.local(text)
        self._serve_what_is_named(text)
        (self.tmp / "program.py").write_text(text)
        return self._finish("the program", self._popen(f"python3 {self.tmp}/program.py"))

    def tests(self, block, in_guest):
        """Tests of counter.py, or of MyDevice; those in a guest, or the others."""
        directory = self.tmp / f"tests-{block.line}"
        directory.mkdir()
        shutil.copy(TOP / "python" / "examples" / "counter.py", directory)
        (directory / "mydevice.py").write_text(MY_DEVICE)
        prelude = 'from mydevice import MyDevice\npytest_plugins = ["vfu.pytest_plugin"]\n'
        (directory / "test_it.py").write_text(("" if "import" in block.text else prelude) + block.text)
        names = [
            f"test_it.py::{name}" for name, fixtures in re.findall(r"^def (test_\w+)\((.*)\)", block.text, re.M)
            if ("vfu_guest" in fixtures) == in_guest
        ]
        if not names:  # all are for the other place
            return
        self.state = [f"cd {directory}"]
        said = self._finish("tests", self._popen(f"python3 -m pytest -q -p no:cacheprovider --basetemp=tmp {' '.join(names)}"))
        passed = re.search(r"^(\d+) passed in", said, re.M)  # none skipped
        if not passed or int(passed[1]) < len(names):
            raise Failed(said)

    def in_guest(self, command):
        """vfu guest on a terminal of its own, where the shell is left at once."""
        ours, theirs = pty.openpty()
        process = self._popen(self.local(command), stdin=theirs, stdout=theirs, stderr=theirs)
        os.close(theirs)
        said, left, deadline = b"", 0, time.monotonic() + SECONDS
        with contextlib.suppress(OSError):  # the other end is closed
            while time.monotonic() < deadline:
                if select.select([ours], [], [], 1.0)[0]:
                    said += os.read(ours, 4096)
                    if b"guest# " in said and not left:
                        left = os.write(ours, b"exit\n")
        os.close(ours)
        if self._end(process) != 0:
            raise Failed(f"{command}: exit status {process.returncode}\n{said.decode(errors='replace')}")

    def close(self):
        self._stop(*self._lasting)
        for path in (self.tmp / "tmp").glob("*.pid"):  # of what went into the background
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(path.read_text()), signal.SIGTERM)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _popen(self, command, **options):
        script = " && ".join([*self.state, f"{{ {command}\n}}"])
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, **options}
        return subprocess.Popen(
            ["sh", "-euc", script], cwd=self.directory, env=self.env, text=True, start_new_session=True, **options
        )

    def _end(self, process):
        """Its exit status; it is given some time."""
        try:
            return process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGTERM)  # which leaves nothing behind
        try:
            return process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return process.wait()

    def _finish(self, command, process, wanted=(0,)):
        try:
            said, _ = process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            raise Failed(f"{command}: does not end") from None
        if process.returncode not in wanted:
            raise Failed(f"{command}: exit status {process.returncode}\n{said}")
        return said

    def _serve_what_is_named(self, text):
        """The device that documents speak of, if they do not say how it is served."""
        for name, stem in re.findall(r"(/[^\s\"']+/tmp/(counter|dev|edu|thermometer)\.sock)", text):
            path, example = Path(name), "counter" if stem == "dev" else stem
            if path not in self._lasting and _listens_on(text) != path:
                self._start(f"vfu serve {TOP}/python/examples/{example}.py --socket-path={path}", path)

    def _start(self, command, listens):
        """In a window of its own, in place of what had the same socket."""
        self._stop(listens)
        if "--detach" in command:
            self._finish(command, self._popen(command))
            return
        self._lasting[listens] = command, self._popen(f"exec {command}")
        deadline = time.monotonic() + SECONDS
        while not listens.exists():
            process = self._lasting[listens][1]
            if process.poll() is not None or time.monotonic() > deadline:
                process.kill()
                said, _ = process.communicate()
                del self._lasting[listens]
                raise Failed(f"{command}: does not listen on {listens}\n{said}")
            time.sleep(0.01)
        if "--one-client" not in command:
            vfu.Client(listens).close()

    def _stop(self, *paths):
        """As Ctrl-C in their windows; what ends with its client gets one."""
        for path in reversed(paths):
            if path in self._lasting:
                command, process = self._lasting.pop(path)
                if "--one-client" in command:
                    with contextlib.suppress(vfu.Error):  # there was one
                        vfu.Client(path).close()
                elif process.poll() is None:
                    os.killpg(process.pid, signal.SIGINT)
                self._finish(command, process, wanted=(0, 130))


def needs_guest(block):
    """Whether it is run by check-qemu: commands line by line, others whole."""
    return re.search(r"\bvfu guest |\bvfu_guest\b|\bvfu\.guest\.run\(", block.text) is not None


def _parts(command):
    """What stands between semicolons that are the shell's."""
    words = shlex.shlex(command, posix=False, punctuation_chars=";")
    words.whitespace_split, words.commenters = True, ""
    parts = [[]]
    for word in words:
        if word == ";":
            parts.append([])
        else:
            parts[-1].append(word)
    return [" ".join(part) for part in parts if part]


def _listens_on(command):
    """The socket of a command that serves; else None."""
    found = re.search(r"\bvfu serve .*--socket-path=(\S+)|\bvfu trace (/\S+) /", command)
    return Path(found[1] or found[2]) if found else None
