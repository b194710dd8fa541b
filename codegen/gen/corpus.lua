-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- corpus.tar: what a fuzzer of the checks begins with, an archive of one small file for each rule that the
-- payloads of a generated test break.  A file, MESSAGE-SIDE/NUMBER-BASE:
--
--	offset  size
--	0       2     command, the least byte first, like all numbers in it
--	2       1     1: the payload is a reply
--	3       1     descriptors that come along
--	4       4     length of the request that a reply answers, else 0
--	8             that request's payload
--	...           the payload
--
-- Every string of bytes can be taken for such a file: what is missing counts as 0, a request that is too
-- long ends with the file.  The payloads are made for the limits that the spec names in `test`.

local order = require "order"
local vectors = require "vectors"

-- A file of a tar archive (ustar), of no date and owner.
local function file(name, bytes)
	local head = string.pack("<c100 c8 c8 c8 c12 c12", name, "0000644\0", "0000000\0", "0000000\0", ("%011o\0"):format(#bytes),
				 ("%011o\0"):format(0))
	local rest = string.pack("<c1 c100 c6 c2 c32 c32 c8 c8 c155 c12", "0", "", "ustar\0", "00", "", "", "0000000\0", "0000000\0",
				 "", "")
	local sum = 8 * (" "):byte()
	for _, part in ipairs { head, rest } do
		for i = 1, #part do
			sum = sum + part:byte(i)
		end
	end
	return head .. ("%06o\0 "):format(sum) .. rest .. bytes .. ("\0"):rep(-#bytes % 512)
end

local function seed(base, row)
	local part = base.part
	local request = base.request_bytes or ""
	return string.pack("<I2 I1 I1 I4", part.message.id, part.key == "reply" and 1 or 0, row.nfds[1], #request) .. request ..
	       order.payload(base, row)
end

-- Of the rows of a base the first that breaks no rule, and for each rule the first that breaks it.
local function choose(rows)
	local out, known = {}, {}
	for _, row in ipairs(rows) do
		local said = row.rule or "none"
		if row.order ~= "big" and #row.limits == 0 and not known[said] then
			known[said] = true
			out[#out + 1] = row
		end
	end
	return out
end

return function(model)
	local out, known = {}, {}
	for _, entry in ipairs(vectors.of(model)) do
		local number = 0
		for _, base in ipairs(entry.part.message and entry.bases or {}) do
			for _, row in ipairs(choose(base.cases)) do
				local bytes = seed(base, row)
				if not known[bytes] then
					known[bytes], number = true, number + 1
					out[#out + 1] = file(("%s-%s/%03d-%s"):format(entry.part.message.name, entry.part.key, number,
									     base.name:gsub("%W+", "-")), bytes)
				end
			end
		end
	end
	return table.concat(out) .. ("\0"):rep(1024)
end
