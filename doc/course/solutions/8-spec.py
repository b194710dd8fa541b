# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Lesson 8: changing the spec. Does it in a copy of spec/.   ./run python3 ../doc/course/solutions/8-spec.py /tmp/my-spec"""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))

from lua import generate  # noqa: E402

# file, the line in front of which or behind which it goes, the new lines
CHANGES = [
    # Exercise 1: a flag of DMA_MAP, and its rule.
    ("dma.lua", "behind", '	bit "file_io" ', """\
	bit "cold" { 4, since = "draft", status = "experimental", doc = "seldom touched, and never written" },
"""),
    ("dma.lua", "behind", "		needs_fd { when = any { field.flags.mmap, ", """\
		at_most_one { "flags", { "cold", "writeable" } },
"""),
    # Exercise 2: a command.
    ("device.lua", "before", 'message "get_info" {', """\
enum "clock" {
	since = "draft", doc = "what is measured",
	value "running" { 0, doc = "since the device was made" },
	value "reset" { 1, doc = "since it was last reset" },
}

message "get_uptime" {
	id = 300, from = "client", since = "draft", status = "experimental",
	doc = [[Asks how long the device has been there.]],
	request = {
		argsz { doc = "largest reply payload the client takes" },
		u32 "clock" { enum = "clock", known_value = true, doc = "since when" },
	},
	reply = {
		argsz { doc = "size of the full reply payload" },
		u32 "clock" { enum = "clock", equals = request.clock, doc = "as in the request" },
		u64 "nanoseconds" { doc = "how long" },
	},
	errors = { EINVAL = "a rule above is broken" },
}

"""),
]


def main(spec):
    for name, where, line, new in CHANGES:
        lines = (spec / name).read_text().splitlines(keepends=True)
        at = next(i for i, text in enumerate(lines) if text.startswith(line))
        lines.insert(at + (where == "behind"), new)
        (spec / name).write_text("".join(lines))
    # Exercise 3: what a peer will see.
    (spec / "wire.lock").write_text(generate("lock", spec))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
