-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- Checks in Python: one function for each payload and structure, as in C.  In them `p` is the fixed
-- part, `v.request` that of the request, `outer` that of the message around.

local E = require "expr"
local pyname = require "pyname"
local text = require "text"

local M = {}

local function env(more)
	local out = { ["in"] = "p.", req = "v.request.", outer = "outer.", head = "head.", limits = "v.limits.",
		      policy = "v.policy.", nfds = "v.nfds", len = "v.len", seen = "v.seen", from = "start" }
	for key, v in pairs(more or {}) do
		out[key] = v
	end
	return out
end

local Check = {}
Check.__index = Check

-- The function that checks a part, while it is made; those it calls go to `functions`.  start: where
-- the variable part begins.  base and prefix: place and name of a structure.
function M.check(functions, start, outer, base, prefix)
	local f = setmetatable({ functions = functions, body = {}, outer = outer, base = base, prefix = prefix }, Check)
	f.env = env { start = start }
	f.format, f.start = pyname.format, start
	f.class = pyname.part
	function f.call(struct, at)
		return ("%s(v, %s, %s)"):format(pyname.check(struct), at, outer)
	end
	function f.expression(e)
		return E.py(e, f.env)
	end
	function f.test(rule)
		local g = setmetatable({ body = {} }, { __index = f })
		g:tests({ rule }, 0)
		return g.body
	end
	return f
end

function Check:line(form, ...)
	self.body[#self.body + 1] = "    " .. form:format(...):gsub("\n$", ""):gsub("\n", "\n    ")
end

function Check:comment(words, depth)
	local tabs = ("    "):rep(depth)
	self.body[#self.body + 1] = text.wrap("# " .. words, 100, tabs, tabs .. "# ")
end

-- Comment, if, fault for each rule.
function Check:tests(rules, depth)
	depth = depth or 1
	for _, r in ipairs(rules) do
		local guard, tabs = E.all(r.under, r.when), ("    "):rep(depth)
		local at = E.py(r.at, self.env)
		if self.base and r.at.op == "num" then
			at = self.base .. " + " .. at
		end
		self:comment(("%s: %s%s%s"):format(r.loc, r.label == "" and "" or r.label .. " ", r.text,
						   guard and ", where " .. E.text(guard) or ""), depth)
		self.body[#self.body + 1] = ("%sif %s:\n%s    v.bad(%s, %s, %s, %s%s)"):format(tabs,
			self.expression(E.all(guard, r.broken)), tabs, pyname.quote((self.prefix and self.prefix .. "." or "") .. r.who),
			pyname.quote(r.said), at, self.expression(r.value), r.errno ~= "EINVAL" and ", errno." .. r.errno or "")
	end
end

-- The first of these items whose condition holds, at `at`; then `done`.
function Check:entries(items, depth, done)
	local tabs = ("    "):rep(depth)
	for _, item in ipairs(items) do
		self:comment(("%s: %s"):format(item.loc, item.doc), depth)
		self.body[#self.body + 1] = ("%sif %s:"):format(tabs, self.expression(item.condition))
		self:tests(item.rules, depth + 1)
		self.body[#self.body + 1] = item.seen and ("%s    v.seen |= 0x%x"):format(tabs, item.seen) or nil
		self.body[#self.body + 1] = ("%s    %s(v, at, p)\n%s    %s"):format(tabs, pyname.check(item.struct), tabs, done)
	end
end

-- Another function, which fill(g) writes.
function Check:define(head, fill)
	local g = M.check(self.functions, self.start, self.outer)
	fill(g)
	g:finish(head)
end

-- Another layout, and the function for its rules.
function Check:alternative(alt)
	self:comment(("%s: %s"):format(alt.loc, alt.doc), 1)
	self:line("if %s:", self.expression(alt.condition))
	if #alt.rules > 0 then
		self:define(("%s(v)"):format(pyname.check(alt)), function(g)
			g:line("p = %s._fixed(v.payload)", pyname.part(alt))
			g:tests(alt.rules)
		end)
		self:line("    %s(v)", pyname.check(alt))
	end
	self:line("    return %s", pyname.part(alt))
end

function Check:finish(head)
	self.functions[#self.functions + 1] = ("def %s:\n%s\n\n"):format(head, table.concat(self.body, "\n"))
end

return M
