-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- Reads a spec: a root file (protocol.lua) that names its sibling files.
--
-- A spec file runs with nothing but constructors in its environment.  Each constructor returns a
-- plain table, a *node*, that knows where it stands and the line of each of its keys, so that every
-- later fault can name them.  What a key may be is not looked at here but in check.lua.
--
--	u32 "size" { min = 1,         { kind = "u32", name = "size", file = "spec/dma.lua", line = 21,
--	        doc = "length" }        lines = { min = 21, doc = 22 }, min = 1, doc = "length", items = {} }

local E = require "expr"
local grammar = require "grammar"
local rules = require "rules"
local words = require "words"

local M = {}

-- Faults ------------------------------------------------------------------------------------------

-- where: a node, or "FILE:LINE"
function M.fault(where, text, ...)
	if select("#", ...) > 0 then
		text = text:format(...)
	end
	local loc = type(where) == "string" and where or ("%s:%d"):format(where.file, where.line)
	error({ fault = loc .. ": " .. text }, 0)
end

local fault = M.fault

-- The node, standing where this key of it does; path is "fds.request.max" for inner tables.
function M.at(node, path)
	return setmetatable({ line = node.lines and node.lines[path] or node.line }, { __index = node })
end

local function here(level)
	local info = debug.getinfo(level + 1, "Sl")
	return { file = info.source:sub(2), line = info.currentline }
end

function M.describe(node)
	local kind = node.shown or node.kind
	return node.name and ("%s '%s'"):format(kind, node.name) or kind
end

function M.kind_of(v)
	return type(v) == "table" and not E.is_raw(v) and rawget(v, "kind") or nil
end

local describe, kind_of = M.describe, M.kind_of

-- Constructors ------------------------------------------------------------------------------------

-- The keys of a body (check.lua takes them over), and what stands in it without one.
local function collect(node, body)
	local numbers, first = grammar.kinds[node.kind].numbers, 1
	if numbers then
		if type(body[1]) ~= "number" then
			fault(node, "%s: the first entry must be its number", describe(node))
		end
		node.number, node.last, first = body[1], numbers == 2 and body[2] or nil, numbers + 1
	end
	for key, v in pairs(body) do
		if type(key) == "string" then
			node.given[key] = v
		end
	end
	for i = first, #body do
		node.items[#node.items + 1] = body[i]
	end
	return node
end

-- The request of a message is a node of its own inside the message's.
local function inner_part(node, key)
	local body = node.given[key]
	if type(body) ~= "table" or kind_of(body) or E.is_raw(body) then
		return
	end
	local lines = {}
	for path, line in pairs(node.lines) do
		local inner = path:match("^" .. key .. "%.(.*)$")
		if inner then
			lines[inner] = line
		end
	end
	node.given[key] = collect({ kind = "part", name = key, file = node.file, line = node.lines[key] or node.line,
				    lines = lines, items = {}, given = {} }, body)
end

local function constructor(kind, spec)
	local sink, unnamed = spec[kind], grammar.kinds[kind].unnamed
	local function build(name, where, body)
		local node = { kind = kind, name = name, file = where.file, line = where.line, items = {}, given = {} }
		if type(body) ~= "table" or E.is_raw(body) then
			fault(where, "%s: expected { ... }", describe(node))
		end
		node.lines = spec.lines(node, kind, name)
		collect(node, body)
		if kind == "message" then
			inner_part(node, "request")
			inner_part(node, "reply")
		end
		if sink then
			sink[#sink + 1] = node
		end
		return node
	end
	if unnamed then
		return function(body)
			return build(nil, here(2), body)
		end
	end
	return function(name)
		local where = here(2)
		local why = words.bad_name(name)
		if why then
			fault(where, "%s: its name %s", kind, why)
		end
		return function(body)
			return build(name, where, body)
		end
	end
end

-- A rule used inside check = { ... }: min { "size", 1, when = ... }
local function check_constructor(name, spec)
	return function(body)
		local where = here(2)
		if type(body) ~= "table" then
			fault(where, "rule '%s': expected { ... }", name)
		end
		local node = { kind = "rule", name = name, file = where.file, line = where.line, args = {}, items = {},
			       given = {}, lines = spec.lines(where, name) }
		for key, v in pairs(body) do
			node[type(key) == "number" and "args" or "given"][key] = v
		end
		return node
	end
end

-- field.NAME and friends.  Two levels are meant: policy.NAME.CHOICE.
local function source(op)
	return setmetatable({}, {
		__index = function(_, name) return E.raw { op = op, name = name } end,
		__newindex = function() fault(here(2), "nothing can be assigned to %s", op) end,
	})
end

local function variadic(op)
	return function(list)
		if type(list) ~= "table" or E.is_raw(list) or #list == 0 then
			fault(here(2), "%s: expected a list of conditions in braces", op)
		end
		return E.raw { op = op, list = list }
	end
end

local function environment(spec)
	local env = {}
	for kind, g in pairs(grammar.kinds) do
		env[kind] = not g.inner and constructor(kind, spec) or nil
	end
	for _, rule in ipairs(rules.list) do
		env[rule.name] = check_constructor(rule.name, spec)
	end
	for _, op in ipairs { "field", "request", "outer", "limit", "cap", "policy" } do
		env[op] = source(op)
	end
	for _, op in ipairs { "sizeof", "no", "is_whole" } do
		env[op] = function(a) return E.raw { op = op, a = a } end
	end
	env.none = { kind = "none" }
	env.sizeof_payload, env.has_fd = E.raw { op = "sizeof_payload" }, E.raw { op = "has_fd" }
	env.is, env.below, env.div_up = E.raw_binary "is", E.raw_binary "below", E.raw_binary "div_up"
	env.all, env.any = variadic "all", variadic "any"
	-- a proxy: assignment to a known word must be seen, too
	return setmetatable({}, {
		__index = function(_, name)
			if env[name] == nil then
				fault(here(2), "unknown word '%s'%s", tostring(name), words.near(name, env))
			end
			return env[name]
		end,
		__newindex = function(_, name)
			fault(here(2), "a spec sets no globals ('%s')", tostring(name))
		end,
	})
end

-- Text --------------------------------------------------------------------------------------------

-- Lua would quietly take one side of `a and b`, call `a == b` false, and keep the last of two keys of
-- one name.
local instead = {
	["and"] = "say all { a, b }", ["or"] = "say any { a, b }", ["not"] = "say no(a)",
	["=="] = "say is(a, b)", ["~="] = "say no(is(a, b))", ["<"] = "say below(a, b)", [">"] = "say below(b, a)",
	["<="] = "say no(below(b, a))", [">="] = "say no(below(a, b))",
}
for word in pairs(words.set "function for while repeat if goto return do") do
	instead[word] = "a spec is data only"
end
local token_kinds = { "%-%-[^\n]*", "%[%[.-%]%]", '"[^"\n]*"', "'[^'\n]*'", "[%a_][%w_.]*", "[=~<>]=", "[<>][<>]",
		      "%s+", "." }

local function tokens(text)
	local pos, line = 1, 1
	return function()
		for _, kind in ipairs(token_kinds) do
			local token, next_pos = text:match("^(" .. kind .. ")()", pos)
			if token then
				local at = line
				pos, line = next_pos, line + select(2, token:gsub("\n", ""))
				return token, at, text:find("^%s*=[^=]", pos) ~= nil
			end
		end
	end
end

-- A table that opens: the value of a key of the one around it, or what a constructor is called with.
-- It knows the lines of its keys; those of inner tables lie under "KEY.".
local function opened(around, key, before, last, line)
	local name, kind = last and last.text:match('^"(.*)"$'), last
	if key then
		return { keys = {}, lines = around.lines, path = around.path .. key .. "." }
	elseif name then
		kind = before
	end
	return { keys = {}, lines = {}, path = "",
		 id = kind and ("%s %s:%d"):format(kind.text, name or "", kind.line) or "" }
end

-- Refuses what Lua would take silently; returns the lines of the keys of each constructor's table, in
-- the order in which they close, which is that in which Lua calls the constructors.
local function scan(text, shown)
	local open, closed = {}, {}
	local before, last, key -- the tokens before this one, and the key it is the value of
	for token, line, is_key in tokens((text:gsub("\\[^\n]", "  "))) do
		local where, top = { file = shown, line = line }, open[#open]
		if instead[token] then
			fault(where, "'%s' is Lua's, not the spec's: %s", token, instead[token])
		elseif token == "{" then
			open[#open + 1] = opened(top, last and last.text == "=" and top and key, before, last, line)
		elseif token == "}" then
			if top and top.id then
				closed[top.id] = closed[top.id] or {}
				table.insert(closed[top.id], top.lines)
			end
			open[#open] = nil
		elseif top and is_key and token:find("^[%a_]") then
			if top.keys[token] then
				fault(where, "key '%s' is given twice", token)
			end
			top.keys[token], top.lines[top.path .. token], key = true, line, token
		end
		if not token:find("^%s") and not token:find("^%-%-") then
			before, last = last, { text = token, line = line }
		end
	end
	return closed
end

-- Files -------------------------------------------------------------------------------------------

local function run(spec, path, shown)
	local handle = io.open(path, "r")
	if not handle then
		error({ fault = shown .. ":1: cannot open " .. path }, 0)
	end
	local text = handle:read("a")
	handle:close()
	local closed
	function spec.lines(where, kind, name)
		local list = closed[("%s %s:%d"):format(kind, name or "", where.line)]
		return list and table.remove(list, 1) or {}
	end
	local chunk, why = load(text, "@" .. shown, "t", environment(spec))
	if not chunk then
		error({ fault = why }, 0)
	end
	closed = scan(text, shown)
	local ok, err = pcall(chunk)
	if not ok then
		error(type(err) == "table" and err or { fault = tostring(err) }, 0)
	end
end

-- What holds structures has a header of its own.
local function has_structures(spec, shown)
	for _, kind in ipairs { "message", "struct", "flags", "enum" } do
		for _, node in ipairs(spec[kind]) do
			if node.file == shown then
				return true
			end
		end
	end
end

-- A new file must be named twice: in `files`, to be read, and for make.
local function check_files(spec, dir, label)
	local list = io.popen("ls '" .. dir:gsub("'", "'\\''") .. "'")
	local known, headers = words.set(table.concat(spec.files, " ")), nil
	for name in list:lines() do
		if name:find("%.lua$") and not known[name] then
			fault(label .. "/" .. name .. ":1", "stands in no `files` of %s, so that nobody reads it", spec.files[1])
		end
	end
	list:close()
	local makefile = io.open(dir .. "/local.mk", "r")
	if makefile then
		headers = words.set(makefile:read("a"):gsub("\\\n", " "):match("spec_wire *= *([^\n]*)"))
		makefile:close()
	end
	for _, name in ipairs(headers and spec.files or {}) do
		local shown = label .. "/" .. name
		if not headers[name:match("^(.*)%.lua$")] and has_structures(spec, shown) then
			fault(shown .. ":1", "has structures, and is not in spec_wire of %s/local.mk", label)
		end
	end
end

-- The raw spec behind `path`, a directory or its root file.  Shown names are "DIR/FILE", with DIR the
-- last component only, so that outputs do not depend on where the tree lies.
function M.spec(path)
	local dir, root = path, "protocol.lua"
	if path:match("%.lua$") then
		dir, root = path:match("^(.-)/?([^/]+)$")
		dir = dir == "" and "." or dir
	end
	local label = dir:gsub("/+$", ""):match("([^/]+)$") or "spec"
	if label == "." or label == ".." then
		label = "spec"
	end
	local spec = { files = { root } }
	for kind, g in pairs(grammar.kinds) do
		spec[kind] = g.top and {} or nil
	end
	run(spec, dir .. "/" .. root, label .. "/" .. root)
	if #spec.protocol ~= 1 then
		error({ fault = ("%s/%s:1: a spec needs exactly one protocol"):format(label, root) }, 0)
	end
	for _, name in ipairs(spec.protocol[1].given.files or {}) do
		if type(name) ~= "string" or not name:match("^[%w_]+$") then
			fault(M.at(spec.protocol[1], "files"), "protocol: files lists names without path or suffix")
		end
		spec.files[#spec.files + 1] = name .. ".lua"
		run(spec, dir .. "/" .. name .. ".lua", label .. "/" .. name .. ".lua")
	end
	if dir == path then
		check_files(spec, dir, label)
	end
	return spec
end

return M
