# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""What documents and docstrings show is what works: each of their blocks is run, or is named here with the reason why not.

A new block of commands is run by blocks.py as it stands. One in Python is run by what it is: tests, a client, a piece of
a device or of a program; vfu, dev and MyDevice are there for it. What cannot be run here goes to EXEMPT.
"""

import ast
import contextlib
import doctest
import io
import re
import sys
import textwrap

import blocks
import pytest

import vfu
import vfu.testing
import vfu_protocol

sys.path.append(str(blocks.TOP / "python" / "examples"))  # for `from counter import Counter`
DOCUMENTS = [name for name in blocks.documents() if blocks.find(name)]

# (file, beginning of a command or of another block's first line, who sees to it instead[, a command in its place])
EXEMPT = [
    # What installs packages, builds or boots.
    ("", "./quickstart ", "stages test and bare of .ci/run"),
    ("HACKING.md", "autoreconf -fi && ", "stage test of .ci/run", "cd build"),
    ("", "vfu guest ", "make check-qemu: tests/qemu/command.py"),
    ("", "./run vfu guest ", "make check-qemu: tests/qemu/command.py"),
    ("codegen/README.md", "lua codegen/main.lua ", "each GEN line of make; a tarball may be built without Lua"),
    ("python/vfu/guest/__init__.py", "import vfu.guest", "make check-qemu: tests/qemu/command.py"),
    ("doc/howto/add-a-message.md", "make", "needs Lua and a build of its own: tests/drill does so"),
    ("doc/howto/test-with-pytest.md", "./run python3 -m pytest ", "run_tests, each in its place; it is tests of a guest, too"),
    # What needs other programs than a build does.
    ("doc/reference/json.md", "const fs = ", "test_explorer.py, in a browser"),
    ("doc/howto/wireshark.md", "wireshark ", "it has windows; test_dissector.py has tshark read such files"),
    ("doc/howto/wireshark.md", "vfu trace /tmp/traced.sock /tmp/dev.sock -w - | wireshark ", "windows, too"),
    ("doc/howto/wireshark.md", "vfio_user.region_write.region == 7 ", "test_dissector.py: test_filters_of_the_page"),
    ("python/examples/drivers/edu.py", "qemu-system-x86_64 ", "a QEMU that is built so; distributions' are not"),
    # Fragments that stand for something else.
    ("doc/examples/client.c", "client SOCKET", "doc/examples/run-examples.sh"),
    ("doc/examples/simulator.c", "simulator SOCKET", "doc/examples/run-examples.sh"),
    ("doc/examples/device.c", "device SOCKET", "doc/examples/run-examples.sh"),
    ("spec/README.md", 'link "sparse_mmap_fds" ', "what it lacks is …; tests/codegen/ok has the like, golden.lua runs it"),
    ("spec/README.md", "-- protocol.lua, in limits ", "tests/drill/feature.patch adds such a message, check-drill runs it"),
    ("codegen/README.md", 'u64 "size" ', "tests/codegen/outputs.lua compares what is quoted"),
    ("codegen/README.md", "{ kind = ", "a node, printed by nobody"),
    ("codegen/README.md", "broken = E.eq(", "a rule of codegen/rules.lua, shortened"),
    ("codegen/README.md", "/* spec/dma.lua:33", "tests/codegen/outputs.lua"),
    ("codegen/README.md", "# spec/dma.lua:33", "tests/codegen/outputs.lua"),
    ("codegen/README.md", "rule dma_map.request", "tests/codegen/outputs.lua"),
    ("codegen/README.md", "#. ``size`` is", "tests/codegen/outputs.lua"),
    ("codegen/README.md", '("spec/dma.lua:33', "tests/codegen/outputs.lua"),
    ("doc/course/lesson-8-spec.md", "lua5.4 ", "test_course.py runs the same generators; a tarball may be built without Lua"),
    ("doc/course/lesson-8-spec.md", "diff ", "it says that nothing has changed, for nobody has"),
    ("doc/course/lesson-8-spec.md", "./run python3 ../doc/course/8-spec/check.py", "test_course.py"),
    # Drawings.
    ("codegen/README.md", "spec/*.lua --load--> ", "a drawing"),
    ("libvfu/server/README.md", "state <- handlers ", "a drawing"),
    ("HACKING.md", "   ", "a drawing"),
]

# Docstrings may have drawings and tables without a word here, as long as no line begins as a command or code does.
COMMAND = re.compile(r"^(\$ |\./run |vfu [a-z]|python3 |make |import |from \w+ import |>>>)(?!.*-->)", re.M)

def exemption(block, line):
    """The entry of EXEMPT for a command or a first line."""
    return next((entry for entry in EXEMPT if entry[0] in ("", block.file) and line.startswith(entry[1])), None)


# ---- how each kind is run: functions of (block, session, what the document has shown) ----


def run_shell(block, session, shown):
    session.open(block)
    for command in block.commands:
        found = exemption(block, command)
        if not found:
            session.run(command, block.prints.get(command))
        elif len(found) > 3:
            session.run(found[3])


def run_file(block, session, shown):
    session.save(block)


def run_output(block, session, shown):
    assert session.said == block.text


def run_tests(block, session, shown):
    session.tests(block, in_guest=False)


def run_client(block, session, shown):
    said = session.python(block.text)
    for wanted in re.findall(r"print\(.*\)  # (.*)$", block.text, re.M):
        assert wanted in said.splitlines(), said


def run_c(block, session, shown):
    """It is compiled. What is around a function's body is here, and what ... stands for."""
    text = re.sub(r"^(\s*)\.\.\.", r"\1;", block.text, flags=re.M)
    functions, _, body = text.rpartition("\n}\n")
    end = "}" if functions else ""
    (session.tmp / "block.c").write_text(f"{C_PRELUDE}{functions}{end}\n{C_BODY}{body}return value;\n}}\n")
    session.state = [f"cd {session.tmp}"]
    # Who calls its functions is on the page, or not shown.
    session.run(f"cc -I{blocks.TOP}/libvfu -Wall -Werror -Wno-unused-function -fsyntax-only block.c")


C_PRELUDE = """
#include <sys/mman.h>
#include <vfu.h>
enum { VFU_WIRE_CMD_GET_THING = 4242 };
struct vfu_wire_get_thing_request { uint32_t argsz, index; };
struct vfu_wire_get_thing_reply { uint32_t argsz, index; };
"""
C_BODY = """
uint32_t body(struct vfu_device *dev, struct vfu_region_info info, size_t size)
{
struct vfu_watch *watch = NULL;
void *addr = NULL;
uint32_t value = 0;
(void)dev, (void)info, (void)size, (void)watch, (void)addr;
"""


def run_excerpt(block, session, shown):
    """What stands in an example in C as it is."""
    assert any(block.text in path.read_text() for path in (blocks.TOP / "doc" / "examples").glob("*.c"))


def run_fragment(block, session, shown):
    """A piece of a program, or of a class; all names of the document are there."""
    names = {"vfu": vfu}
    exec(blocks.MY_DEVICE, names)
    with vfu.testing.plug(names["MyDevice"]()) as dev:
        names.update(dev=dev, **shown)
        text = block.text
        if "(self" in text and "class " not in text:
            text = "class Fragment(vfu.Device):\n    bar0 = vfu.Bar(4096)\n" + textwrap.indent(text, "    ")
        exec(compile(text, block.where, "exec"), names)
    for device in new_devices(names, block.text):
        with vfu.testing.plug(device()):
            pass
    shown.update({name: value for name, value in names.items() if isinstance(value, type)})


def new_devices(names, text):
    defined = [names[name] for name in re.findall(r"^class (\w+)", text, re.M)] + [names.get("Fragment")]
    return [thing for thing in defined if thing and issubclass(thing, vfu.Device)]


def look_at(block, session, shown):
    """What is to be read only. Bytes of messages: test_course.py."""
    assert not COMMAND.search(block.text), "its fence says text, but one line is a command or code"


def run_session(block, session, shown):
    """What a prompt shows; of a generated module's, its own names are there."""
    names = vars(vfu_protocol) if block.file.startswith("python/gen/") else {"vfu": vfu}
    with vfu.testing.plug(vfu.Device()) as dev:
        test = doctest.DocTestParser().get_doctest(block.text, {**names, "dev": dev}, block.where, block.file, block.line)
        said = []
        doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=said.append)
    assert not said, "".join(said)


def run_device_of_the_example(block, session, shown):
    example = (blocks.TOP / "python" / "examples" / "counter.py").read_text()
    assert example.endswith('"""\n\n' + block.text)
    run_fragment(block, session, shown)


def run_messages(block, session, shown):
    """A device, and a client's calls."""
    names, printed = {}, io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(block.text, names)
    assert printed.getvalue() == "4 b'hello'\n"
    assert names["device"].logged == [(0x8000_0000, 4096)]


SPECIAL = {
    ("doc/howto/write-a-device.md", "A device"): run_device_of_the_example,
    ("doc/howto/messages.md", "A message of your own"): run_messages,
}


def how(block):
    """The function that runs it; None: nothing does."""
    if block.saved_as:
        return run_file
    if block.file == "doc/howto/write-a-device-in-c.md" and block.kind == "c":
        return run_excerpt
    if (block.file, block.owner) in SPECIAL and block.kind == "python":
        return SPECIAL[block.file, block.owner]
    if block.kind == "python":
        if re.search(r"^def test_", block.text, re.M):
            return run_tests
        connects = "vfu.Client(" in block.text or "vfu.aio.connect(" in block.text
        return run_client if connects and "class " not in block.text else run_fragment
    return {
        "shell": run_shell, "sh": run_shell, "session": run_session, "c": run_c, "text": look_at, "output": run_output,
    }.get(block.kind)


def run_block(block, session, shown):
    run = how(block)
    if block.kind != "shell" and exemption(block, block.text):
        return
    if run:
        run(block, session, shown)
        return
    assert not block.file.endswith(".md"), "neither commands nor Python: is run by nobody, and not in EXEMPT"
    assert not COMMAND.search(block.text), "taken for a drawing, but one line is a command or code"


# ---- the tests ----


@pytest.mark.parametrize("name", DOCUMENTS)
def test_blocks(name, tmp_path):
    shown = {}
    with blocks.Session(tmp_path, name) as session:
        for block in blocks.find(name):
            try:
                run_block(block, session, shown)
            except Exception as error:
                raise AssertionError(f"{block.where}: {error}\n{block.text}") from error


def members(text):
    """{name: code} of what the module and its last class define, without docstrings; of two the later."""
    tree = ast.parse(text)
    found = {}
    for node in [*tree.body, *tree.body[-1].body]:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            found[node.name] = [ast.unparse(ast.Module([part], [])) for part in node.decorator_list + without_docstring(node)]
        elif isinstance(node, (ast.Assign, ast.Import, ast.ImportFrom)):
            found[ast.unparse(node).split(" =")[0]] = ast.unparse(node)
    return found


def without_docstring(node):
    return node.body[ast.get_docstring(node) is not None :]


def test_tutorial_makes_the_example(tmp_path):
    with blocks.Session(tmp_path, "doc/tutorial/thermometer-6.md") as session:
        made = (session.top / "build" / "thermometer.py").read_text()
    example = (blocks.TOP / "python" / "examples" / "thermometer.py").read_text()
    assert members(made) == members(example)


def test_exemptions_are_needed():
    """Each is of a block that is there still."""
    lines = {(block.file, line) for name in DOCUMENTS for block in blocks.find(name) for line in [*block.commands, block.text]}
    unused = [entry for entry in EXEMPT if not any(entry[0] in ("", file) and line.startswith(entry[1]) for file, line in lines)]
    assert unused == []


@pytest.mark.parametrize("text, complaint", [
    ("    vfu explain no_such_message\n", "exit status 1"),
    ("    vfu serve no-such-file.py --socket-path=/tmp/x\n", "does not listen"),
    ("```python\ndev.regions.no_such_region\n```\n", "no_such_region"),
    ("```python\ndef test_it(vfu_plug):\n    assert False\n```\n", "1 failed"),
    ("```\nno-such-program\n```\n", "run by nobody"),
    ("    a picture --> of something\n", "run by nobody"),
    ("    python3 -c 'print(1)'      # prints: 2\n", "instead of '2'"),
    ("```output\nwhat no command printed\n```\n", "no command"),
    ("```text\n./run vfu info SOCKET\n```\n", "its fence says text"),
])
def test_what_does_not_work_fails(text, complaint, tmp_path, monkeypatch):
    (tmp_path / "new.md").write_text("# Title\n\n" + text)
    monkeypatch.setattr(blocks, "TOP", tmp_path)
    (block,) = blocks.find("new.md")
    monkeypatch.undo()
    with blocks.Session(tmp_path) as session, pytest.raises((AssertionError, AttributeError), match=complaint):
        run_block(block, session, {})


def test_drawing_that_hides_a_command():
    block = blocks.Block("python/vfu/new.py", 1, "module", "figure", "what --> is done:\nvfu info SOCKET\n")
    with pytest.raises(AssertionError, match="taken for a drawing"):
        run_block(block, None, {})
