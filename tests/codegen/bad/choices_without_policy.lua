-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/choices_without_policy.lua:5: erratum 1: choices and profiles need a policy
protocol { doc = "d", revisions = { { name = "1", doc = "r" } }, profiles = { "strict", "libvfio-user" }, header { doc = "h", u16 "id" { doc = "d" } } }
erratum { 1, title = "t", text = "t", peers = "p", decision = "d", choices = { "x", "y" } }
