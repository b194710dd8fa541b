-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- A field gains a range: one word in the spec.  C check, Python check, manual and boundary tests all
-- follow, and nothing else of what is generated changes but line numbers of the spec.

local lib = dofile((os.getenv("abs_srcdir") or ".") .. "/tests/codegen/lib.lua")

local field = [[u64 "offset" { show = "hex", doc = "where the range starts in the file" }]]
local ranged = [[u64 "offset" { show = "hex", max = 1000000, doc = "where the range starts in the file" }]]

local function lines_of(text)
	local out = {}
	for line in text:gmatch("([^\n]*)\n") do
		out[line] = true
	end
	return out
end

-- Lines of the new text that the old one lacks.
local function added(before, after)
	local old, out = lines_of(before), {}
	for line in after:gmatch("([^\n]*)\n") do
		if not old[line] then
			out[#out + 1] = line
		end
	end
	return table.concat(out, "\n") .. "\n"
end

lib.with_directory(function(dir)
	local spec = dir .. "/spec"
	assert(os.execute(("cp -R %s %s"):format(lib.quote(lib.srcdir .. "/spec"), spec)))
	local before = {}
	for _, output in ipairs(lib.outputs) do
		before[output] = lib.generate(output, spec)
	end
	local file = lib.read(spec .. "/dma.lua")
	local from, to = file:find(field, 1, true)
	assert(from, "the field of this test has gone from spec/dma.lua")
	lib.write(spec .. "/dma.lua", file:sub(1, from - 1) .. ranged .. file:sub(to + 1))

	local function gains(output, ...)
		local now = added(before[output], lib.generate(output, spec) or "")
		for _, wanted in ipairs { ... } do
			lib.check(now:find(wanted, 1, true), output .. " lacks: " .. wanted, now)
		end
	end
	gains("wire_c", "if (in.offset > 1000000)", 'return bad(v, "offset", "is at most 1000000", 8, in.offset);')
	gains("protocol_rst", "#. ``offset`` is at most 1000000.")
	gains("python", "if p.offset > 0xf4240:", 'v.bad("offset", "is at most 1000000", 8, p.offset)')
	gains("tests_c", "offset is at most 1000000", "{ 8, 8, 0xf4240 }", "{ 8, 8, 0xf4241 }", '.field = "offset", .offset = 8')
	gains("tests_py", "offset is at most 1000000", "(8, 8, 0xf4240)", "(8, 8, 0xf4241)", '("offset", 8)')
	gains("lock", "offset")
	for _, output in ipairs { "wire_h", "checks_h", "policy_h", "policy_c", "caps_h", "caps_c", "desc_h", "desc_c", "calls_h", "calls_c",
				  "python_pyi" } do
		lib.check(lib.generate(output, spec) == before[output], output .. " changed, though the layout did not")
	end
end)

lib.finish()
