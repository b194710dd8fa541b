-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/python_name_twice.lua:5: 'f' is called FFlags in Python, like what stands in bad/python_name_twice.lua:6
protocol { doc = "d", revisions = { { name = "1", doc = "r" } }, profiles = { "strict" }, header { doc = "h", u16 "id" { doc = "d" } } }
flags "f" { since = "1", doc = "d", bit "a" { 0, doc = "d" } }
enum "f_flags" { since = "1", doc = "d", value "x" { 0, doc = "d" } }
