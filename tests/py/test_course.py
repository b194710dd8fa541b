# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""The course: solutions are right, gaps are told as gaps, typical mistakes get the sentence that names the field; and
the bytes that its pages show are messages that break no rule.
"""

import ast
import importlib.util
import re
import shutil
import sys
from pathlib import Path

import blocks
import pytest

from vfu import protocol
from vfu.decode import Decoder, split

COURSE = blocks.TOP / "doc" / "course"
sys.path.append(str(COURSE))
import judge  # noqa: E402
import lua  # noqa: E402

judge.SECONDS = 60.0  # a student is told sooner
LESSONS = sorted(path.parent.name for path in COURSE.glob("*/exercise.py"))

# lesson, what the solution has, what a student may have instead, the exercise that is then wrong, what the sentence says
MISTAKES = [
    ("1-bytes", '"=HHIII", id', '">HHIII", id', 1, "the field id .* byte order of the host"),
    ("1-bytes", "pack(\"=HHIII\", id, command", "pack(\"=HHIII\", command, id", 1, r"the field id \(offset 0, 2 bytes\) is 4,"),
    ("1-bytes", "16 + len(payload)", "len(payload)", 4, "header of GET_INFO: the field size .* is 16 .* has to be 32 .*: 16, and the payload of 16 bytes"),
    ("1-bytes", "header.size - 16)", "header.size)", 3, "reads 16 bytes too many: they are of the next message"),
    ("1-bytes", "header.size - 16)", "header.size)", 4, "ConnectionError: .* waits for more bytes than come"),
    ("1-bytes", "while len(data) < count:\n        more = sock.recv(count - len(data))\n        if not more:",
     "if count:\n        more = sock.recv(count)\n        if len(more) < count:", 3, r"mine.py:\d+ with ConnectionError: the stream has ended$"),
    ("1-bytes", "sock.recv(count - len(data))", "sock.recv(count)", 3, "struct.error: unpack requires a buffer of 16 bytes"),
    ("1-bytes", "sock.recv(count - len(data))", "sock.recv(count)[: count - len(data)]", 3, "recv_message.. fails|the payload .* in pieces is|bytes too many"),
    ("1-bytes", "sock, header.size - 16)", "sock, (header.size - 16) // 2)", 3, "has not read the last 8 bytes of its message"),
    ("1-bytes", "header.error or errno.EIO", "header.error", 4, r"the errno 0; the right one is 5 \(EIO\)"),
    ("2-version", ' + b"\\0"', "", 1, "the field data ends with .* has to end with a NUL"),
    ("2-version", '"=HH", major, minor)', '"=HH", minor, major)', 1, "major is 258, and has to be 3"),
    ("2-version", '"fds": theirs[', '"fds": mine[', 3, "fds is 8, and has to be 4: what its receiver can take"),
    ("2-version", "min(minor, own_minor)", "own_minor", 4, "minor .* is 2, and has to be 1: the smaller of both"),
    ("3-regions", 'argsz, 0, index, 0, 0, 0)', 'argsz, index, 0, 0, 0, 0)', 1, r"field flags \(offset 4, 4 bytes\) is 7, and has to be 0"),
    ("3-regions", "if needed <= argsz:", "if True:", 1, "has not sent GET_REGION_INFO of region 0, asked again"),
    ("3-regions", "at + 16 + 16 * i", "at + 12 + 16 * i", 2, "mappable.. of one SPARSE_MMAP with two areas is "),
    ("3-regions", "(id, version) == (SPARSE_MMAP, 1)", "id == SPARSE_MMAP", 2, "a SPARSE_MMAP of version 2, which is skipped"),
    ("3-regions", ", part))[16:]", ", part))", 3, "behind 16 bytes of payload"),
    ("3-regions", "flags=NO_REPLY", "flags=0", 4, "header of posted REGION_WRITE: the field flags .* is 0, and has to be 16"),
    ("4-interrupts", "return count, flags", "return flags, count", 1, "returns is \\(7, 1\\), and has to be \\(1, 7\\)"),
    ("4-interrupts", "start + at", "start", 2, "vectors from 3 on: the field start .* is 1, and has to be 3"),
    ("4-interrupts", ", fds=some)", ")", 2, "comes with 0 file descriptors, and has to come with 2"),
    ("4-interrupts", "index, 0, 0))", "index, 0, 1))", 3, "SET_IRQS that disables: the field count .* is 1, and has to be 0"),
    ("4-interrupts", "DATA_NONE | ACTION_UNMASK", "DATA_NONE | ACTION_TRIGGER", 4, "unmasks: the field flags .* is 33 .* has to be 17"),
    ("5-dma", "command | BUS_MASTER", "BUS_MASTER", 1, r"REGION_WRITE of the register that was 0x0002 .* only bit 2 .* comes b'.x04.x00', and has to come b'.x06.x00'"),
    ("5-dma", "command | BUS_MASTER", "command ^ BUS_MASTER", 1, r"the register that was 0x0006 .* comes b'.x02.x00', and has to come b'.x06.x00'"),
    ("5-dma", "ask(sock, REGION_WRITE,", "send_message(sock, 5, REGION_WRITE,", 1, "has not read the reply to REGION_WRITE, which is in the socket still"),
    ("5-dma", "ask(sock, DMA_MAP,", "send_message(sock, 5, DMA_MAP,", 2, "has not read the reply to DMA_MAP"),
    ("5-dma", "[] if file is None else [file]", "[file] if file else []", 2, "with a file comes with 0 file descriptors"),
    ("5-dma", "0, address, size)", "address, 0, size)", 2, r"the field offset \(offset 8, 8 bytes\) is .*80001000\), and has to be 0"),
    ("5-dma", "READABLE | WRITEABLE, 0", "READABLE, 0", 2, r"the field flags \(offset 4, 4 bytes\) is 1, and has to be 3"),
    ("5-dma", "[] if file is None else [file]", "[]", 2, "with a file comes with 0 file descriptors, and has to come with 1"),
    ("5-dma", 'reply = struct.pack("=QQ"', 'reply = struct.pack("=QI"', 3, "header of DMA_WRITE reply .*: the field size .* is 28 .* 32"),
    ("5-dma", 'count = struct.unpack_from("=QQ"', 'count = struct.unpack_from("=QI"', 3, "DMA_READ of 4294967300 .* is not wholly in memory|DMA_WRITE reply"),
    ("5-dma", "at + count <=", "at <=", 3, r"^DMA_WRITE of 4 bytes at 0x80002ffd is not wholly .*: an error is due, 14 .EFAULT., and success comes"),
    ("5-dma", "    reply = struct", "    at = address & 0xfff\n    reply = struct", 3, "the memory where 4 bytes were written is .*, and has to be b'last'"),
    ("5-dma", "    reply = struct", "    at = address & 0x1fff\n    reply = struct", 3, "the memory, once DMA_WRITE is answered is "),
    ("5-dma", "<= len(memory)", "< len(memory)", 3, r"^DMA_WRITE reply .to DMA_WRITE of 4 bytes at 0x80002ffc; .* is an error, 14 .EFAULT., and success is due"),
    ("5-dma", "reply, flags=REPLY)", "reply, flags=REPLY)\n    answer(sock, memory, base)", 3, r"; answer.. does one command; yours reads another"),
    ("5-dma", "reply, flags=REPLY)", "reply)", 3, "header of DMA_WRITE reply .*: the field flags .* is 0, and has to be 1"),
    ("5-dma", '"=IIQQ", 24', '"=IIQQ", 40', 4, "DMA_UNMAP: the field argsz .* is 40 .* has to be 24"),
    ("5-dma", '"=IIQQ", 24, 0', '"=IIQQ", 24, 3', 4, "DMA_UNMAP: the field flags .* has to be 0: no flag is wanted"),
    ("5-dma", "if ask(sock, DMA_UNMAP, request)[8:] != request[8:]:", "if send_message(sock, 5, DMA_UNMAP, request):", 4, "has not read the reply to DMA_UNMAP"),
    ("6-both-ways", "if not header.flags & REPLY:", "if header.id == id:\n            return data\n        if not header.flags & REPLY:", 1, "has not sent DMA_WRITE reply"),
    ("6-both-ways", "flags=REPLY | ERROR, error=error.errno", "flags=REPLY", 1, "the field flags .* is 1, and has to be 33"),
    ("6-both-ways", "(header.id, header.command) == (id, command)", "True", 1, "returns, and has not read the reply to RE"),
    ("6-both-ways", "(header.id, header.command) == (id, command)", "header.id == id", 1, "returns, and has not read the reply to RESET"),
    ("6-both-ways", "OSError(header.error or errno.EIO,", "OSError(header.error,", 1, "an error reply whose error is 0, with the errno 0; the right one is 5 .EIO."),
    ("6-both-ways", "for id, (command, payload) in enumerate(commands):", "for id, (command, payload) in zip([1] * 9, commands):", 2, "two of one id"),
    ("6-both-ways", 'self.states[id] = "late"', "del self.states[id]", 3, "was given up, but its reply may still come"),
    ("6-both-ways", "class Ids", "class Names", 3, "has no function Ids"),
    ("6-both-ways", "0 <= index < len(files)", "index < len(files)", 4, "-1} with 1 descriptors, and returns .* it has to raise ConnectionError"),
    ("7-hostile", "HEADER.size <= header.size <=", "0 < header.size <=", 1, "takes a size of 15, where .* has to raise ConnectionError"),
    ("7-hostile", "HEADER.size + most:", "HEADER.size + 2 * most:", 1, "takes a size of 1017"),
    ("7-hostile", "    close(files)\n    if not", "    if not", 2, "leaves 3 descriptors open that came with a right reply"),
    ("7-hostile", "len(payload) != 16 + count or ", "", 2, "takes a reply whose count is 4, with 2 bytes"),
    ("7-hostile", "HEADER.size + most:", "HEADER.size + most - 1:", 2, r"fails at mine.py:\d+ with ConnectionError: no message has 36 bytes$"),
    ("7-hostile", "OSError(header.error or errno.EIO,", "OSError(header.error,", 2, r"an error whose errno is 0, with the errno 0; the right one is 5 .EIO."),
    ("7-hostile", "not header.flags & REPLY or", "not header.flags & REPLY or not header.flags & ERROR and", 2, "for an error reply with another id, and raises OSError"),
    ("7-hostile", "(header.id, header.command) != (id, REGION_READ)", "header.id != id", 2, "for an error reply to REGION_WRITE.*, and raises OSError|takes a reply to REGION_WRITE"),
    ("7-hostile", "recv_checked(sock, 16 + count)", "recv_checked(sock, 4096)", 2, "for an error reply whose payload is longer .*, and raises OSError"),
    ("7-hostile", "found = areas(", "return areas(", 3, "takes a good SPARSE_MMAP whose next lies beyond the payload"),
    ("7-hostile", "(id, version) == (1, 1)", "id == 1", 3, "^a SPARSE_MMAP of version 2 .unknown. is right: mappable.. fails"),
    ("7-hostile", "following < at + 8", "following <= at", 3, "whose next lies in its own head"),
    ("7-hostile", "if not flags & 0x08:", "if not flags & 0x08 or not at:", 3, "takes a cap_offset of 0, with the flag CAPS"),
    ("7-hostile", "if at + 8 > len(payload):", "if at + 8 > 4100:", 3, r"raises struct.error at mine.py:\d+"),
    ("7-hostile", "if at < 32:", "if at < 16:", 3, "takes a cap_offset of 16, which is in the fields"),
    ("7-hostile", "offset + length > size", "(offset + length) % 2**64 > size", 3, "an area whose end is beyond 64 bits"),
    ("7-hostile.c", "count <= size && offset <= size - count", "offset + count <= size", 4, "access_ok.0xf+, 1, 0x1000. returns 1, and has to return 0"),
    ("7-hostile.c", "size - 1 <= UINT64_MAX - address", "size <= UINT64_MAX - address", 4, "range_ok.0xf+000, 0x1000. returns 0, and has to return 1"),
]


def load(path):
    """A module whose name is none."""
    spec = importlib.util.spec_from_file_location(f"{path.parent.name}_{path.stem}".replace("-", "_"), path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def check_of(lesson):
    """The functions of the lesson's exercises."""
    return load(COURSE / lesson / "check.py").EXERCISES


@pytest.fixture(autouse=True)
def path_as_it_was(monkeypatch):
    """Exercises add to it."""
    monkeypatch.setattr(sys, "path", list(sys.path))


@pytest.mark.parametrize("lesson", LESSONS)
def test_solution(lesson):
    results = judge.examine(COURSE / "solutions" / f"{lesson}.py", check_of(lesson))
    assert [sentence for _, sentence in results] == [None] * len(results)


@pytest.mark.parametrize("lesson", LESSONS)
def test_gaps(lesson):
    exercises = check_of(lesson)
    assert 2 <= len(exercises) <= 4
    for number, (title, sentence) in enumerate(judge.examine(COURSE / lesson / "exercise.py", exercises), 1):
        assert title.startswith(f"exercise {number}: ")
        assert sentence and re.match(rf"exercise {number} is not solved yet: the gap is at exercise\.\w+:\d+$", sentence)


@pytest.mark.parametrize("lesson", LESSONS)
def test_no_answer(lesson, tmp_path):
    """Functions that return nothing: sentences, too."""
    text = (COURSE / lesson / "exercise.py").read_text()
    (tmp_path / "mine.py").write_text(re.sub(r"raise NotImplementedError\(.*\)", "return None", text))
    for path in (COURSE / "solutions").glob(f"{lesson}.c"):
        (tmp_path / "mine.c").write_text(path.read_text().replace("return ", "return 5; //"))
    for title, sentence in judge.examine(tmp_path / "mine.py", check_of(lesson)):
        assert sentence and "not solved" not in sentence, title


@pytest.mark.parametrize("lesson, right, wrong, number, says", MISTAKES)
def test_mistake(lesson, right, wrong, number, says, tmp_path):
    lesson, _, suffix = lesson.partition(".")
    for path in (COURSE / "solutions").glob(f"{lesson}.*"):
        solution = path.read_text()
        if path.suffix == "." + (suffix or "py"):
            assert right in solution
            solution = solution.replace(right, wrong, 1)
        (tmp_path / ("mine" + path.suffix)).write_text(solution)
    ((_, sentence),) = judge.examine(tmp_path / "mine.py", [check_of(lesson)[number - 1]])
    assert sentence and re.search(says, sentence), sentence


@pytest.mark.parametrize("lesson", LESSONS)
def test_exercise_is_the_solution_with_gaps(lesson):
    exercise, solution = (
        {ast.unparse(node) for node in ast.parse(path.read_text()).body}
        for path in (COURSE / lesson / "exercise.py", COURSE / "solutions" / f"{lesson}.py"))
    assert all("NotImplementedError" in text for text in exercise - solution), exercise - solution


def bytes_shown(page):
    """What each block of bytes in a page holds; words stand behind them."""
    for block in blocks.find(str(page.relative_to(blocks.TOP))):
        if block.kind == "text" and re.match(r"[0-9a-f]{2} ", block.text):
            shown = [re.match(r"((?:[0-9a-f]{2}(?: |$))*)", line)[1] for line in block.text.splitlines()]
            yield block, bytes.fromhex(" ".join(shown))


@pytest.mark.parametrize("page", sorted(COURSE.glob("lesson-*.md")), ids=lambda page: page.stem)
@pytest.mark.skipif(sys.byteorder == "big", reason="the pages show a little-endian machine")
def test_bytes_of_pages(page):
    """With VERSION, as if both had agreed; a reply is matched with the request before it."""
    decoder = Decoder({})
    for block, data in bytes_shown(page):
        for one in split(data, "<"):
            sender = int((one[2] in (11, 12)) != (one[8] & 1))
            said = decoder.message(one, sender=sender, nfds=0, length=int.from_bytes(one[4:8], "little"))
            assert said.is_whole and not said.fault, f"{block.where}: {said.fault}"


# ---- lesson 8 has no exercise.py, but a copy of spec/ ----

needs_lua = pytest.mark.skipif(lua.interpreter() is None, reason="no Lua 5.4: lesson 8 changes the spec")


@pytest.fixture(scope="module")
def solved(tmp_path_factory):
    """A copy that has been solved."""
    spec = tmp_path_factory.mktemp("solved") / "spec"
    shutil.copytree(blocks.TOP / "spec", spec)
    for path in spec.iterdir():  # a tarball's may be read-only
        path.chmod(0o644)
    load(COURSE / "solutions" / "8-spec.py").main(spec)
    return spec


@needs_lua
def test_spec_solved(solved):
    check = load(COURSE / "8-spec" / "check.py")
    assert [sentence for _, sentence in judge.examine(solved, check.EXERCISES, check.OF)] == [None] * 3


@needs_lua
def test_spec_as_it_is():
    check = load(COURSE / "8-spec" / "check.py")
    for number, (title, sentence) in enumerate(judge.examine(blocks.TOP / "spec", check.EXERCISES, check.OF), 1):
        assert title.startswith(f"exercise {number}: ")
        assert sentence.startswith(f"exercise {number} is not solved yet: ")


@needs_lua
@pytest.mark.parametrize("file, right, wrong, number, says", [
    ("dma.lua", "cold\" { 4", "cold\" { 5", 1, "the bit of the flag cold is 5, and has to be 4"),
    ("device.lua", "u64 \"nano", "u32 \"nano", 2, r"nanoseconds in the reply of get_uptime is \(8, 4\), and has to be \(8, 8\)"),
    ("dma.lua", "4, since = \"draft\", status = \"experimental\"", "4", 3, "a peer sees 'flags dma_map.cold 0x10, since 0.0': what is only an idea"),
    ("device.lua", "id = 300,", "id = 300, basic = true,", 2, "the key basic of get_uptime is True, and has to be False: servers"),
    ("device.lua", "known_value = true, doc = \"since", "doc = \"since", 2, "a request whose clock is 2 is taken"),
    ("device.lua", 'enum = "clock", known', 'enum = "clok", known', 2, r"the spec is refused: .*device.lua:\d+: .*clok"),
    ("wire.lock", "enum command.get_uptime 300", "enum command.get_uptime 301", 3, "lacks the line 'enum command.get_uptime 300"),
])
def test_spec_mistake(solved, file, right, wrong, number, says, tmp_path):
    shutil.copytree(solved, tmp_path / "spec")
    text = (solved / file).read_text()
    assert right in text
    (tmp_path / "spec" / file).write_text(text.replace(right, wrong, 1))
    check = load(COURSE / "8-spec" / "check.py")
    ((_, sentence),) = judge.examine(tmp_path / "spec", [check.EXERCISES[number - 1]], check.OF)
    assert sentence and re.search(says, sentence), sentence


def test_the_judge_has_its_header_from_the_model():
    """Its size and its flags stand there by no number."""
    numbers = {node.value for node in ast.walk(ast.parse(Path(judge.__file__).read_text())) if isinstance(node, ast.Constant)}
    assert not numbers & {protocol.Header.SIZE, judge.NO_REPLY, judge.ERROR}


def test_every_lesson_is_there():
    lessons = [*LESSONS, "8-spec"]
    assert [page.stem.removeprefix("lesson-") for page in sorted(COURSE.glob("lesson-*.md"))] == lessons
    assert {path.stem for path in (COURSE / "solutions").glob("*.py")} == set(lessons)
    assert Path(judge.__file__).parent == COURSE
