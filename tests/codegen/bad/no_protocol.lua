-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/no_protocol.lua:1: a spec needs exactly one protocol
enum "e" { since = "1", doc = "d", value "x" { 0, doc = "d" }, value "y" { 2, doc = "d" } }
