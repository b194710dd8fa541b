-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- Archives (ustar), of no date and owner: how one output is many files whose names make does not know.

local M = {}

function M.file(name, bytes)
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

-- Of files as above.
function M.archive(files)
	return table.concat(files) .. ("\0"):rep(1024)
end

return M
