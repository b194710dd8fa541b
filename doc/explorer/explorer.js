// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 the libvfu authors
//
// The protocol explorer: the decoder of vfio-user, and the page around it.
//
//	vfio-user.json --> new Vfu.Model()
//	                        |
//	text --> Vfu.chunks() --+--> Vfu.decode() --> messages: a tree of items, the rule that is broken
//	                        |                        |
//	                        +--> page: pictures,     +--> page: bytes and fields, side by side
//	                             details, filters
//
// Vfu, the first half, is pure functions, in node too: require("./explorer.js").  It knows no message, field
// or flag: all that is in the model, whose format codegen/MODEL.md describes.  A payload is read twice: by
// Reader, which shows whatever is there, and by Checker, which stops at the first rule that is broken.
// Numbers are BigInt, conditions boolean; what was not seen (a request, descriptors) is Unknown, and rules
// that ask for it are left out.
"use strict";

const Vfu = (() => {
	// Expressions ------------------------------------------------------------------------------

	class Unknown extends Error {}

	const wrap = (v) => BigInt.asUintN(64, v);
	const BINARY = {
		add: (a, b) => wrap(a + b),
		sub: (a, b) => wrap(a - b),
		mul: (a, b) => wrap(a * b),
		div: (a, b) => (b ? a / b : 0n),
		mod: (a, b) => (b ? a % b : 0n),
		div_up: (a, b) => (b ? (a + b - 1n) / b : 0n),
		band: (a, b) => a & b,
		shr: (a, b) => a >> b,
		eq: (a, b) => a === b,
		ne: (a, b) => a !== b,
		lt: (a, b) => a < b,
		gt: (a, b) => a > b,
		ge: (a, b) => a >= b,
	};

	const known = (table, name) => {
		if (!table || table[name] === undefined || table[name] === null)
			throw new Unknown(name);
		return table[name];
	};

	const OTHER = {
		field: (s, e) => known(s.fields[e.of], e.name),
		limit: (s, e) => known(s.limits, e.name),
		name: (s, e) => known(s.variables, e.name),
		policy: (s, e) => s.policies[e.name] === e.choice,
		nfds: (s) => known(s, "nfds"),
		len: (s) => BigInt(s.payload.length),
		start: (s) => known(s.variables, "start"),
		andalso: (s, e) => value(s, e.a) && value(s, e.b),
		orelse: (s, e) => value(s, e.a) || value(s, e.b),
		not: (s, e) => !value(s, e.a),
		one_bit: (s, e) => {
			const v = value(s, e.a);
			return v !== 0n && (v & (v - 1n)) === 0n;
		},
		is_text: (s, e) => {
			const at = Number(value(s, e.a));
			return at < s.payload.length && s.payload.indexOf(0, at) === s.payload.length - 1;
		},
		choose: (s, e) => value(s, value(s, e.if) ? e.a : e.b),
	};

	// The value of an expression in a scope; true where there is none.
	function value(s, e) {
		if (e === undefined)
			return true;
		if (typeof e !== "object")
			return typeof e === "boolean" ? e : BigInt(e);
		const binary = BINARY[e.op];
		return binary ? binary(value(s, e.a), value(s, e.b)) : OTHER[e.op](s, e);
	}

	// Does a condition hold?  Not if it looks at what was not seen.
	function holds(s, e) {
		try {
			return value(s, e);
		} catch (error) {
			if (error instanceof Unknown)
				return false;
			throw error;
		}
	}

	// What an expression looks at: a part of a payload, and what is around it.
	function scope(payload, around) {
		return { payload, nfds: around.nfds, limits: around.limits, policies: around.policies,
			 little: around.little, fields: { ...around.fields }, variables: {} };
	}

	// The model --------------------------------------------------------------------------------

	const by = (list, key) => new Map(list.map((entry) => [entry[key], entry]));
	const widthOf = (type) => Number(type.slice(1)) / 8; // u32: 4

	class Model {
		constructor(tree) {
			this.tree = tree;
			for (const kind of ["structs", "flags", "enums", "limits", "policies"])
				this[kind] = by(tree[kind], "name");
			this.messages = by(tree.messages, "name");
			this.numbers = by(tree.messages, "id");
			this.revisions = Object.keys(tree.revisions);
			this.profiles = Object.keys(tree.policies[0] ? tree.policies[0].profiles : {});
		}

		// The name of a number of this enumeration, or "".
		meaning(name, v) {
			const found = name && this.enums.get(name).values.find((one) => BigInt(one.value) === v);
			return found ? found.name : "";
		}

		// The name of an error's number, or "".
		errno(v) {
			const found = Object.entries(this.tree.errnos).find(([, number]) => BigInt(number) === v);
			return found ? found[0] : "";
		}

		// A choice for each policy: of a profile, or the defaults.
		choices(profile) {
			return Object.fromEntries(this.tree.policies.map((p) => [p.name, p.profiles[profile] || p.default]));
		}

		// Where nothing else is known: what each limit is by default.
		defaults() {
			return Object.fromEntries(this.tree.limits.map((l) => [l.name, l.type === "bool" ? l.default : BigInt(l.default)]));
		}

		// While no VERSION was seen: all that must be agreed was, and numbers are those of who says nothing.
		unseen() {
			const out = this.defaults();
			for (const l of this.tree.limits) {
				if (l.type === "bool")
					out[l.name] = true;
				else if (l.counts === "minor")
					out[l.name] = BigInt(l.max);
			}
			return out;
		}
	}

	// Bytes ------------------------------------------------------------------------------------

	const READ = { 1: "getUint8", 2: "getUint16", 4: "getUint32", 8: "getBigUint64" };

	function number(bytes, at, size, little) {
		return BigInt(new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)[READ[size]](at, little));
	}

	const hex = (bytes) => Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join(" ");

	const OFFSET = /^\s*(?:0x)?([0-9a-fA-F]{4,16})(:|\s\s|$)\s*/;
	const LINE = 16; // most bytes in a line of a dump
	const MOST = 1 << 24; // bytes that are read of what was pasted

	// The bytes of a line of a dump, behind its offset.
	function dumped(rest, colon) {
		rest = rest.split("|")[0];
		if (colon) // the text stands behind two spaces
			rest = rest.trim().split(/\s\s+/)[0];
		let digits = "";
		for (const word of rest.split(/\s+/)) {
			if (!/^(?:[0-9a-fA-F]{2})+$/.test(word) || digits.length + word.length > 2 * LINE)
				break;
			digits += word;
		}
		return digits;
	}

	function plain(line, row) {
		const digits = line.replace(/0x|\\x|[\s:,]/g, "");
		if (!/^[0-9a-fA-F]*$/.test(digits))
			throw new Error(`line ${row}: “${line.trim().slice(0, 40)}” is not hexadecimal`);
		if (digits.length % 2)
			throw new Error(`line ${row}: “${line.trim().slice(0, 40)}” has an odd number of digits`);
		return digits;
	}

	const unhex = (digits) => Array.from(digits.match(/../g) || [], (pair) => parseInt(pair, 16));

	// What people paste: plain digits, or a dump of xxd, hexdump -C, tcpdump or Wireshark, several of them one behind
	// the other.  A list of Uint8Array: an offset of 0 begins another.  Throws Error, which says what is wrong.
	function chunks(text) {
		const out = [];
		let now = [], dumping = false, starred = false; // dumping: the line before had an offset
		const end = () => {
			if (now.length)
				out.push(Uint8Array.from(now));
			now = [];
		};
		text.split(/\r?\n/).forEach((line, i) => {
			if (/^\s*(#|$)/.test(line))
				return;
			if (line.trim() === "*") {
				starred = dumping;
				return;
			}
			const head = OFFSET.exec(line), at = head ? parseInt(head[1], 16) : -1;
			const behind = head ? dumped(line.slice(head[0].length), head[2] === ":") : "";
			if (head && at === 0 && now.length && behind)
				end();
			if (starred && head && at > now.length && at <= MOST && now.length >= LINE) {
				while (now.length < at)
					now.push(now[now.length - LINE]);
			}
			starred = false;
			const is_dump = head && at === now.length && (behind || (dumping && head[2] === ""));
			dumping = Boolean(is_dump && behind);
			for (const byte of unhex(is_dump ? behind : plain(line, i + 1))) // as arguments they may be too many
				now.push(byte);
			if (now.length > MOST)
				throw new Error(`line ${i + 1}: more than ${MOST} bytes`);
		});
		end();
		return out;
	}

	// What chunks() reads again.
	function dump(bytes) {
		const rows = [];
		for (let at = 0; at < bytes.length; at += LINE)
			rows.push(`${at.toString(16).padStart(8, "0")}  ${hex(bytes.subarray(at, at + LINE))}`);
		return rows.join("\n");
	}

	function unicode(bytes) {
		try {
			return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
		} catch (error) {
			throw new SyntaxError("is not UTF-8");
		}
	}

	// JSON, with whole numbers as BigInt: a double can not hold all of 64 bits.  At most so many objects and arrays
	// lie in one another.  Throws SyntaxError, in the words of the library.
	function readJson(text, levels = 200) {
		const token = /[ \t\n\r]*(?:("(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*")|(-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][-+]?\d+)?)|([a-z]+)|([[\]{},:]))/y;
		const words = { true: true, false: false, null: null };
		const fail = (why) => {
			throw new SyntaxError(why);
		};
		const malformed = () => fail("is malformed");
		const next = () => token.exec(text) || malformed();
		const wants = (mark) => next()[4] === mark || malformed();
		const peek = (mark) => {
			const at = token.lastIndex, found = token.exec(text);
			if (found && found[4] === mark)
				return true;
			token.lastIndex = at;
			return false;
		};
		function list(close, one) {
			if (peek(close))
				return;
			do
				one();
			while (peek(","));
			wants(close);
		}
		function member(out, depth) {
			const literal = next()[1], key = literal === undefined ? malformed() : JSON.parse(literal);
			if (key.includes("\0"))
				fail("has a NUL in a key");
			wants(":");
			const v = any(depth);
			if (out.has(key))
				fail("has a key twice");
			out.set(key, v);
		}
		function any(depth) {
			const [, string, digits, word, mark] = next();
			if ((mark === "[" || mark === "{") && depth === levels)
				fail(`is nested deeper than ${levels} levels`);
			if (string !== undefined)
				return JSON.parse(string);
			if (digits !== undefined)
				return /^-?\d+$/.test(digits) ? BigInt(digits) : Number(digits);
			if (word !== undefined && Object.hasOwn(words, word))
				return words[word];
			if (mark === "[") {
				const out = [];
				list("]", () => out.push(any(depth + 1)));
				return out;
			}
			if (mark !== "{")
				malformed();
			const out = new Map();
			list("}", () => member(out, depth + 1));
			return out;
		}
		const out = any(0);
		if (/[^ \t\n\r]/.test(text.slice(token.lastIndex)))
			malformed();
		return out;
	}

	// Rules ------------------------------------------------------------------------------------

	class Fault {} // thrown

	// Says what the generated checks of the library say; see "Parts" and "Tails" in codegen/MODEL.md.
	class Checker {
		constructor(model, payload, around) {
			this.model = model;
			this.payload = payload;
			this.around = around;
			this.skipped = []; // rules that look at what was not seen
		}

		fault(here, rule, field, at, v) {
			throw Object.assign(new Fault(), { field: here.prefix + field, text: rule.text, rule: rule.rule, at: Number(at),
							   value: v, errno: rule.errno || "EINVAL", spec: rule.spec, under: rule.under });
		}

		rules(here, list) {
			for (const r of list || []) {
				try {
					if (!value(here, r.when) || !value(here, r.under) || !value(here, r.broken))
						continue;
				} catch (error) {
					if (!(error instanceof Unknown))
						throw error;
					this.skipped.push({ field: here.prefix + r.field, text: r.text });
					continue;
				}
				const at = typeof r.at === "number" ? here.base + r.at : value(here, r.at);
				this.fault(here, r, r.field, at, value(here, r.value));
			}
		}

		scope(around, base, prefix) {
			return Object.assign(scope(this.payload, around), { base, prefix });
		}

		number(at, size) {
			return number(this.payload, at, size, this.around.little);
		}

		fields(part, at) {
			return Object.fromEntries(part.fields.map((f) => [f.name, this.number(at + f.offset, widthOf(f.type))]));
		}

		check(part) {
			const here = this.scope(this.around, 0, "");
			here.variables.start = BigInt(part.size);
			for (const other of part.alternatives || []) {
				if (holds(here, other.condition)) {
					here.fields.self = this.fields(other, 0);
					return this.rules(here, other.rules);
				}
			}
			this.rules(here, part.before);
			here.fields.self = here.fields.outer = this.fields(part, 0);
			this.rules(here, part.rules);
			return this.behind(part, here);
		}

		struct(name, at, around) {
			const part = this.model.structs.get(name);
			const here = this.scope(around, at, `${name}.`);
			if (this.payload.length < at + part.size)
				this.fault(around, part.fits, name, at, BigInt(this.payload.length));
			here.fields.self = this.fields(part, at);
			here.variables.start = BigInt(at + part.size);
			this.rules(here, part.rules);
			this.behind(part, here);
			return here.fields.self;
		}

		behind(part, here) {
			const tail = part.tail;
			if (tail) {
				for (const [name, e] of Object.entries(tail.variables || {}))
					here.variables[name] = value(here, e);
			}
			this.rules(here, part.after);
			if (tail && this[tail.kind])
				this[tail.kind](tail, here);
		}

		array(tail, here) {
			const before = [];
			if (!this.model.structs.has(tail.of))
				return;
			for (let i = 0; i < here.variables.n; i++) {
				const at = Number(here.variables.start) + i * tail.entry_size;
				const entry = this.struct(tail.of, at, here);
				if (tail.disjoint)
					this.disjoint(tail, here, before, entry, at);
				before.push(entry);
			}
		}

		disjoint(tail, here, before, entry, at) {
			const [start, length] = tail.disjoint;
			for (const other of before) {
				if (wrap(entry[start] - other[start]) < other[length] || wrap(other[start] - entry[start]) < entry[length])
					this.fault(here, tail.overlap, tail.name, at, BigInt(before.length));
			}
		}

		// What lies at `at`, if it is one of these.
		entry(items, at, here) {
			here.variables.at = BigInt(at);
			const item = items.find((one) => holds(here, one.condition));
			if (item) {
				this.rules(here, item.rules);
				here.variables.seen = (here.variables.seen || 0n) | BigInt(item.bit || 0);
				this.struct(item.struct, at, here);
			}
		}

		union(tail, here) {
			this.entry(tail.items, Number(here.variables.start), here);
		}

		strided(tail, here) {
			const items = tail.order.map((name) => tail.items.find((item) => item.name === name));
			const step = Math.max(Number(here.variables.stride), 1);
			for (let at = Number(here.variables.start); at < this.payload.length; at += step) {
				here.variables.by = this.number(at + tail.by.offset, widthOf(tail.by.type));
				this.entry(items, at, here);
			}
		}

		chain(tail, here) {
			if (!value(here, tail.present))
				return;
			const head = this.model.structs.get(tail.head);
			here.variables.seen = 0n;
			here.variables.from = here.variables.start;
			for (let at = value(here, tail.at); ; ) {
				here.variables.at = at;
				this.rules(here, [tail.each]);
				here.fields.head = this.fields(head, Number(at));
				this.entry(tail.items, Number(at), here);
				here.variables.from = at + BigInt(head.size);
				at = here.fields.head[tail.next];
				if (at === 0n)
					return;
			}
		}

		// A text that has passed its rules; its `schema` is a list of keys.
		json(tail, here) {
			const at = Number(here.variables.start);
			if (!tail.schema || this.payload.length === at)
				return;
			const length = BigInt(this.payload.length - at);
			let tree;
			try {
				tree = readJson(unicode(this.payload.subarray(at, this.payload.length - 1)), tail.depth);
			} catch (error) {
				this.fault(here, { ...tail.syntax, text: `${tail.syntax.text} (${error.message})` }, tail.name, at, length);
			}
			this.object(here, tail.object, tail.name, at, tree);
			const said = tree.has(tail.schema) ? tree.get(tail.schema) : new Map();
			this.object(here, tail.object, tail.schema, at, said);
			this.keys(here, tail, at, said);
		}

		object(here, rule, field, at, v) {
			if (!(v instanceof Map))
				this.fault(here, rule, field, at, v);
		}

		keys(here, tail, at, said) {
			const side = this.around.is_reply ? "in_reply" : "in_request";
			const seen = new Set();
			for (const c of this.model.tree[tail.schema]) {
				let of = said;
				if (c.object) {
					if (!said.has(c.object))
						continue;
					of = said.get(c.object);
					if (!seen.has(c.object) && seen.add(c.object))
						this.object(here, tail.object, `${tail.schema}.${c.object}`, at, of);
				}
				if (c[side] && of.has(c.name))
					this.key(here, tail, at, c, of.get(c.name));
			}
		}

		key(here, tail, at, c, v) {
			const field = [tail.schema, c.object, c.name].filter(Boolean).join(".");
			const whole = typeof v === "bigint";
			const fits = c.type === "bool" ? typeof v === "boolean" : whole && v >= BigInt(c.min) && v <= BigInt(c.max);
			if (!fits)
				this.fault(here, c.rules[0], field, at, v);
			if (c.multiple_of && v % BigInt(c.multiple_of))
				this.fault(here, c.rules[1], field, at, v);
		}
	}

	// Fields -----------------------------------------------------------------------------------

	const ENTRIES = 65536; // a count is not to be trusted

	// Reads a payload that may be shorter than its layout: what is there is shown, up to where it makes no sense.
	// An item is { name, at, size, value, meaning, show, doc, link, items }: `at` counts from the begin of the
	// message, value is absent for structures, link is the address of its definition in the page.
	class Reader {
		constructor(model, payload, around, base) {
			this.model = model;
			this.payload = payload;
			this.here = scope(payload, around);
			this.base = base;
			this.end = 0; // behind what was read last
		}

		number(at, size) {
			return at + size <= this.payload.length ? number(this.payload, at, size, this.here.little) : undefined;
		}

		item(name, at, size, more) {
			return { name, at: this.base + at, size, items: [], ...more };
		}

		bits(f, at, size, v) {
			const of = f.flags && this.model.flags.get(f.flags);
			return (of ? of.members : []).map((m) => {
				const link = `flags/${f.flags}/${m.name}`, bits = (v & BigInt(m.mask)) >> BigInt(m.shift);
				const more = m.enum ? { value: bits, meaning: this.model.meaning(m.enum, bits) } : { value: bits !== 0n };
				return this.item(m.name, at, size, { ...more, bit: true, doc: m.doc, link });
			});
		}

		// The fields that are there: [items, their values by name].
		fields(part, at, link) {
			const items = [], values = {};
			for (const f of part.fields) {
				const size = widthOf(f.type), v = this.number(at + f.offset, size);
				if (v === undefined)
					break;
				values[f.name] = v;
				this.end = at + f.offset + size;
				items.push(this.item(f.name, at + f.offset, size, {
					value: v, meaning: this.model.meaning(f.enum, v), show: f.flags ? "hex" : f.show, type: f.type,
					doc: f.doc, link: `${link}/${f.name}`, items: this.bits(f, at + f.offset, size, v),
				}));
			}
			return [items, values];
		}

		data(name, at, end, more) {
			end = Math.min(end, this.payload.length);
			this.end = Math.max(this.end, end);
			return end > at ? [this.item(name, at, end - at, { value: this.payload.slice(at, end), ...more })] : [];
		}

		side(part, link) {
			const other = (part.alternatives || []).find((one) => holds(this.here, one.condition));
			if (other)
				[part, link] = [other, `${link}/${other.name}`];
			const [items, values] = this.fields(part, 0, link);
			this.values = this.here.fields.self = this.here.fields.outer = values;
			if (Object.keys(values).length === part.fields.length && part.tail)
				items.push(...this.tail(part, part.size, link));
			items.push(...this.data("rest", this.end, this.payload.length, { doc: "bytes that no layout describes" }));
			return items;
		}

		// A structure at this offset, or undefined if its fields are not all there.
		struct(name, at, shown) {
			const part = this.model.structs.get(name), around = this.here;
			if (at + part.size > this.payload.length)
				return undefined;
			const link = `struct/${name}`, [items, values] = this.fields(part, at, link);
			this.here = scope(this.payload, around);
			this.here.fields.self = values;
			if (part.tail)
				items.push(...this.tail(part, at + part.size, link));
			this.here = around;
			return this.item(shown || name, at, this.end - at, { items, doc: part.doc, link });
		}

		tail(part, start, link) {
			const tail = part.tail, here = this.here;
			here.variables.start = BigInt(start);
			try {
				for (const [name, e] of Object.entries(tail.variables || {}))
					here.variables[name] = value(here, e);
				return this[tail.kind](tail, start, { doc: tail.doc, link: `${link}/${tail.name}` });
			} catch (error) {
				if (error instanceof Unknown)
					return [];
				throw error;
			}
		}

		bytes(tail, start, more) {
			const size = value(this.here, tail.when) ? value(this.here, tail.size) : 0n;
			return this.data(tail.name, start, start + Math.min(Number(size), MOST), more);
		}

		json(tail, start, more) {
			const raw = this.payload.subarray(start);
			if (!raw.length)
				return [];
			this.end = this.payload.length;
			const nul = raw.indexOf(0), text = new TextDecoder().decode(nul < 0 ? raw : raw.subarray(0, nul));
			const items = tail.schema ? this.keys(tail.schema, text, start, raw.length) : [];
			return [this.item(tail.name, start, raw.length, { value: text, ...more, items })];
		}

		keys(schema, text, at, size) {
			const out = [];
			for (const [c, v] of said(this.model, schema, text)) {
				const name = c.object ? `${c.object}.${c.name}` : c.name;
				out.push(this.item(name, at, size, { value: v, doc: c.doc, link: `capability/${name}`, inside: true }));
			}
			return out;
		}

		array(tail, start, more) {
			const out = [], n = this.here.variables.n, size = tail.entry_size;
			for (let i = 0; i < n && i < ENTRIES; i++) {
				const at = start + i * size;
				if (this.model.structs.has(tail.of)) {
					const item = this.struct(tail.of, at, `${tail.name}[${i}]`);
					if (!item)
						break;
					out.push(item);
				} else {
					const v = this.number(at, size);
					if (v === undefined)
						break;
					this.end = at + size;
					out.push(this.item(`${tail.name}[${i}]`, at, size, { value: v, show: "hex", ...more }));
				}
			}
			return out;
		}

		choose(items, at) {
			const item = items.find((one) => holds(this.here, one.condition));
			return item && this.struct(item.struct, at, item.name);
		}

		union(tail, start, more) {
			const item = this.choose(tail.items, start);
			return item ? [item] : this.data(tail.name, start, this.payload.length, more);
		}

		strided(tail, start, more) {
			const out = [], stride = Number(this.here.variables.stride);
			const items = tail.order.map((name) => tail.items.find((item) => item.name === name));
			if (stride < tail.min_stride)
				return out;
			for (let at = start; at + stride <= this.payload.length; at += stride) {
				this.here.variables.by = this.number(at + tail.by.offset, widthOf(tail.by.type));
				const item = this.choose(items, at);
				if (item) {
					item.size = stride;
					this.end = at + stride;
				}
				out.push(...(item ? [item] : this.data(tail.name, at, at + stride, more)));
			}
			return out;
		}

		chain(tail, start) {
			const out = [], head = this.model.structs.get(tail.head);
			if (!value(this.here, tail.present))
				return out;
			let at = Number(value(this.here, tail.at)), before = start;
			while (before <= at && at + head.size <= this.payload.length) {
				const [items, values] = this.fields(head, at, `struct/${head.name}`);
				const following = Number(values[tail.next]);
				this.here.fields.head = values;
				out.push(this.choose(tail.items, at) || this.link(head, items, at, following || this.payload.length));
				[before, at] = [at + head.size, following];
			}
			this.end = this.payload.length;
			return out;
		}

		// A link that nobody knows: its head, and bytes.
		link(head, items, at, end) {
			end = Math.max(at + head.size, Math.min(end, this.payload.length));
			items.push(...this.data("unknown", at + head.size, end, {}));
			return this.item(head.name, at, end - at, { items, doc: head.doc, link: `struct/${head.name}` });
		}
	}

	// [capability, what is said of it] of those keys whose type is right.
	function said(model, schema, text) {
		let tree;
		try {
			tree = readJson(text).get(schema);
		} catch (error) {
			return [];
		}
		const inside = (c) => (c.object && tree.get(c.object) instanceof Map ? tree.get(c.object) : c.object ? new Map() : tree);
		return model.tree[schema].map((c) => [c, tree instanceof Map ? inside(c).get(c.name) : undefined])
			.filter(([c, v]) => (c.type === "bool" ? typeof v === "boolean" : typeof v === "bigint" && v >= 0n && v < 1n << 64n));
	}

	// Messages ---------------------------------------------------------------------------------

	// The part of a message's JSON, if it has one that says what is agreed.
	const schemaOf = (entry) => entry && entry.reply.tail && entry.reply.tail.schema;

	// What was agreed: { client, server }, the limits of what each takes.
	function agree(model, schema, asked, answer) {
		const of = (text) => new Map(said(model, schema, text).map(([c, v]) => [c, v]));
		const client = of(asked.text), server = of(answer.text);
		const out = { client: model.defaults(), server: model.defaults() };
		for (const c of model.tree[schema].filter((one) => one.limit)) {
			const holds_ = !c.feature || (client.has(c) && server.has(c));
			const says = (side) => (side.has(c) ? side.get(c) : c.type === "bool" ? c.default : BigInt(c.default));
			const [mine, theirs] = holds_ ? [says(client), says(server)] : [says(new Map()), says(new Map())];
			const both = { min: () => (mine < theirs ? mine : theirs), and: () => mine && theirs, echo: () => mine };
			const put = (side, v) => (out[side][c.limit] = c.as === "lowest_bit" ? v & -v : v);
			put("client", c.combine === "own" ? mine : both[c.combine]());
			put("server", c.combine === "own" ? theirs : both[c.combine]());
		}
		for (const l of model.tree.limits.filter((one) => one.counts === "minor"))
			out.client[l.name] = out.server[l.name] = answer.values[l.name];
		return out;
	}

	// The messages that follow one another in these bytes; the last one may be cut.
	function split(model, bytes, little) {
		const out = [], header = model.tree.header;
		const length = header.fields.find((f) => f.name === header.length);
		while (bytes.length) {
			let size = bytes.length < header.size ? 0 : Number(number(bytes, length.offset, widthOf(length.type), little));
			size = size >= header.size ? Math.min(size, bytes.length) : bytes.length;
			out.push(bytes.subarray(0, size));
			bytes = bytes.subarray(size);
		}
		return out;
	}

	class Decoder {
		// options: policies, by name; limits, those of both sides if VERSION is not among the messages; little, the
		// byte order (true if absent).
		constructor(model, options = {}) {
			this.model = model;
			this.options = options;
			this.policies = { ...model.choices(), ...options.policies };
			this.waiting = new Map(); // requests by id
			this.agreed = null;
		}

		around(more) {
			const little = this.options.little !== false;
			return { policies: this.policies, limits: {}, little, fields: {}, nfds: null, ...more };
		}

		// The next message: { name, bytes, items, is_reply, is_error, request, fault, skipped, notes, … }.
		// given: what is known of it besides, { nfds, request: fields of the request }.
		message(bytes, given = {}) {
			const header = this.model.tree.header;
			const reader = new Reader(this.model, bytes, this.around(), 0);
			const [items, values] = reader.fields(header, 0, "header");
			const m = { bytes, items, header: values, name: "", notes: [], skipped: [], fault: null };
			if (items.length < header.fields.length) {
				m.notes.push("is shorter than a header");
				return m;
			}
			const here = this.around({ fields: { self: values } });
			for (const [key, e] of Object.entries(header.is))
				m[`is_${key}`] = value(here, e);
			if (m.is_failed)
				items.find((item) => item.name === header.error).meaning = this.model.errno(values[header.error]);
			m.entry = this.model.numbers.get(Number(values[header.command]));
			m.name = m.entry ? m.entry.name : "";
			m.payload = bytes.subarray(header.size);
			this.pair(m, given);
			this.look(m, given);
			return m;
		}

		pair(m, given) {
			const id = m.header[this.model.tree.header.id], command = this.model.tree.header.command;
			const other = m.entry && m.entry.from === "client" ? "server" : "client";
			m.sender = m.entry && (m.is_reply ? other : m.entry.from);
			const key = `${m.is_reply ? other : m.sender} ${id}`;
			if (!m.is_reply) {
				if (!m.is_no_reply)
					this.waiting.set(`${other} ${id}`, m);
				return;
			}
			m.request = given.request ? undefined : this.waiting.get(key);
			this.waiting.delete(key);
			if (m.request && m.request.bytes.length < Number(m.request.header[this.model.tree.header.length]))
				m.request = undefined;
			if (m.request && m.request.header[command] !== m.header[command])
				m.request = undefined;
			if (!m.request && !given.request)
				m.notes.push("answers no request that was seen: rules that compare with it were left out");
		}

		look(m, given) {
			const header = this.model.tree.header, says = m.header[header.length];
			const is_whole = says === BigInt(m.bytes.length);
			m.is_looked = Boolean(m.entry) && is_whole;
			m.fault = this.verdict(m, header, m.bytes.subarray(0, header.size), this.around());
			if (!m.entry)
				m.notes.push(`is of command ${m.header[header.command]}, which nobody knows`);
			else if (!is_whole)
				m.notes.push(`says in its header that it has ${says} bytes, but there are ${m.bytes.length}: its rules were not looked at`);
			if (!is_whole)
				this.doubt(m);
			if (m.entry && !m.is_failed)
				return this.payload(m, given, is_whole);
			m.items.push(...new Reader(this.model, m.payload, this.around(), header.size)
				.data("rest", 0, m.payload.length, { doc: "bytes that are not looked at" }));
			return undefined;
		}

		// Its length makes no sense: would it in the other byte order?
		doubt(m) {
			const header = this.model.tree.header, length = header.fields.find((f) => f.name === header.length);
			const other = number(m.bytes, length.offset, widthOf(length.type), this.options.little === false);
			if (other >= BigInt(header.size) && other <= BigInt(m.bytes.length))
				m.notes.push(`would have ${other} bytes in the other byte order: is it that one?`);
		}

		payload(m, given, is_whole) {
			const side = m.is_reply ? "reply" : "request", takes = m.sender === "client" ? "server" : "client";
			const around = this.around({ is_reply: m.is_reply });
			around.nfds = given.nfds ?? null;
			around.limits = this.agreed ? this.agreed[takes] : { ...this.model.unseen(), ...this.options.limits };
			around.fields.request = given.request || (m.request && m.request.values);
			const reader = new Reader(this.model, m.payload, around, this.model.tree.header.size);
			m.items.push(...reader.side(m.entry[side], `message/${m.name}/${side}`));
			m.values = reader.values;
			if (!is_whole)
				return;
			m.fault = m.fault || this.verdict(m, m.entry[side], m.payload, around);
			this.version(m);
		}

		// What was agreed holds from here on.
		version(m) {
			const schema = schemaOf(m.entry);
			if (!schema || m.fault)
				return;
			const text = m.items.find((item) => item.name === m.entry[m.is_reply ? "reply" : "request"].tail.name);
			m.text = text ? text.value : "{}";
			if (m.is_reply && m.request && !m.request.fault)
				this.agreed = m.agreed = agree(this.model, schema, m.request, m);
		}

		verdict(m, part, payload, around) {
			const checker = new Checker(this.model, payload, around);
			try {
				checker.check(part);
			} catch (error) {
				if (!(error instanceof Fault || error instanceof Unknown))
					throw error;
				m.skipped.push(...checker.skipped);
				return error instanceof Fault ? Object.assign(error, { in_header: part === this.model.tree.header }) : null;
			}
			m.skipped.push(...checker.skipped);
			return null;
		}
	}

	// Everything in a text that was pasted: a list of messages. Options are those of Decoder, and nfds, how many descriptors came
	// with each message: one number of all, or a list, which may be shorter.
	function decode(model, text, options = {}) {
		const decoder = new Decoder(model, options);
		const nfds = (i) => (Array.isArray(options.nfds) ? options.nfds[i] : options.nfds);
		return chunks(text).flatMap((chunk) => split(model, chunk, options.little !== false))
			.map((one, i) => decoder.message(one, { nfds: nfds(i) }));
	}

	return { Model, Decoder, Checker, Reader, chunks, dump, split, decode, readJson, hex, widthOf, value, holds };
})();

if (typeof module !== "undefined")
	module.exports = Vfu;

// The page ------------------------------------------------------------------------------------------
//
// Whatever can be linked has an address, which is the id of its element: "message/dma_map/request/flags",
// "flags/dma_map/readable", "struct/…/…", "enum/…/…", "capability/…", "limit/…", "policy/…", "erratum/17".
// Entries holds what the panel at the side says of each.

if (typeof document !== "undefined") {
	const model = new Vfu.Model(JSON.parse(document.getElementById("model").textContent));
	const page = Page(model);
	page.start();
	window.explorer = { model, page };
}

function Page(model) {
	const tree = model.tree;
	const entries = new Map(); // address -> () => nodes of the panel
	const $ = (id) => document.getElementById(id);

	// h("a", { href: "#x" }, "text", node, …)
	function h(tag, attributes, ...inner) {
		return fill(document.createElement(tag), attributes, ...inner);
	}

	function fill(node, attributes, ...inner) {
		for (const [key, v] of Object.entries(attributes || {})) {
			if (v !== undefined && v !== false && v !== null)
				node.setAttribute(key, v === true ? "" : v);
		}
		node.append(...inner.flat(Infinity).filter((one) => one !== undefined && one !== null && one !== false && one !== ""));
		return node;
	}

	const to = (address, ...inner) => h("a", { href: `#${address}` }, ...inner);
	// A name may be broken behind its underscores and dots.
	const breakable = (name) => name.split(/(?<=[_.])/).flatMap((piece, i) => [i > 0 && h("wbr"), piece]);
	const code = (name) => h("code", {}, breakable(name));
	const upper = (name) => name.toUpperCase();
	const plural = (n, word) => `${n} ${word}${n === 1 ? "" : "s"}`;
	const list = (array) => (array && array.length ? array : []);

	// English ------------------------------------------------------------------------------------------

	const BETWEEN = {
		add: "+", sub: "−", mul: "×", div: "÷", mod: "modulo", band: "&", shr: "»", eq: "is", ne: "is not",
		lt: "is below", gt: "is above", ge: "is at least", andalso: "and", orelse: "or",
	};
	const WHOSE = { self: "", request: "the request's ", outer: "the message's field ", head: "its " };
	const LEAVES = { nfds: "the number of descriptors", len: "the payload's length", start: "what the fields take" };

	// "mmap is set" for a test of bits.
	function flagWords(e, part) {
		if ((e.op !== "eq" && e.op !== "ne") || e.b !== 0 || !e.a || e.a.op !== "band" || e.a.a.op !== "field")
			return "";
		const f = part && part.fields.find((one) => one.name === e.a.a.name && e.a.a.of === "self");
		const m = f && f.flags && model.flags.get(f.flags).members.find((one) => one.mask === e.a.b);
		return m ? `${m.name} is ${e.op === "ne" ? "set" : "clear"}` : "";
	}

	// An expression of this part.
	function words(e, part) {
		if (typeof e !== "object")
			return e > 0xffff ? `0x${e.toString(16)}` : String(e);
		const deeper = (one) => {
			const text = words(one, part);
			return one.op === "andalso" || one.op === "orelse" ? `(${text})` : text;
		};
		if (BETWEEN[e.op])
			return flagWords(e, part) || `${deeper(e.a)} ${BETWEEN[e.op]} ${deeper(e.b)}`;
		if (e.op === "field")
			return WHOSE[e.of] + e.name;
		if (e.op === "policy")
			return `the policy ${e.name} is ${e.choice}`;
		if (e.op === "not")
			return `not (${words(e.a, part)})`;
		if (e.op === "div_up")
			return `${deeper(e.a)} ÷ ${deeper(e.b)}, rounded up`;
		if (e.op === "choose")
			return `${deeper(e.a)} where ${words(e.if, part)}, else ${deeper(e.b)}`;
		return LEAVES[e.op] || (e.op === "limit" ? `the limit ${e.name}` : e.name || e.op);
	}

	const ERRATUM = /\bE(\d+)\b/;
	// What prose writes in capitals -> its address: messages, and members of flag sets whose name is no plain word.
	const SHOUTED = new Map([...tree.flags.flatMap((set) => set.members.map((m) => [upper(m.name), `flags/${set.name}/${m.name}`]))
		.filter(([name], i, all) => name.includes("_") && all.filter(([other]) => other === name).length === 1),
		...tree.messages.map((m) => [upper(m.name), `message/${m.name}`])]);
	const mark = new RegExp(`(\\bE\\d+\\b|\\b(?:${[...SHOUTED.keys()].sort((a, b) => b.length - a.length).join("|")})\\b)`);

	// A text of the spec: messages, flags and errata that it names are links.
	function prose(text) {
		return text.split(mark).map((word, i) => {
			if (i % 2 === 0)
				return word;
			const number = ERRATUM.exec(word);
			return to(number ? `erratum/${number[1]}` : SHOUTED.get(word), word);
		});
	}

	// What is known of a thing --------------------------------------------------------------------------

	const policyOf = (name) => model.policies.get(name);

	function policiesIn(e, out = new Set()) {
		if (e && typeof e === "object") {
			if (e.op === "policy")
				out.add(e.name);
			Object.values(e).forEach((inner) => policiesIn(inner, out));
		}
		return out;
	}

	// The errata that an entry depends on or names, and those that name it.
	function errataOf(entry, ...names) {
		const out = new Set([...policiesIn(entry)].map((name) => policyOf(name).erratum));
		for (const found of (entry.doc || "").matchAll(new RegExp(ERRATUM, "g")))
			out.add(Number(found[1]));
		for (const name of names) {
			const word = new RegExp(`\\b${name}\\b`);
			tree.errata.filter((e) => word.test([e.title, e.text, e.decision].join(" "))).forEach((e) => out.add(e.number));
		}
		return tree.errata.filter((e) => out.has(e.number));
	}

	const errataLinks = (errata) => errata.length > 0 && [h("h4", {}, "Errata"), h("ul", { class: "plain" },
		errata.map((e) => h("li", {}, to(`erratum/${e.number}`, `E${e.number}`), ` ${e.title}`)))];

	function chips(entry, around) {
		const since = entry.since || (around && around.since), status = entry.status || (around && around.status);
		return [
			since && h("span", { class: "chip", title: tree.revisions[since] }, `since ${since}`),
			status && h("span", { class: `chip ${status}` }, status),
			entry.requires && h("span", { class: "chip needs" }, `needs ${entry.requires}`),
		];
	}

	function rule(r, part) {
		const under = r.under && h("span", { class: "under" }, " — only where ", words(r.under, part),
			[...policiesIn(r.under)].map((name) => [" (", to(`erratum/${policyOf(name).erratum}`, `E${policyOf(name).erratum}`), ")"]));
		return h("li", {}, r.field !== "fds" && code(r.field), ` ${r.text}`, under, h("span", { class: "errno" }, ` ${r.errno || "EINVAL"}`));
	}

	const rulesOf = (part) => [...list(part.before), ...list(part.rules), ...list(part.after),
		...[part.tail && part.tail.each].filter(Boolean),
		...["overlap", "syntax"].filter((key) => part.tail && part.tail[key]).map((key) => ({ field: part.tail.name, ...part.tail[key] })),
		...list(part.tail && part.tail.items).flatMap((item) => list(item.rules))];

	const source = (entry) => entry.spec && h("p", { class: "source" }, entry.spec);

	function typeLink(f) {
		if (f.flags)
			return ["flags ", to(`flags/${f.flags}`, f.flags)];
		if (f.enum)
			return ["one of ", to(`enum/${f.enum}`, f.enum)];
		return null;
	}

	// The members of a flag set or enumeration, short.
	function choicesOf(f) {
		if (f.flags)
			return h("table", {}, model.flags.get(f.flags).members.map((m) => h("tr", {},
				h("td", { class: "number" }, bitsText(m)), h("td", {}, to(`flags/${f.flags}/${m.name}`, code(m.name))), h("td", {}, m.doc))));
		if (f.enum)
			return h("table", {}, model.enums.get(f.enum).values.map((v) => h("tr", {},
				h("td", { class: "number" }, String(v.value)), h("td", {}, to(`enum/${f.enum}/${v.name}`, code(v.name))))));
		return f.values && h("p", {}, `One of ${f.values.join(", ")}.`);
	}

	const lastBit = (m) => BigInt(m.mask).toString(2).length - 1;
	const bitsText = (m) => (lastBit(m) > m.shift ? `${m.shift}–${lastBit(m)}` : String(m.shift));
	const sends = (from, side) => (side === "reply" ? (from === "client" ? "server" : "client") : from);

	// The panel of a field or tail.
	function fieldEntry(where, part, f, text) {
		const address = `${where.address}/${f.name}`;
		const mine = rulesOf(part).filter((r) => r.field === f.name);
		entries.set(address, () => [
			h("p", { class: "kicker" }, to(where.address, where.title)),
			h("h3", {}, code(f.name)),
			h("p", { class: "facts" }, text, typeLink(f) && [" · ", typeLink(f)], where.from && ` · sent by the ${where.from}`),
			h("p", {}, prose(f.doc)),
			h("p", {}, chips(f, where.entry)),
			f.argsz && h("p", {}, "Tells the length of the payload, or how much the reply may have."),
			choicesOf(f),
			mine.length > 0 && [h("h4", {}, "Rules"), h("ul", { class: "rules" }, mine.map((r) => rule(r, part)))],
			errataLinks(errataOf({ doc: f.doc, mine })),
			source(f),
		]);
		return address;
	}

	// Pictures -----------------------------------------------------------------------------------------

	function kindOf(f) {
		if (f.flags)
			return "flags";
		if (f.enum)
			return "enum";
		if (f.argsz)
			return "length";
		return f.name.startsWith("reserved") ? "unused" : "plain";
	}

	// A box of a picture: `place` is its place in the grid.
	function box(address, kind, place, name, small, label) {
		return h("a", { class: `box ${kind}`, id: address, href: `#${address}`, style: place, tabindex: -1, "aria-label": label,
				"data-entry": address }, h("b", {}, breakable(name)), h("small", {}, breakable(small)));
	}

	const TAILS = {
		bytes: (t) => ["bytes", `${words(t.size)} of them`],
		json: (t) => ["JSON text", `ends with a NUL, at most ${t.depth} levels deep${t.optional ? "; may be absent" : ""}`],
		array: (t) => [`${t.of} […]`, `${words(t.variables.n)} entries of ${t.entry_size} bytes`],
		strided: (t) => ["entries", `${words(t.variables.stride)} bytes each`],
		chain: (t) => ["chain of links", `each begins with ${t.head}`],
		union: () => ["one of", "or bytes, where there is no layout"],
	};

	function tailStructs(t) {
		const names = t.kind === "array" && model.structs.has(t.of) ? [t.of] : [...(t.head ? [t.head] : []), ...list(t.items).map((i) => i.struct)];
		return [...new Set(names)];
	}

	function tailBox(where, part, row) {
		const t = part.tail, [what, how] = TAILS[t.kind](t);
		const address = fieldEntry(where, part, t, `${what}, ${how}, from offset ${part.size}`);
		const inner = entries.get(address), structs = tailStructs(t);
		entries.set(address, () => [...inner(), structs.length > 0 && [h("h4", {}, "Holds"), h("ul", { class: "plain" },
			list(t.items).length ? t.items.map((i) => h("li", {}, to(`struct/${i.struct}`, code(i.name)),
				i.condition && h("span", { class: "under" }, ` where ${words(i.condition, part)}`), " ", chips(i)))
			: structs.map((name) => h("li", {}, to(`struct/${name}`, code(name)))))]]);
		const names = list(t.items).length ? [...new Set(t.items.map((i) => i.name))].join(", ") : how;
		return box(address, "tail", `grid-column: 2 / -1; grid-row: ${row}`, t.name, `${what}: ${names}`,
			`${t.name}, ${what}, ${how}, from offset ${part.size}: ${t.doc}`);
	}

	const WIDTH = 8; // bytes in a row of a picture

	function fieldBox(where, part, f) {
		const size = Vfu.widthOf(f.type), column = (f.offset % WIDTH) + 2, row = Math.floor(f.offset / WIDTH) + 2;
		const address = fieldEntry(where, part, f, `${f.type} at offset ${f.offset}`);
		const small = f.flags || f.enum ? `${f.type} ${f.flags || f.enum}` : f.type;
		return box(address, kindOf(f), `grid-column: ${column} / span ${size}; grid-row: ${row}`, f.name, small,
			`${f.name}, ${f.type}, offset ${f.offset}: ${f.doc}`);
	}

	// The boxes of a part, eight bytes a row; one of them is in the order of Tab, arrows move.
	function picture(where, part) {
		const rows = Math.ceil(part.size / WIDTH), cells = [];
		for (let i = 0; i < WIDTH && rows; i++)
			cells.push(h("span", { class: "byte", style: `grid-column: ${i + 2}; grid-row: 1`, "aria-hidden": "true" }, String(i)));
		for (let row = 0; row < rows + (part.tail ? 1 : 0); row++)
			cells.push(h("span", { class: "offset", style: `grid-row: ${row + 2}`, "aria-hidden": "true" },
				row < rows ? String(row * WIDTH) : String(part.size)));
		const boxes = part.fields.map((f) => fieldBox(where, part, f));
		if (part.tail)
			boxes.push(tailBox(where, part, rows + 2));
		if (!boxes.length)
			return h("p", { class: "nothing" }, "no payload");
		boxes[0].tabIndex = 0;
		return h("div", { class: "picture", role: "group", "aria-label": `${where.title}, ${plural(part.size, "byte")}` }, cells, boxes);
	}

	function ruleList(part) {
		const all = rulesOf(part);
		return all.length > 0 && h("details", { class: "all-rules" }, h("summary", {}, plural(all.length, "rule")),
			h("ol", { class: "rules" }, all.map((r) => rule(r, part))));
	}

	function length(part) {
		return part.tail ? `${part.size} bytes and what follows` : plural(part.size, "byte");
	}

	// Cards --------------------------------------------------------------------------------------------

	// Anything with a heading: what a filter shows or hides. The page has it, with a link; `searched` is what a search looks at.
	function card(address, title, entry, ...inner) {
		const node = $(address), reference = node.querySelector(".site");
		node.replaceChildren();
		fill(node, { "data-since": entry.since, "data-status": entry.status }, h("h3", {}, to(address, title), " ", chips(entry)), ...inner);
		node.searched = node.textContent.toLowerCase() + node.id;
		reference.setAttribute("aria-label", `${node.getAttribute("aria-label")} in the reference`);
		node.querySelector("h3").append(reference);
		return node;
	}

	// A row of a table, with an address of its own.
	function row(address, entry, ...cells) {
		return h("tr", { id: address, "data-entry": entries.has(address) ? address : undefined, "data-since": entry.since,
				 "data-status": entry.status }, cells.map((cell) => h("td", {}, cell)));
	}

	function sideOf(m, side) {
		const part = m[side], from = sends(m.from, side), address = `message/${m.name}/${side}`;
		const title = `${upper(m.name)} ${side}`, where = { address, title, from, entry: m };
		const others = list(part.alternatives).map((a) => {
			const there = { ...where, address: `${address}/${a.name}`, title: `${title}, ${a.name}` };
			return h("div", { class: "other", id: there.address }, h("h5", {}, `or ${a.name}, ${plural(a.size, "byte")}`), picture(there, a),
				h("p", { class: "under" }, prose(a.doc), ` — where ${words(a.condition, a)}`), ruleList(a));
		});
		const d = part.descriptors;
		return h("figure", { id: address }, h("figcaption", {}, h("b", {}, side === "request" ? "Request" : "Reply"),
				` ${from} → ${from === "client" ? "server" : "client"}, ${length(part)}`),
			picture(where, part), d && h("p", { class: "descriptors" }, h("b", {}, "Descriptors: "), prose(d.doc)),
			others, ruleList(part));
	}

	function messageFacts(m) {
		const effect = m.effect ? `, where ${m.effect.text}` : "";
		return [
			m.basic && "every server knows it", m.post && "may be sent without wanting a reply",
			m.fence && `a fence: nothing later starts before it is answered${effect}`, m.gate && `a gate: the device is asked first, and may refuse with any errno${effect}`, m.keeps && `the library keeps ${m.keeps}`,
			m.states && `lawful in ${m.states.join(", ")}`,
		].filter(Boolean);
	}

	function messageCard(m) {
		const address = `message/${m.name}`, facts = messageFacts(m);
		const errors = Object.entries(m.errors || {});
		return card(address, [upper(m.name), h("span", { class: "number" }, ` ${m.id}`)], m,
			h("p", {}, prose(m.doc)),
			facts.length > 0 && h("p", { class: "facts" }, facts.join(" · ")),
			h("div", { class: "sides" }, sideOf(m, "request"), sideOf(m, "reply")),
			errors.length > 0 && h("details", {}, h("summary", {}, plural(errors.length, "error")), h("dl", {},
				errors.map(([name, why]) => [h("dt", {}, code(name), ` ${tree.errnos[name]}`), h("dd", {}, prose(why))]))),
			errataDetails(tree.errata.filter((e) => e.messages?.includes(m.name))), source(m));
	}

	const errataDetails = (errata) => errata.length > 0 && h("details", {}, h("summary", {}, errata.length === 1 ? "1 erratum" : `${errata.length} errata`),
		h("ul", { class: "plain" }, errata.map((e) => h("li", {}, to(`erratum/${e.number}`, `E${e.number}`), ` ${e.title}`))));

	function headerCard() {
		return card("header", "header", { name: "", doc: tree.header.doc }, h("p", {}, prose(tree.header.doc)),
			h("figure", {}, picture({ address: "header", title: "header", entry: {} }, tree.header), ruleList(tree.header)));
	}

	function structCard(s) {
		const users = usersOf((e) => e && (e.of === s.name || e.head === s.name || list(e.items).some((i) => i.struct === s.name)));
		return card(`struct/${s.name}`, code(s.name), s, h("p", {}, prose(s.doc)), usedIn(users),
			h("figure", {}, h("figcaption", {}, length(s)), picture({ address: `struct/${s.name}`, title: `structure ${s.name}`, entry: s }, s),
				ruleList(s)), source(s));
	}

	// Parts that have such a field or tail: [address, title].
	function usersOf(wanted) {
		const parts = [["header", "header", tree.header], ...tree.structs.map((s) => [`struct/${s.name}`, s.name, s]),
			...tree.messages.flatMap((m) => ["request", "reply"].map((side) => [`message/${m.name}/${side}`, `${upper(m.name)} ${side}`, m[side]]))];
		return parts.flatMap(([address, title, part]) => [...part.fields, part.tail].filter(wanted)
			.map((f) => [`${address}/${f.name}`, `${title}: ${f.name}`]));
	}

	const usedIn = (users) => users.length > 0 && h("p", { class: "used" }, "Used in ", users.map(([address, title], i) =>
		[i > 0 && ", ", to(address, title)]));

	function flagsCard(set) {
		const strip = h("div", { class: "bits", "aria-hidden": "true" });
		for (let bit = set.width - 1; bit >= 0; bit--) {
			const m = set.members.find((one) => bit >= one.shift && bit <= lastBit(one));
			strip.append(h("span", { class: m ? "on" : "", title: m ? `${bit}: ${m.name}` : String(bit) }));
		}
		const rows = set.members.map((m) => row(`flags/${set.name}/${m.name}`, m, bitsText(m), code(m.name),
			[prose(m.doc), m.enum && [": ", to(`enum/${m.enum}`, m.enum)], " ", chips(m)]));
		return card(`flags/${set.name}`, code(set.name), set, h("p", {}, prose(set.doc)),
			usedIn(usersOf((f) => f && f.flags === set.name)), strip,
			h("table", { class: "members" }, h("thead", {}, h("tr", {}, ["bit", "name", "meaning"].map((t) => h("th", { scope: "col" }, t)))), h("tbody", {}, rows)),
			source(set));
	}

	function enumCard(e) {
		const is_message = e.values.every((v) => model.messages.has(v.name));
		const rows = e.values.map((v) => row(`enum/${e.name}/${v.name}`, v, String(v.value),
			is_message ? to(`message/${v.name}`, code(v.name)) : code(v.name), [prose(is_message ? v.doc.split(/(?<=[.:;])\s/)[0] : v.doc), " ", chips(v)]));
		const bits = tree.flags.flatMap((set) => set.members.filter((m) => m.enum === e.name).map((m) => [`flags/${set.name}/${m.name}`, `${set.name}: ${m.name}`]));
		return card(`enum/${e.name}`, code(e.name), e, h("p", {}, prose(e.doc)),
			usedIn([...usersOf((f) => f && f.enum === e.name), ...bits]),
			h("table", { class: "members" }, h("thead", {}, h("tr", {}, ["value", "name", "meaning"].map((t) => h("th", { scope: "col" }, t)))), h("tbody", {}, rows)),
			source(e));
	}

	function capabilityCard(c) {
		const name = c.object ? `${c.object}.${c.name}` : c.name;
		const facts = [c.type, c.default !== undefined && `if not said ${c.default}`, c.min !== undefined && `from ${c.min} to ${c.max}`,
			c.multiple_of && `a multiple of ${c.multiple_of}`, COMBINED[c.combine],
			!c.in_request ? "in the reply alone" : !c.in_reply && "in the request alone"].filter(Boolean);
		return card(`capability/${name}`, code(name), c, h("p", {}, prose(c.doc)), h("p", { class: "facts" }, facts.join(" · ")),
			c.limit && h("p", {}, "Becomes the limit ", to(`limit/${c.limit}`, code(c.limit)), c.as && ": its lowest bit that is set"),
			errataDetails(errataOf(c, c.name)), source(c));
	}

	const COMBINED = { own: "each side says what it takes itself", min: "the smaller of both holds", and: "holds if both say so",
		echo: "the client's holds; the server repeats it" };

	function limitCard(l) {
		const facts = [l.type, `${l.default} by default`, l.min !== undefined && `from ${l.min} to ${l.max}`, l.power_of_two && "a power of two"];
		return card(`limit/${l.name}`, code(l.name), l, h("p", {}, prose(l.doc)), h("p", { class: "facts" }, facts.filter(Boolean).join(" · ")),
			source(l));
	}

	function policyCard(p) {
		const erratum = tree.errata.find((e) => e.number === p.erratum);
		return card(`policy/${p.name}`, code(p.name), p, h("p", {}, to(`erratum/${p.erratum}`, `E${p.erratum}`), ` ${erratum.title}`),
			h("table", { class: "members" }, h("tbody", {}, p.choices.map((choice) => h("tr", {}, h("td", {}, code(choice)), h("td", {},
				[choice === p.default && "the default", ...model.profiles.filter((name) => p.profiles[name] === choice)].filter(Boolean).join(", ")))))));
	}

	function erratumCard(e) {
		const rows = [["The text", e.text], ["Peers", e.peers], ["Here", e.decision]].filter(([, text]) => text);
		return card(`erratum/${e.number}`, `E${e.number} ${e.title}`, e, h("dl", {}, rows.map(([title, text]) =>
			[h("dt", {}, title), h("dd", {}, prose(text))])), e.policy && h("p", {}, "Policy ", to(`policy/${e.policy}`, code(e.policy))), source(e));
	}

	const CHAPTERS = [
		["messages", "Messages", () => tree.messages.map(messageCard), tree.messages, (m) => [`message/${m.name}`, upper(m.name)]],
		["headers", "Header", () => [headerCard()], [{}], () => ["header", "header"]],
		["structures", "Structures", () => tree.structs.map(structCard), tree.structs, (s) => [`struct/${s.name}`, s.name]],
		["flag-sets", "Flags", () => tree.flags.map(flagsCard), tree.flags, (f) => [`flags/${f.name}`, f.name]],
		["enumerations", "Enumerations", () => tree.enums.map(enumCard), tree.enums, (e) => [`enum/${e.name}`, e.name]],
		["capabilities", "Capabilities", () => tree.capabilities.map(capabilityCard), tree.capabilities,
			(c) => [`capability/${c.object ? `${c.object}.` : ""}${c.name}`, c.object ? `${c.object}.${c.name}` : c.name]],
		["limits", "Limits", () => tree.limits.map(limitCard), tree.limits, (l) => [`limit/${l.name}`, l.name]],
		["policies", "Policies", () => tree.policies.map(policyCard), tree.policies, (p) => [`policy/${p.name}`, p.name]],
		["errata", "Errata", () => tree.errata.map(erratumCard), tree.errata, (e) => [`erratum/${e.number}`, `E${e.number}`]],
	];

	function build() {
		for (const [id, title, make, of, name] of CHAPTERS) {
			const links = of.map((entry) => {
				const [address, text] = name(entry);
				return h("li", { "data-for": address }, to(address, text));
			});
			$("contents").append(h("details", { open: id === "messages", "data-for": id }, h("summary", {}, to(id, title)), h("ul", {}, links)));
			$("definitions").append(h("section", { class: "chapter", id }, h("h2", {}, title), make()));
		}
	}

	// The panel ----------------------------------------------------------------------------------------

	let pinned = "", from = null; // from: the box that Enter led from into the panel

	function show(address) {
		const make = entries.get(address);
		$("details-body").replaceChildren(...(make ? h("div", {}, make()).childNodes : []));
		$("details").classList.toggle("empty", !make);
		document.querySelectorAll(".box.shown").forEach((node) => node.classList.remove("shown"));
		if (make)
			$(address).classList.add("shown");
	}

	const entryOf = (event) => event.target.closest && event.target.closest("[data-entry]");

	function watchPanel() {
		document.addEventListener("pointerover", (event) => {
			if (event.pointerType === "mouse" && entryOf(event))
				show(entryOf(event).dataset.entry);
		});
		document.addEventListener("focusin", (event) => {
			const node = entryOf(event);
			if (!$("details").contains(event.target))
				from = null;
			if (node)
				show(pinned = node.dataset.entry);
		});
		for (const id of ["definitions", "result"])
			$(id).addEventListener("pointerleave", () => show(pinned));
		$("close").addEventListener("click", () => {
			const back = from;
			from = null;
			if (back)
				back.focus({ preventScroll: true }); // which shows it again
			show(pinned = "");
		});
	}

	// Keys ---------------------------------------------------------------------------------------------

	// The box that an arrow leads to: the next one in reading order, or the nearest above or below.
	function neighbour(boxes, box_, key) {
		const i = boxes.indexOf(box_), here = box_.getBoundingClientRect();
		if (key === "Home" || key === "End")
			return boxes[key === "Home" ? 0 : boxes.length - 1];
		if (key === "ArrowLeft" || key === "ArrowRight")
			return boxes[i + (key === "ArrowLeft" ? -1 : 1)];
		const up = key === "ArrowUp", middle = here.left + Math.min(here.width, 40) / 2;
		const there = boxes.filter((one) => (up ? one.getBoundingClientRect().bottom <= here.top + 1 : one.getBoundingClientRect().top >= here.bottom - 1));
		const distance = (one) => {
			const r = one.getBoundingClientRect();
			return Math.abs(r.top - here.top) * 1000 + Math.max(r.left - middle, middle - r.right, 0);
		};
		return there.sort((a, b) => distance(a) - distance(b))[0];
	}

	const ARROWS = ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End"];

	// Moves the one place that Tab stops at among these.
	function rove(nodes, now, next) {
		if (!next)
			return;
		nodes.forEach((one) => (one.tabIndex = -1));
		next.tabIndex = 0;
		next.focus();
	}

	// From a box or row into the panel, whose links are next; Escape leads back. Where the panel says nothing: to what is named.
	function enter(event, node) {
		event.preventDefault();
		if (!node.dataset.entry) {
			node.querySelector("a")?.click();
			return;
		}
		from = node;
		$("details").focus();
	}

	function onKey(event) {
		const box_ = event.target.closest && event.target.closest(".box");
		const field = event.target.closest && event.target.closest(".field");
		if (event.key === "Escape" && (pinned || from)) {
			$("close").click();
		} else if (event.key === "/" && !/^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName)) {
			event.preventDefault();
			$("find").focus();
		} else if (box_ && ARROWS.includes(event.key)) {
			event.preventDefault();
			const boxes = [...box_.parentNode.querySelectorAll(".box")];
			rove(boxes, box_, neighbour(boxes, box_, event.key));
		} else if (box_ && event.key === "Enter") {
			history.pushState(null, "", `#${box_.id}`);
			enter(event, box_);
		} else if (field && event.key === "Enter" && event.target === field) {
			enter(event, field);
		} else if (field && ["ArrowUp", "ArrowDown", "Home", "End"].includes(event.key)) {
			event.preventDefault();
			const rows = [...field.parentNode.querySelectorAll(".field")], i = rows.indexOf(field);
			rove(rows, field, rows[{ ArrowUp: i - 1, ArrowDown: i + 1, Home: 0, End: rows.length - 1 }[event.key]]);
		}
	}

	// Filters ------------------------------------------------------------------------------------------

	// Is it there in that revision?  What is retired, in its own alone.
	function in_revision(node, chosen) {
		const order = model.revisions, since = order.indexOf(node.dataset.since ?? order[0]);
		if (!chosen)
			return true;
		return node.dataset.status === "retired" ? since === order.indexOf(chosen) : since <= order.indexOf(chosen);
	}

	function filter() {
		const wanted = $("find").value.toLowerCase().split(/\s+/).filter(Boolean), chosen = $("revision").value;
		const found = new Set();
		let all = 0;
		for (const node of document.querySelectorAll("#definitions .card")) {
			node.hidden = !in_revision(node, chosen) || !wanted.every((word) => node.searched.includes(word));
			all++;
			if (!node.hidden)
				found.add(node.id);
		}
		for (const node of document.querySelectorAll("#definitions tr[data-since]"))
			node.hidden = !in_revision(node, chosen);
		for (const node of document.querySelectorAll("#definitions .chapter"))
			node.hidden = !node.querySelector(".card:not([hidden])");
		for (const node of document.querySelectorAll("#contents li"))
			node.hidden = !found.has(node.dataset.for);
		for (const node of document.querySelectorAll("#contents details")) {
			node.hidden = $(node.dataset.for).hidden;
			node.open = node.open || wanted.length > 0;
		}
		$("count").value = wanted.length || chosen ? `${found.size} of ${all}` : "";
		$("nothing-found").hidden = found.size > 0;
	}

	// The decoder's view -------------------------------------------------------------------------------

	function shown(item) {
		const v = item.value;
		if (v === undefined)
			return "";
		if (v instanceof Uint8Array)
			return Vfu.hex(v.subarray(0, 32)) + (v.length > 32 ? ` … ${v.length} bytes` : "");
		if (typeof v === "boolean")
			return item.bit ? (v ? "set" : "clear") : String(v);
		if (typeof v === "string")
			return v.length > 2000 ? `${v.slice(0, 2000)}…` : v;
		const number = item.show === "hex" ? `0x${v.toString(16)}` : String(v);
		return number;
	}

	const plainValue = (v) => (typeof v === "bigint" ? `0x${v.toString(16)}` : v instanceof Map ? "an object" : JSON.stringify(v) ?? String(v));
	const placeOf = (m, fault) => fault.at + (fault.in_header ? 0 : tree.header.size);

	function verdictOf(m) {
		const f = m.fault;
		if (!f && !m.is_looked)
			return h("p", { class: "verdict open" }, "? was not looked at");
		if (!f)
			return h("p", { class: "verdict fine" }, m.entry && !m.skipped.length && !m.notes.length ? "✓ keeps every rule" : "✓ keeps the rules that were looked at");
		return h("p", { class: "verdict bad" }, "✗ ", h("b", {}, `${m.name && !f.in_header ? m.name : "header"}: ${f.field} ${f.text}`),
			` (is ${plainValue(f.value)}, offset ${f.at} in the ${f.in_header ? "header" : "payload"})`, h("span", { class: "errno" }, ` ${f.errno}`),
			h("span", { class: "source" }, ` rule ${f.rule}${f.spec ? `, ${f.spec}` : ""}`));
	}

	function notesOf(m) {
		const left = m.skipped.map((r) => `${r.field} ${r.text}`);
		return [...m.notes.map((note) => h("p", { class: "note" }, note)), left.length > 0 && h("details", { class: "note" },
			h("summary", {}, `${plural(left.length, "rule")} not looked at: the request or the number of descriptors is not known`),
			h("ul", {}, left.map((text) => h("li", {}, text))))];
	}

	const MOST_BYTES = 1024, MOST_ROWS = 3000; // of a message, that are shown

	// `bad`: where the fault is, if there is one.
	function bytesOf(m, bad) {
		const rows = [];
		for (let at = 0; at < Math.min(m.bytes.length, MOST_BYTES); at += WIDTH) {
			const cells = [...m.bytes.subarray(at, at + WIDTH)].map((b, i) => h("span", { class: "cell", "data-at": at + i, "data-fault": bad !== null && bad.at === at + i }, b.toString(16).padStart(2, "0")));
			rows.push(h("div", { class: "line" }, h("span", { class: "offset" }, at.toString(16).padStart(4, "0")), cells));
		}
		if (m.bytes.length > MOST_BYTES)
			rows.push(h("div", { class: "line" }, `… ${m.bytes.length - MOST_BYTES} bytes more`));
		return h("div", { class: "bytes", "aria-hidden": "true" }, rows);
	}

	// The header is the same in all messages: short.
	const in_header = (item) => item.at < tree.header.size;

	// The rows of a tree; `bad` is the place of the fault and the name of its field.
	function fieldRows(items, depth, bad, out) {
		for (const item of items.filter((one) => !in_header(one) || !one.bit || one.value)) {
			const is_bad = bad && bad.at === item.at && (bad.name === item.name || bad.name === item.link?.split("/").pop()) && !item.bit;
			if (out.length >= MOST_ROWS)
				return out;
			const kinds = { bad: is_bad, bit: item.bit, off: item.bit && item.value === false, long: shown(item).length > 24 };
			out.push(h("div", { class: ["field", ...Object.keys(kinds).filter((kind) => kinds[kind])].join(" "),
					    tabindex: -1, role: "row", "data-entry": entries.has(item.link) ? item.link : undefined, style: `--depth: ${depth}`, "data-from": item.at, "data-size": item.size },
				h("span", { class: "offset", role: "cell" }, item.bit || item.inside ? "" : String(item.at)),
				h("span", { class: "name", role: "rowheader" }, item.link ? fill(to(item.link, breakable(item.name)), { tabindex: -1 }) : item.name),
				h("span", { class: "value", role: "cell" }, shown(item), item.meaning && h("b", {}, " ", breakable(item.meaning))),
				h("span", { class: "meaning", role: "cell" }, in_header(item) ? "" : item.doc || "")));
			fieldRows(item.items, depth + 1, bad, out);
		}
		return out;
	}

	function messageView(m, i) {
		const f = m.fault, bad = f === null ? null : { at: placeOf(m, f), name: f.field.split(".").pop() };
		const kind = m.is_reply ? (m.is_failed ? "error reply" : "reply") : "request";
		const errno = m.is_failed ? model.errno(m.header[tree.header.error]) : "";
		const rows = fieldRows(m.items, 0, bad, []);
		if (rows.length)
			rows[0].tabIndex = 0;
		return h("article", { class: "decoded", "aria-label": `message ${i + 1}` },
			h("h3", {}, `${i + 1}. `, m.entry ? to(`message/${m.name}`, upper(m.name)) : "unknown message", h("span", { class: "what" },
				` ${m.header[tree.header.id] === undefined ? "" : kind} ${errno}`.trimEnd(), m.sender && ` from the ${m.sender}`, `, ${plural(m.bytes.length, "byte")}`)),
			verdictOf(m), notesOf(m),
			h("div", { class: "split" }, bytesOf(m, bad), h("div", { class: "fields", role: "table", "aria-label": "fields" }, rows)),
			m.agreed && h("p", { class: "note" }, "Agreed from here on: what the server takes is ", limitsText(m.agreed.server), "; what the client takes is ",
				limitsText(m.agreed.client), "."));
	}

	const limitsText = (limits) => Object.entries(limits).map(([name, v]) => `${name} ${v}`).join(", ");

	function options() {
		const nfds = $("nfds").value.split(/[\s,]+/).filter(Boolean), wrong = nfds.find((word) => !/^\d{1,4}$/.test(word));
		if (wrong)
			throw new Error(`descriptors: “${wrong}” is no number`);
		return { policies: model.choices($("profile").value), little: $("order").value === "little", nfds: nfds.map(BigInt) };
	}

	function say(text, bad) {
		$("said").value = text;
		$("said").className = bad ? "bad" : "";
	}

	function decode() {
		const text = $("dump").value;
		try {
			const messages = Vfu.decode(model, text, options());
			const broken = messages.filter((m) => m.fault).length, unknown = messages.filter((m) => !m.fault && !m.is_looked).length;
			$("result").replaceChildren(...messages.map(messageView));
			say(messages.length ? `${plural(messages.length, "message")}: ${broken || "none"} broken${unknown ? `, ${unknown} not looked at` : ""}` : "");
		} catch (error) {
			$("result").replaceChildren();
			say(error.message, true);
		}
	}

	// Marks the bytes of a field, or the field of a byte.
	function watchBytes() {
		const light = (article, start, size) => article.querySelectorAll(".cell").forEach((cell) =>
			cell.classList.toggle("lit", cell.dataset.at >= start && cell.dataset.at < start + size));
		const on = (event) => {
			const field = event.target.closest && event.target.closest(".field"), cell = event.target.closest && event.target.closest(".cell");
			const article = event.target.closest && event.target.closest(".decoded");
			if (field)
				light(article, Number(field.dataset.from), Number(field.dataset.size));
			if (!cell)
				return;
			const at = Number(cell.dataset.at), over = [...article.querySelectorAll(".field:not(.bit)")].filter((one) =>
				at >= Number(one.dataset.from) && at < Number(one.dataset.from) + Number(one.dataset.size)).pop();
			article.querySelectorAll(".field.lit").forEach((one) => one.classList.remove("lit"));
			if (over) {
				over.classList.add("lit");
				light(article, Number(over.dataset.from), Number(over.dataset.size));
			}
		};
		$("result").addEventListener("pointerover", on);
		$("result").addEventListener("focusin", on);
	}

	function examples() {
		for (const one of document.querySelectorAll("script[type='text/plain']")) {
			const button = h("button", { type: "button" }, one.dataset.title);
			button.addEventListener("click", () => {
				$("dump").value = one.textContent.trim();
				choose(OPTIONS); // as it is meant
				changed();
			});
			$("examples").append(button);
		}
	}

	// Addresses ----------------------------------------------------------------------------------------

	// What the address of the page names; nothing if it is malformed.
	function named() {
		try {
			return decodeURIComponent(location.hash.slice(1));
		} catch (error) {
			return "";
		}
	}

	// Options of the decoder: the ids of their elements, and what they are where an address does not say them.
	const OPTIONS = { profile: "", order: "little", nfds: "" };

	function choose(values) {
		for (const [id, otherwise] of Object.entries(OPTIONS)) {
			$(id).value = values[id];
			$(id).value ||= otherwise; // it was none of the choices
		}
	}

	// "decode/HEX,HEX?order=big": what was pasted, each dump of it, and how it is to be read.
	function decodeAddress(bytes) {
		const chosen = Object.keys(OPTIONS).filter((id) => $(id).value !== OPTIONS[id]).map((id) => [id, $(id).value]);
		const dumps = bytes.map((one) => Vfu.hex(one).replaceAll(" ", "")).join(",");
		return `decode/${dumps}${chosen.length ? "?" : ""}${new URLSearchParams(chosen)}`;
	}

	function decodeShared(address) {
		const [dumps, query] = address.slice("decode/".length).split("?"), chosen = new URLSearchParams(query);
		choose({ ...OPTIONS, ...Object.fromEntries(chosen) });
		try {
			$("dump").value = dumps.split(",").flatMap(Vfu.chunks).map(Vfu.dump).join("\n\n");
		} catch (error) {
			$("dump").value = dumps; // for decode() to complain of
		}
		decode();
		$("decode").scrollIntoView();
	}

	// Follows the address of the page: of a thing, or of what was pasted.
	function follow() {
		const address = named();
		if (address.startsWith("decode/")) {
			decodeShared(address);
			return;
		}
		const node = address && $(address);
		if (!node)
			return;
		if (node.closest("[hidden]")) {
			$("find").value = $("revision").value = "";
			filter();
		}
		document.querySelectorAll(".target").forEach((one) => one.classList.remove("target"));
		node.classList.add("target");
		node.scrollIntoView();
		if (node.matches(".box"))
			rove([...node.parentNode.querySelectorAll(".box")], null, node);
		else
			show(pinned = entries.has(address) ? address : "");
	}

	const MOST_SHARED = 1 << 16; // bytes: there are browsers that cut longer addresses

	function share() {
		try {
			const bytes = Vfu.chunks($("dump").value), size = bytes.reduce((sum, one) => sum + one.length, 0);
			if (!size || size > MOST_SHARED)
				throw new Error(size ? `A link holds at most ${MOST_SHARED} bytes; these are ${size}.` : "There is nothing to make a link of.");
			history.replaceState(null, "", `#${decodeAddress(bytes)}`);
			say("The address of this page is a link to these bytes now, with the choices above.");
		} catch (error) {
			say(error.message, true);
		}
	}

	// An address with bytes is not that of others.
	function changed() {
		if (named().startsWith("decode/"))
			history.replaceState(null, "", "#decode");
		decode();
	}

	function measure() {
		document.documentElement.style.setProperty("--top", `${document.querySelector(".top").offsetHeight}px`);
	}

	function start() {
		$("revision").append(h("option", { value: "" }, "all"), ...model.revisions.map((name) => h("option", { value: name, title: tree.revisions[name] }, name)));
		$("profile").append(h("option", { value: "" }, "the defaults"), ...model.profiles.map((name) => h("option", { value: name }, name)));
		$("about").textContent = tree.doc;
		build();
		examples();
		watchPanel();
		watchBytes();
		document.addEventListener("keydown", onKey);
		for (const id of ["find", "revision"])
			$(id).addEventListener("input", filter);
		for (const id of ["dump", ...Object.keys(OPTIONS)])
			$(id).addEventListener("input", changed);
		$("share").addEventListener("click", share);
		window.addEventListener("hashchange", follow);
		new ResizeObserver(measure).observe(document.querySelector(".top"));
		measure();
		filter();
		follow();
	}

	return { start, decode, filter };
}
