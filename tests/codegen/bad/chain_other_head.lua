-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/chain_other_head.lua:12: link 'odd': struct 'odd' does not begin with the fields of 'head'
protocol { doc = "x", revisions = { { name = "1", doc = "x" } }, header { doc = "x", u16 "id" { doc = "x" } } }

struct "head" { since = "1", doc = "x", u16 "kind" { doc = "x" }, u16 "version" { doc = "x" }, u32 "next" { doc = "x" } }
struct "odd" { since = "1", doc = "x", u16 "version" { doc = "x" }, u16 "kind" { doc = "x" }, u32 "next" { doc = "x" } }

message "m" { id = 1, from = "client", since = "1", doc = "x",
	request = { u32 "at" { doc = "x" }, u32 "pad" { doc = "x" },
		chain "c" { at = field.at, head = "head", key = "kind", version = "version", next = "next", max = 64, doc = "x",
			link "odd" { 1, of = "odd", doc = "x" } } },
	reply = none, errors = {} }
