-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/cap_twice.lua:6: capability 'c': the field c is taken by line 5 of bad/cap_twice.lua
protocol { doc = "d", revisions = { { name = "1", doc = "r" } }, profiles = { "strict" }, header { doc = "h", u16 "id" { doc = "d" } } }
capability "c" { since = "1", doc = "d", combine = "and", in_request = true, in_reply = true, drop = 0, type = "bool", default = false }
capability "c" { since = "1", doc = "d", combine = "and", in_request = true, in_reply = true, drop = 0, type = "bool", default = false }
