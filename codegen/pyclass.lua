-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- Classes in Python: the fields of a part, and methods that read and build what follows them.
--
--	class RegionReadReply(Payload):
--	    count: int = 0                     fields, then the tail
--	    data: bytes = b""
--	    def _read(self, v, start, outer):  sets the tail from a payload that was checked
--	        self.data = v.payload[start : start + self.count]
--	    def _tail(self):                   its bytes; sets the fields that follow from it
--	        self.count = len(self.data)
--	        return self.data
--
-- Of each kind of tail py_read(f, t, part) and py_build(f, t, part) write the methods' bodies; the latter
-- returns the expression of the bytes.  py_type(t) is the tail's type and default.

local pyfile = require "pyfile"
local pyname = require "pyname"
local tails = require "tail"
local text = require "text"

local M = {}

-- Body of a method.  In it `self` is the part, `p` its numbers, `outer` the payload around a structure.
local function body(part)
	local f = pyfile.check({}, "start", part.message and "self" or "outer")
	function f.read(struct, at)
		return ("%s._at(v, %s, %s)"):format(pyname.part(struct), at, f.outer)
	end
	return f
end

local Body = getmetatable(body {})

-- A field that follows from the tail; other expressions do not tell a field.
function Body:derive(e, value)
	if e.op == "field" and e.of == "in" then
		self:line("p.%s = %s", e.field.name, value)
	end
end

-- The flag that says that there is a tail.
function Body:raise(when)
	local bits = when.op == "ne" and when.a
	if bits and bits.op == "band" and bits.a.op == "field" and bits.a.of == "in" then
		self:line("p.%s |= 0x%x", bits.a.field.name, bits.b.v)
	end
end

-- Nothing more to do without a tail.
function Body:unless_empty(t)
	self:line("if not self.%s:", t.name)
	self:line('    return b""')
end

-- The class of what lies in a tail, or None: the first item whose condition holds.
function Body:class_of(items, name)
	self:line("%s = None", name)
	for i, item in ipairs(items) do
		self:line("%s %s:", i == 1 and "if" or "elif", self.expression(item.condition))
		self:line("    %s = %s", name, pyname.part(item.struct))
	end
end

-- A method of its own that gives it.
function Body:choice(head, items)
	local g = setmetatable({ body = {} }, { __index = self })
	for _, item in ipairs(items) do
		g:line("if %s:", g.expression(item.condition))
		g:line("    return %s", pyname.part(item.struct))
	end
	g:line("return None")
	self.methods[#self.methods + 1] = { head, g.body }
end

local function method(out, head, lines)
	if table.concat(lines, "\n"):find("%f[%w_]p%.") then
		table.insert(lines, 1, "    p = _numbers(self.__dict__)")
	end
	out[#out + 1] = ("\n    def %s:\n    %s"):format(head, (table.concat(lines, "\n"):gsub("\n", "\n    ")))
end

-- Numbers are numbers, and parts are parts: those that may be one kind only are made of dicts.
local function hold(build, t)
	local type, name = tails[t.kind].py_type(t), pyname.quote(t.name)
	if t.scalar then
		build:line('self._hold_numbers(%s, "%s", self.%s)', name, pyname.format[t.scalar], t.name)
	elseif t.element or t.items and #t.items > 0 then
		local several = type:match("^list%[(.*)%]$")
		build:line("self.%s = self.%s(%s, self.%s, %s)", t.name, several and "_hold_parts" or "_hold_part", name, t.name,
			   ((several or type):gsub(" | ", ", ")))
	end
end

local function codec(out, part)
	local t = part.tail
	local kind, methods = tails[t.kind], {}
	local read, build = body(part), body(part)
	read.methods, build.methods = methods, methods
	for _, l in ipairs(t.locals or {}) do
		read:line("%s = %s", l.name, read.expression(l.value))
	end
	kind.py_read(read, t, part)
	hold(build, t)
	local bytes, argsz = kind.py_build(build, t, part), not t.whole and part.argsz
	if argsz then
		build:line("tail = %s", bytes)
		build:line("self.%s = max(self.%s, self.SIZE + len(tail))", argsz.name, argsz.name)
		bytes = "tail"
	end
	build:line("return %s", bytes)
	for _, m in ipairs(methods) do
		method(out, m[1], m[2])
	end
	method(out, "_read(self, v, start, outer)", read.body)
	method(out, "_tail(self)", build.body)
end

-- What a field's numbers mean, a class, or nil.
local function kind(field)
	return field.flags and pyname.flags(field.flags.name) or field.enum and pyname.class(field.enum.name)
end

-- Of the fields and the tail: calls visit(name, type, default, doc, kind).
function M.each_field(part, visit)
	for _, f in ipairs(part.fields) do
		local k = kind(f)
		visit(f.name, f.enum and k .. " | int" or k or "int", k and ("_Named(%s)"):format(k) or f.measures and tostring(part.size) or "0",
		      f.doc, k)
	end
	local t = part.tail
	if t then
		local type, default = tails[t.kind].py_type(t)
		visit(t.name, type, default, t.doc)
	end
end

-- The doc, and a line for each of these { name, doc }.
function M.docstring(doc, names)
	local out, width = { text.wrap(doc, 100, '    """', "    ") }, 0
	for _, n in ipairs(names) do
		width = math.max(width, #n[1] + 2)
	end
	for i, n in ipairs(names) do
		out[#out + 1] = (i == 1 and "\n" or "") .. text.wrap(n[2], 100, "    " .. n[1] .. (" "):rep(width - #n[1]), (" "):rep(4 + width))
	end
	return table.concat(out, "\n") .. (#names > 0 and '\n    """' or '"""')
end

function M.class(part, doc)
	local fields, names = {}, {}
	M.each_field(part, function(name, type, default, about)
		names[#names + 1] = { name, about }
		fields[#fields + 1] = ("    %s: %s = %s"):format(name, type, default)
	end)
	local out = { "@dataclasses.dataclass", ("class %s(%s):"):format(pyname.part(part), part.message and "Payload" or "Part"),
		      M.docstring(doc, names), "", table.unpack(fields) }
	out[#out + 1] = out[#out] ~= "" and "" or nil
	if part.message then
		out[#out + 1] = ("    COMMAND = Command.%s"):format(part.message.name:upper())
		out[#out + 1] = part.key == "reply" and "    REPLY = True" or nil
	else
		out[#out + 1] = ("    NAME = %s"):format(pyname.quote(part.name))
	end
	if part.size > 0 then
		local format = text.map(part.fields, function(f) return pyname.format[f.type] end)
		out[#out + 1] = ('    FORMAT = "=%s"'):format(table.concat(format))
		out[#out + 1] = ("    SIZE = %d"):format(part.size)
	end
	if part.tail then
		codec(out, part)
	end
	return table.concat(out, "\n") .. "\n\n"
end

return M
