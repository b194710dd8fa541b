-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/policy_one_choice.lua:5: erratum 1: a policy needs profiles and two choices at least
protocol { doc = "d", revisions = { { name = "1", doc = "r" } }, profiles = { "strict", "libvfio-user" }, header { doc = "h", u16 "id" { doc = "d" } } }
erratum { 1, title = "t", text = "t", peers = "p", decision = "d", policy = "p", choices = { "x" }, profiles = {} }
