-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- The table of contents: every output, made by gen/NAME.lua, the file it becomes, and what that is. What is made from
-- recordings needs a spec that has their messages.

local M = {
	{ name = "wire_h", file = "libvfu/gen/wire.h", doc = "structures and numbers: wire-FILE.h, one for each file of spec/" },
	{ name = "parts_h", file = "libvfu/gen/parts.h", doc = "what follows the fields, read and built: parts-FILE.h likewise" },
	{ name = "checks_h", file = "libvfu/gen/checks.h", doc = "the interface of the checks" },
	{ name = "wire_c", file = "libvfu/gen/wire.c", doc = "assertions of layout, the checks, the table of messages" },
	{ name = "policy_h", file = "libvfu/gen/policy.h", doc = "a field for each erratum that leaves a choice" },
	{ name = "policy_c", file = "libvfu/gen/policy.c", doc = "profiles, and policies by name" },
	{ name = "caps_h", file = "libvfu/gen/caps.h", doc = "the capabilities of VERSION" },
	{ name = "caps_c", file = "libvfu/gen/caps.c", doc = "their table" },
	{ name = "desc_h", file = "libvfu/gen/desc.h", doc = "names of messages and fields, for traces and errors" },
	{ name = "desc_c", file = "libvfu/gen/desc.c", doc = "their tables" },
	{ name = "calls_h", file = "libvfu/gen/vfu-calls.h", doc = "a client call and a server slot for each message" },
	{ name = "calls_c", file = "libvfu/gen/vfu-calls.c", doc = "the functions behind them" },
	{ name = "python", file = "python/gen/vfu_protocol.py", doc = "numbers and layouts in Python: checked, parsed, built" },
	{ name = "python_pyi", file = "python/gen/vfu_protocol.pyi", doc = "its types" },
	{ name = "protocol_rst", file = "doc/gen/protocol.rst", doc = "the reference" },
	{ name = "entries_html", file = "doc/gen/entries.html", doc = "the explorer's places, with links to the reference" },
	{ name = "errata_rst", file = "doc/gen/errata.rst", doc = "what is wrong, silent or not followed, and who does what" },
	{ name = "boxes_svg", file = "doc/gen/boxes.tar", doc = "its layouts as pictures, a file each", binary = true },
	{ name = "sequences_svg", file = "doc/gen/sequences.tar", doc = "what happens when, drawn from recorded traffic, likewise", binary = true, recorded = true },
	{ name = "vfio_user_7", file = "doc/gen/vfio-user.7", doc = "its manual page: fields, errors, numbers" },
	{ name = "speed_svg", file = "doc/gen/speed.svg", doc = "what operations cost, drawn from a recorded make bench", recorded = true },
	{ name = "model_json", file = "doc/gen/vfio-user.json", doc = "the model, for generators in other languages" },
	{ name = "dissector", file = "doc/gen/vfio-user.lua", doc = "the dissector for Wireshark" },
	{ name = "tests_c", file = "tests/gen/check-wire.c", doc = "the cases of the boundary tests in C" },
	{ name = "tests_parts", file = "tests/gen/check-parts.c", doc = "copies of payloads, to test parts.h" },
	{ name = "tests_py", file = "tests/gen/vectors.py", doc = "the cases of the boundary tests in Python" },
	{ name = "corpus", file = "tests/gen/corpus.tar", doc = "what a fuzzer of the checks begins with", binary = true },
	{ name = "lock", file = "spec/wire.lock", doc = "what a peer sees, a line each; committed" },
	{ name = "keys_md", file = "spec/README.md", doc = "the tables of words and keys, a section of it; committed" },
}

for _, output in ipairs(M) do
	M[output.name] = output
end

return M
