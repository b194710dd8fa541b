-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- The capabilities of VERSION in Python: a table of all keys, and a class for each JSON object of them
-- whose attributes they are.

local pyname = require "pyname"
local tail_json = require "tail.json"
local text = require "text"

local M = {}
local quote = pyname.quote

-- Before the classes of payloads, some of which hold them.
M.template = [[
@dataclasses.dataclass(frozen=True)
class Capability:
    """A key of VERSION; object is the name of the JSON object it lies in, or empty. Types are bool, u32,
    u64 and object. combine: what holds of the values of two sides; limit: the field of Limits that becomes, or
    its lowest bit if lowest_bit. A feature is answered only if it was asked for, and holds only if both sides
    say it. Of a reply that grows too long those with drop 1 leave first, those with 0 never.
    ours: what this library says of it unless its user says something else, None where that is nothing a user can say."""

    object: str
    name: str
    type: str
    default: object
    min: object
    max: object
    multiple_of: object
    combine: object
    limit: object
    lowest_bit: bool
    feature: bool
    in_request: bool
    in_reply: bool
    ours: object
    drop: int
    doc: str

    @property
    def path(self):
        """Its name, with that of the object it lies in: "migration.pgsize"."""
        return f"{self.object}.{self.name}" if self.object else self.name

    def combined(self, mine, theirs):
        """What holds; where each side has its own, theirs."""
        if self.combine == "min":
            return min(mine, theirs)
        return mine and theirs if self.combine == "and" else theirs

    def rule(self, value):
        """The rule that this value breaks, or None."""
        if self.type == "object":
            return None if isinstance(value, dict) else "is an object"
        if self.type == "bool":
            return None if isinstance(value, bool) else "is true or false"
        if isinstance(value, bool) or not isinstance(value, int) or not self.min <= value <= self.max:
            return f"is a whole number from {self.min} to {self.max}"
        if self.multiple_of and value % self.multiple_of:
            return f"is a multiple of {self.multiple_of}"
        return None


class _Keys:
    """Keys of a JSON object; those that are None are not said."""

    OBJECT = ""

    @classmethod
    def _table(cls, reply):
        return [c for c in CAPABILITIES if c.object == cls.OBJECT and (c.in_reply if reply else c.in_request)]

    @classmethod
    def _of(cls, v, at, reply, said):
        out = cls()
        for key in cls._table(reply):
            if key.name not in said:
                continue
            value = said[key.name]
            rule = key.rule(value)
            if rule:
                v.bad("capabilities." + key.path, rule, at, value)
            setattr(out, key.name, _OBJECTS[key.name]._of(v, at, reply, value) if key.type == "object" else value)
        return out

    def _said(self, reply):
        values = {key.name: getattr(self, key.name) for key in self._table(reply)}
        return {
            name: value._said(reply) if isinstance(value, _Keys) else value
            for name, value in values.items()
            if value is not None
        }

    def complete(self):
        """A copy that says all: the default where this one says nothing."""
        out = type(self)()
        for key in CAPABILITIES:
            if key.object == self.OBJECT:
                value = getattr(self, key.name)
                if key.type == "object":
                    value = (value or _OBJECTS[key.name]()).complete()
                setattr(out, key.name, key.default if value is None else value)
        return out


${objects}

@dataclasses.dataclass
class Capabilities(_Keys):
    """What a side says in VERSION; of a key that is None it says nothing."""

    ${fields}

    @classmethod
    def parse(cls, text, *, reply=False):
        """From JSON text with its NUL, or from nothing. Unknown keys are ignored; Fault tells what is wrong."""
        v = _View("version", bytes(text), 0, Limits(), Policies(), None)
        if v.len and not _is_text(v, 0):
            v.bad("data", "ends with a NUL and holds no other", 0, v.len)
        return cls._at(v, 0, reply) if v.len else cls()

    @classmethod
    def _at(cls, v, at, reply):
        tree = _read_json(v, at, "data", ${depth})
        if not isinstance(tree, dict):
            v.bad("data", "is an object", at, tree)
        said = tree.get("capabilities", {})
        if not isinstance(said, dict):
            v.bad("capabilities", "is an object", at, said)
        return cls._of(v, at, reply, said)

    def build(self, *, reply=False):
        """JSON text with its NUL; raises Fault where parse() would."""
        text = _build_json({"capabilities": self._said(reply)})
        self.parse(text, reply=reply)
        return text

    def _value(self, key):
        home = getattr(self, key.object) if key.object else self
        return None if home is None else getattr(home, key.name)

    def _put(self, key, value):
        home = self
        if key.object:
            home = getattr(self, key.object) or _OBJECTS[key.object]()
            setattr(self, key.object, home)
        setattr(home, key.name, value)
        if home == type(home)() and home is not self:
            setattr(self, key.object, None)

    def _proposes(self, key):
        if not key.feature:
            return True
        if key.object and not key.in_request:  # with the object it lies in
            return getattr(self, key.object) is not None
        return self._value(key) is not None

    def answer(self, asked, room=None):
        """What a server with this to say replies: features only if asked for, and the values that will hold.
        While the text is longer than room bytes keys leave it: first those that state a default, then in the
        order of their drop numbers."""
        out, asked = Capabilities(), asked or Capabilities()
        for key in _KEYS:
            mine, theirs = self._value(key), asked._value(key)
            if key.combine == "echo":
                mine = theirs
            elif key.combine != "own" and mine is not None:
                mine = key.combined(mine, key.default if theirs is None else theirs)
            if mine is not None and key.in_reply and asked._proposes(key):
                out._put(key, mine)
        while room is not None and len(out.build(reply=True)) > room and out._shorten():
            pass
        return out

    def _shorten(self):
        said = [key for key in reversed(_KEYS) if self._value(key) is not None]
        idle = [k for k in said if self._value(k) == k.default and (k.type == "bool" or not k.feature)]
        first = min((key.drop for key in said if key.drop), default=None)
        gone = idle[:1] or [key for key in said if key.drop == first]
        for key in gone:
            self._put(key, None)
        return bool(gone)

    def agree(self, request, reply, *, server):
        """What holds once these were exchanged, for the server or the client that has self to say. Of keys of
        which each side has its own it is the other's."""
        out, theirs = Capabilities(), request if server else reply
        for key in _KEYS:
            said = [key.default if v is None else v for v in (self._value(key), theirs._value(key))]
            holds = not key.feature or request._proposes(key) and reply._value(key) is not None
            out._put(key, key.combined(*said) if holds else key.default)
        return out

    def limits(self, own=None, minor=0):
        """These, agreed, as Limits: of what the other side takes; with own, of what a side takes that says own.
        minor: the version agreed."""
        out = Limits(${minor})
        for key in _KEYS:
            if key.limit:
                of = own if own is not None and key.combine == "own" else self
                value = key.default if of._value(key) is None else of._value(key)
                setattr(out, key.limit, value & -value if key.lowest_bit else value)
        return out


_OBJECTS = {${classes}}

CAPABILITIES = (
    ${rows}
)

_KEYS = [key for key in CAPABILITIES if key.type != "object"]

]]

local function class_of(object)
	return pyname.class(object.name) .. "Capabilities"
end
M.class_of = class_of

local value = pyname.value

-- A bool of which nothing is said is what it is by default.
local function ours(c)
	if c.kept or not c.ours then
		return nil
	elseif c.ours.value == nil and c.type == "bool" then
		return c.default
	end
	return c.ours.value
end

local function row(c, object)
	local out = { quote(c.object or ""), quote(c.name), quote(object and "object" or c.type) }
	for _, v in ipairs { { c.default }, { c.min }, { c.max }, { c.multiple_of }, { c.combine and quote(c.combine) },
			     { c.limit and quote(c.limit.name) }, { c.as == "lowest_bit" }, { c.feature }, { c.in_request }, { c.in_reply },
			     { ours(c) }, { c.drop } } do
		out[#out + 1] = value(v[1])
	end
	return ("Capability(%s,\n    %s),"):format(table.concat(out, ", "), quote(c.doc))
end

-- Calls visit(cap, object) for all keys in the order of the spec; objects are before what lies in them.
local function each_key(model, visit)
	local seen = {}
	for _, c in ipairs(model.caps) do
		local object = model.cap_objects[c.object]
		if object and not seen[object] then
			seen[object] = true
			visit(object, true)
		end
		visit(c)
	end
end

-- The keys in this object, as visit(name, type, doc).
function M.each_field(model, object, visit)
	each_key(model, function(c, is_object)
		if (c.object or "") == object then
			visit(c.name, (is_object and class_of(c) or c.type == "bool" and "bool" or "int") .. " | None", c.doc)
		end
	end)
end

local function fields(model, object)
	local out = {}
	M.each_field(model, object, function(name, type, doc)
		out[#out + 1] = text.wrap("# " .. doc, 96, "", "# ")
		out[#out + 1] = ("%s: %s = None"):format(name, type)
	end)
	return out
end

local object_class = [[
@dataclasses.dataclass
class ${class}(_Keys):
    """${doc}"""

    ${fields}

    OBJECT = ${name}

]]

function M.text(model)
	local vars = { depth = tail_json.depth(model), objects = {}, fields = fields(model, ""), rows = {} }
	vars.classes = table.concat(text.map(model.cap_objects, function(o) return quote(o.name) .. ": " .. class_of(o) end), ", ")
	for _, o in ipairs(model.cap_objects) do
		table.insert(vars.objects, text.fill(object_class, { class = class_of(o), doc = o.doc, name = quote(o.name),
			fields = fields(model, o.name) }) .. "\n")
	end
	each_key(model, function(c, is_object) table.insert(vars.rows, row(c, is_object)) end)
	vars.minor = model.most.minor and model.most.minor.name .. "=minor" or ""
	return text.fill(M.template, vars)
end

-- All names that the module offers, quoted: __all__ of it and of its types.
function M.exported(model)
	local names = {}
	for _, e in ipairs(model.enums) do
		names[#names + 1] = pyname.class(e.name)
	end
	for _, s in ipairs(model.flags) do
		names[#names + 1] = pyname.flags(s.name)
	end
	pyname.each_class(model, function(part) names[#names + 1] = pyname.part(part) end)
	for _, object in ipairs(model.cap_objects) do
		names[#names + 1] = M.class_of(object)
	end
	table.move(pyname.fixed, 1, #pyname.fixed, #names + 1, names)
	return text.map(names, function(name) return quote(name) .. "," end)
end

return M
