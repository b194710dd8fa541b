-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- The dissector is Lua for Wireshark's 5.2 and 5.4: it runs in either with a Wireshark of our own, wireshark.lua,
-- and says the same. That tshark and our decoder agree is in tests/py/test_dissector.py.

local lib = dofile((os.getenv("abs_srcdir") or ".") .. "/tests/codegen/lib.lua")

local function packet(sender, nfds, id, command, flags, body)
	return (">BBBBBBHI"):pack(1, 0, sender, 0, 0, 0, nfds, 1) .. ("<HHIII"):pack(id, command, 16 + #body, flags, 0) .. body
end

local function map(address, size)
	return ("<IIi8i8i8"):pack(32, 3, 0, address, size)
end

local version = ("<HH"):pack(0, 0) .. '{"capabilities":{"max_data_xfer_size":4096,"pgsizes":8192}}\0'
local caps = ("<HHIII"):pack(1, 1, 0, 1, 0) .. ("<i8i8"):pack(0, 4096)
local packets = {
	packet(0, 0, 1, 1, 0, version),
	packet(1, 0, 1, 1, 1, version),
	packet(0, 0, 2, 2, 0, map(0x2000, 0x2000)),
	packet(0, 0, 3, 2, 0, map(0, 0)),
	packet(0, 0, 4, 2, 0, map(0x1000, 0x2000)),
	packet(0, 0, 5, 2, 0, map(-0x2000, 0x4000)),
	packet(0, 0, 6, 5, 0, ("<IIIIi8i8"):pack(64, 0, 2, 0, 0, 0)),
	packet(1, 1, 6, 5, 1, ("<IIIIi8i8"):pack(64, 0xf, 2, 32, 0x10000, 0) .. caps),
	packet(0, 0, 7, 9, 0, ("<i8II"):pack(0, 7, 4097)),
	packet(1, 0, 9, 99, 1, ""),
}
local expected = {
	"vfio_user.capabilities.pgsizes 32 60", "packet 3: dma_map request #", "! dma_map: size is at least 1 (is 0x0, offset 24)",
	"! dma_map: address is a multiple of the limit pgsize (is 0x1000, offset 16)",
	"! dma_map: address plus size is at most 2^64 (is 0xffffffffffffe000, offset 16)",
	"vfio_user.sparse_mmap_area.size 84 8", "! region_read: count is at most the limit max_data_xfer_size (is 0x1001, offset 12)",
	"! message answers no request that was seen", "! message command 99 is unknown",
}

local function run(lua, dissector, dir)
	return lib.output(("%s %s/wireshark.lua %s < %s/packets 2>&1 || true"):format(lua, lib.quote(lib.here), lib.quote(dissector), dir))
end

lib.with_directory(function(dir)
	local lines = {}
	for i, bytes in ipairs(packets) do
		lines[i] = bytes:gsub(".", function(c) return ("%02x"):format(c:byte()) end)
	end
	lib.write(dir .. "/packets", table.concat(lines, "\n") .. "\n")
	local dissector = dir .. "/vfio-user.lua"
	lib.write(dissector, lib.generate("dissector", lib.srcdir .. "/spec"))
	local said = run(lib.lua, dissector, dir)
	for _, words in ipairs(expected) do
		lib.check(said:find(words, 1, true), "the dissector does not say: " .. words, said)
	end
	local _, wrong = said:gsub("\n!", "")
	lib.check(wrong == 6, "it says more or less that is wrong", said)
	local old = lib.output("command -v lua5.2 || true"):gsub("\n", "")
	if old == "" then
		print("no lua5.2: it is not run with that")
	else
		local other = run(old, dissector, dir)
		lib.check(other == said, "Lua 5.2 says something else", other)
	end
	for _, name in ipairs { "small", "words" } do
		lib.write(dissector, lib.generate("dissector", ("%s/ok/%s.lua"):format(lib.here, name)))
		lib.check(loadfile(dissector), name .. ": the dissector is no Lua")
		lib.check(old == "" or os.execute(("%s -e 'assert(loadfile(%q))'"):format(old, dissector)), name .. ": nor of 5.2")
	end
end)

lib.finish()
