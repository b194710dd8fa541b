-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- The corpus is a tar archive whose files are read back as gen/corpus.lua says: each side of each message has
-- a payload that its check takes, and each rule one that breaks it.

local lib = dofile((os.getenv("abs_srcdir") or ".") .. "/tests/codegen/lib.lua")

local draft = require "draft"
local tails = require "tail"
local verdict = require "verdict"

local spec = require("load").spec(lib.srcdir .. "/spec")
require("check").spec(spec)
local model = require("model").build(spec)

local function message(id)
	for _, m in ipairs(model.messages) do
		if m.id == id then
			return m
		end
	end
end

-- All policies at their last choice.
local other = {}
for _, p in ipairs(model.policies) do
	other[p.name] = p.choices[#p.choices]
end

-- The verdicts of a file's payload, under the default policies and these, and its part.
local function judge(bytes)
	local id, side, nfds, len = string.unpack("<I2 I1 I1 I4", bytes)
	local m, request = message(id), bytes:sub(9, 8 + len)
	local part = side == 1 and m.reply or m.request
	local case = draft.scene(model, part):case(bytes:sub(9 + len))
	case.nfds = nfds
	case.request = side == 1 and verdict.context({}, { bytes = request }):decode(m.request, 0) or nil
	local plain = verdict.of(case)
	case.policy = other
	return plain, verdict.of(case), part
end

lib.with_directory(function(dir)
	lib.write(dir .. "/corpus.tar", lib.generate("corpus", lib.srcdir .. "/spec"))
	local names = lib.output(("cd %s && tar -xf corpus.tar && find . -mindepth 2 -type f"):format(lib.quote(dir)))
	local taken, broken, files = {}, {}, 0
	for side, name in names:gmatch("%./([^/\n]+)/([^\n]+)") do
		local found, under_others, part = judge(lib.read(("%s/%s/%s"):format(dir, side, name)))
		lib.check(part.message.name .. "-" .. part.key == side, side .. "/" .. name .. " is of another message")
		taken[part] = taken[part] or not found
		broken[found and found.rule or 0], broken[under_others and under_others.rule or 0] = true, true
		files = files + 1
	end
	for _, m in ipairs(model.messages) do
		for _, part in ipairs { m.request, m.reply } do
			lib.check(taken[part], m.name .. " " .. part.key .. ": nothing in the corpus is good")
			tails.each_part(part, function(p)
				for _, r in ipairs(p.rules) do
					lib.check(broken[r], r.loc .. ": nothing in the corpus breaks: " .. r.who .. " " .. r.text)
				end
			end)
		end
	end
	print(files .. " files")
end)

lib.finish()
