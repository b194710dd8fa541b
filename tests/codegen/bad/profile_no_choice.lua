-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/profile_no_choice.lua:5: erratum 1: profile 'strict': 'z' is no choice of policy 'p'
protocol { doc = "d", revisions = { { name = "1", doc = "r" } }, profiles = { "strict", "libvfio-user" }, header { doc = "h", u16 "id" { doc = "d" } } }
erratum { 1, title = "t", text = "t", peers = "p", decision = "d", policy = "p", choices = { "x", "y" }, profiles = { strict = "z" } }
