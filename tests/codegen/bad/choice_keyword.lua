-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/choice_keyword.lua:6: erratum 1: a choice 'class' means something in C, C++ or Python
protocol { doc = "d", revisions = { { name = "1", doc = "r" } }, profiles = { "strict" }, header { doc = "h", u16 "id" { doc = "d" } } }
erratum { 1, title = "t", text = "t", peers = "p", decision = "d", policy = "p", profiles = { strict = "x" },
	choices = { "x", "class" } }
