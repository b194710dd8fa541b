-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/keyword_cpp.lua:5: struct: its name 'namespace' means something in C, C++ or Python
protocol { doc = "d", revisions = { { name = "1", doc = "r" } }, profiles = { "strict" }, header { doc = "h", u16 "id" { doc = "d" } } }
struct "namespace" { since = "1", doc = "d", u32 "a" { doc = "d" } }
