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
local tar = require "tar"
local vectors = require "vectors"

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
					out[#out + 1] = tar.file(("%s-%s/%03d-%s"):format(entry.part.message.name, entry.part.key, number,
										 base.name:gsub("%W+", "-")), bytes)
				end
			end
		end
	end
	return tar.archive(out)
end
