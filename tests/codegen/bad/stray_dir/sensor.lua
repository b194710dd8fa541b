-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
flags "mood" { since = "1", doc = "d", bit "good" { 0, doc = "d" } }
