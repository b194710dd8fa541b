-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/keyword_python.lua:5: u32: its name 'lambda' means something in C, C++ or Python
protocol { doc = "d", revisions = { { name = "1", doc = "r" } }, profiles = { "strict" }, header { doc = "h", u16 "id" { doc = "d" } } }
limits { doc = "d", u32 "lambda" { min = 1, max = 9, default = 4, doc = "d" } }
