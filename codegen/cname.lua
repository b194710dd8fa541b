-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- How spec names become C names.

local text = require "text"

local M = {}

M.ctype = { u8 = "uint8_t", u16 = "uint16_t", u32 = "uint32_t", u64 = "uint64_t", bool = "bool" }
M.size = { u8 = 1, u16 = 2, u32 = 4, u64 = 8 }

function M.struct(name)
	return "vfu_wire_" .. name
end

function M.command(message)
	return ("VFU_WIRE_CMD_" .. message):upper()
end

function M.member(set, member)
	return ("VFU_WIRE_" .. set .. "_" .. member):upper()
end

function M.policy(policy, choice)
	return ("VFUI_" .. policy .. "_" .. choice):upper()
end

-- A key of VERSION, and an object that holds some.
function M.cap(cap)
	return ("VFUI_KEY_" .. cap.field):upper()
end

function M.cap_object(name)
	return ("VFUI_OBJECT_" .. name):upper()
end

function M.check(message, part)
	return "vfui_check_" .. message .. "_" .. part
end

-- Of the payload around a structure that has one.
function M.outer(model, struct)
	if struct.inside then
		local message, key = struct.inside:match("^(.-)%.(.*)$")
		return model.messages[message][key].cname
	end
end

-- What of a list a file of the spec says.
function M.of(file, list)
	return text.map(list, function(e) return not e.made and e.loc:match("([^/]+):%d+$") == file and e or nil end)
end

-- The head of the call of a message, in lines.
function M.call(m, after)
	local args = { "struct vfui_conn *conn", "struct vfui_call *call" }
	args[#args + 1] = m.request.cname and ("const struct %s *in"):format(m.request.cname)
	args[#args + 1] = m.reply.cname and ("struct %s *out"):format(m.reply.cname)
	return text.c_statement("", ("int vfui_call_%s("):format(m.name), table.concat(args, ", "), ")" .. after)
end

-- The messages that are not retired.
function M.live(model)
	return text.map(model.messages, function(m) return m.status ~= "retired" and m or nil end)
end

M.banner = [[
/* SPDX-License-Identifier: BSD-3-Clause */
/* Copyright (c) 2026 the libvfu authors */
/* Generated from spec/ by codegen/gen/%s.lua. Do not edit; see spec/README.md. */
]]

return M
