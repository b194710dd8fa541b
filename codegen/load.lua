-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- Reads a spec: a root file (protocol.lua) that names its sibling files.
--
-- A spec file runs with nothing but constructors in its environment.  Each constructor returns a
-- plain table and notes the file and line of its call, so that every later fault can name them.

local E = require "expr"
local rules = require "rules"

local M = {}

-- Faults ------------------------------------------------------------------------------------------

function M.fault(where, text, ...)
	if select("#", ...) > 0 then
		text = text:format(...)
	end
	error({ fault = ("%s:%d: %s"):format(where.file, where.line, text) }, 0)
end

local fault = M.fault

local function here(level)
	local info = debug.getinfo(level + 1, "Sl")
	return { file = info.source:sub(2), line = info.currentline }
end

-- Vocabulary --------------------------------------------------------------------------------------

local function set(words)
	local out = {}
	for word in words:gmatch("%S+") do
		out[word] = true
	end
	return out
end

local field_rules = "under"
local check_rules = {}
for _, rule in ipairs(rules.list) do
	if rule.where == "field" then
		field_rules = field_rules .. " " .. rule.name
	end
	check_rules[#check_rules + 1] = rule.name
end

local scalar_keys = set("doc since flags enum at default " .. field_rules)
local part_keys = "doc since check longer"

-- The keys each constructor knows; `items` are the kinds allowed as unnamed entries.
M.kinds = {
	protocol = { keys = set "doc files revisions", items = set "header", named = false },
	header = { keys = set "doc", items = set "u16 u32", named = false },
	limits = { keys = set "doc", items = set "u32 u64 bool", named = false },
	flags = { keys = set "doc since width", items = set "bit bits" },
	bit = { keys = set "doc since", number = true },
	bits = { keys = set "doc since enum", number = true },
	enum = { keys = set "doc since", items = set "value" },
	value = { keys = set "doc since status", number = true },
	struct = { keys = set("inside status " .. part_keys), items = set "u8 u16 u32 u64 array bytes" },
	message = { keys = set("doc since status id from class fence quiesce post effect states fds request " ..
			       "reply check errors") },
	u8 = { keys = scalar_keys }, u16 = { keys = scalar_keys },
	u32 = { keys = scalar_keys }, u64 = { keys = scalar_keys },
	part = { keys = set(part_keys), items = set "u8 u16 u32 u64 bytes array chain union json alt" },
	bool = { keys = set "doc default" },
	bytes = { keys = set "doc since size when max" },
	array = { keys = set "doc since of count stride min_stride whole max more by disjoint", items = set "variant" },
	chain = { keys = set "doc since at when whole head key version next max", items = set "link" },
	link = { keys = set "doc since of version excludes", number = true },
	variant = { keys = set "doc since of min_stride", number = true },
	union = { keys = set "doc since by max", items = set "case" },
	case = { keys = set "doc since when of optional" },
	json = { keys = set "doc since max optional schema" },
	alt = { keys = set "doc since size when under", items = set "u8 u16 u32 u64" },
	capability = { keys = set("doc since status type default min max multiple_of signed role feature in_request " ..
				  "in_reply drop") },
	object = { keys = set "doc since status feature in_request in_reply drop", items = set "capability" },
	erratum = { keys = set "title text peers decision policy choices profiles", named = false,
		    number = true },
}

-- Constructors ------------------------------------------------------------------------------------

local function kind_of(v)
	return type(v) == "table" and not E.is_raw(v) and rawget(v, "kind") or nil
end
M.kind_of = kind_of

local function describe(node)
	return node.name and ("%s '%s'"):format(node.kind, node.name) or node.kind
end
M.describe = describe

local function no_functions(node, v, key)
	local t = type(v)
	if t == "function" then
		fault(node, "%s, key '%s': a word that lacks its name or its { ... }", describe(node), key)
	elseif t == "table" and not E.is_raw(v) and not v.kind then
		for k, inner in pairs(v) do
			no_functions(node, inner, key .. (type(k) == "string" and "." .. k or ""))
		end
	end
end

local finish
function finish(kind, name, where, body)
	local grammar = M.kinds[kind]
	local node = { kind = kind, name = name, file = where.file, line = where.line, items = {} }
	if type(body) ~= "table" or E.is_raw(body) then
		fault(where, "%s: expected { ... }", describe(node))
	end
	local unknown
	for key, v in pairs(body) do
		if type(key) == "string" then
			if not grammar.keys[key] and (not unknown or key < unknown) then
				unknown = key
			end
			no_functions(node, v, key)
			node[key] = v
		end
	end
	if unknown then
		fault(where, "%s: unknown key '%s'", describe(node), unknown)
	end
	if kind == "message" then
		for _, part in ipairs { "request", "reply" } do
			local plain = node[part]
			if type(plain) == "table" and not plain.kind and not E.is_raw(plain) then
				node[part] = finish("part", part, where, plain)
			end
		end
	end
	local first = 1
	if grammar.number then
		if type(body[1]) ~= "number" then
			fault(where, "%s: the first entry must be its number", describe(node))
		end
		node.number, first = body[1], 2
		if kind == "bits" then
			node.last, first = body[2], 3
		end
	end
	for i = first, #body do
		local item = kind_of(body[i])
		if not (grammar.items and item and grammar.items[item]) then
			fault(where, item and "%s: entry %d is of kind %s, which does not belong here" or
			      "%s: entry %d lacks its name or its { ... }", describe(node), i - first + 1, item)
		end
		node.items[#node.items + 1] = body[i]
	end
	return node
end

local function constructor(kind, sink)
	local function build(name, where, body)
		local node = finish(kind, name, where, body)
		if sink then
			sink[#sink + 1] = node
		end
		return node
	end
	if M.kinds[kind].named == false then
		return function(body)
			return build(nil, here(2), body)
		end
	end
	return function(name)
		local where = here(2)
		if type(name) ~= "string" or not name:match("^[%a_][%w_]*$") then
			fault(where, "%s: its name must be a word in quotes", kind)
		end
		return function(body)
			return build(name, where, body)
		end
	end
end

-- A rule used inside check = { ... }: min { "size", 1, when = ... }
local function check_constructor(name)
	return function(body)
		local where = here(2)
		if type(body) ~= "table" then
			fault(where, "rule '%s': expected { ... }", name)
		end
		local node = { kind = "rule", name = name, file = where.file, line = where.line, args = {} }
		for key, v in pairs(body) do
			if key == "when" or key == "under" then
				node[key] = v
			elseif type(key) == "string" then
				fault(where, "rule '%s': unknown key '%s'", name, key)
			else
				node.args[key] = v
			end
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
	for kind in pairs(M.kinds) do
		env[kind] = constructor(kind, spec[kind])
	end
	for _, name in ipairs(check_rules) do
		env[name] = check_constructor(name)
	end
	env.none = { kind = "none" }
	env.field, env.request, env.outer = source "field", source "request", source "outer"
	env.limit, env.policy = source "limit", source "policy"
	env.sizeof = function(name) return E.raw { op = "sizeof", name = name } end
	env.sizeof_payload = E.raw { op = "sizeof_payload" }
	env.is = function(a, b) return E.raw { op = "is", a = a, b = b } end
	env.no = function(a) return E.raw { op = "no", a = a } end
	env.is_whole = function(a) return E.raw { op = "is_whole", a = a } end
	env.has_fd = E.raw { op = "has_fd" }
	env.all, env.any = variadic "all", variadic "any"
	env.div_up = E.raw_binary "div_up"
	-- a proxy: assignment to a known word must be seen, too
	return setmetatable({}, {
		__index = function(_, name)
			if env[name] == nil then
				fault(here(2), "unknown word '%s'", tostring(name))
			end
			return env[name]
		end,
		__newindex = function(_, name)
			fault(here(2), "a spec sets no globals ('%s')", tostring(name))
		end,
	})
end

-- Traps -------------------------------------------------------------------------------------------

-- Lua would quietly take one side of `a and b`, call `a == b` false, and keep the last of two keys of
-- one name.
local instead = {
	["and"] = "say all { a, b }", ["or"] = "say any { a, b }", ["not"] = "say no(a)",
	["=="] = "say is(a, b)", ["~="] = "say no(is(a, b))",
}
local token_kinds = { "%-%-[^\n]*", "%[%[.-%]%]", '"[^"\n]*"', "'[^'\n]*'", "[%a_][%w_.]*", "[=~<>]=", "." }

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

local function refuse_traps(text, shown)
	local open = {} -- the keys so far of each table that is not closed
	for token, line, is_key in tokens((text:gsub("\\[^\n]", "  "))) do
		local keys, where = open[#open], { file = shown, line = line }
		if instead[token] then
			fault(where, "'%s' is Lua's, not the spec's: %s", token, instead[token])
		elseif token == "{" then
			open[#open + 1] = {}
		elseif token == "}" then
			open[#open] = nil
		elseif keys and is_key and token:find("^[%a_]") then
			if keys[token] then
				fault(where, "key '%s' is given twice", token)
			end
			keys[token] = true
		end
	end
end

-- Files -------------------------------------------------------------------------------------------

local sinks = { "protocol", "limits", "flags", "enum", "struct", "message", "capability", "object", "erratum" }

local function run(spec, path, shown)
	local handle = io.open(path, "r")
	if not handle then
		error({ fault = shown .. ":1: cannot open " .. path }, 0)
	end
	local text = handle:read("a")
	handle:close()
	local chunk, why = load(text, "@" .. shown, "t", environment(spec))
	if not chunk then
		error({ fault = why }, 0)
	end
	refuse_traps(text, shown)
	local ok, err = pcall(chunk)
	if not ok then
		error(type(err) == "table" and err or { fault = tostring(err) }, 0)
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
	for _, kind in ipairs(sinks) do
		spec[kind] = {}
	end
	run(spec, dir .. "/" .. root, label .. "/" .. root)
	if #spec.protocol ~= 1 then
		error({ fault = ("%s/%s:1: a spec needs exactly one protocol"):format(label, root) }, 0)
	end
	for _, name in ipairs(spec.protocol[1].files or {}) do
		if type(name) ~= "string" or not name:match("^[%w_]+$") then
			fault(spec.protocol[1], "protocol: files lists names without path or suffix")
		end
		spec.files[#spec.files + 1] = name .. ".lua"
		run(spec, dir .. "/" .. name .. ".lua", label .. "/" .. name .. ".lua")
	end
	return spec
end

return M
