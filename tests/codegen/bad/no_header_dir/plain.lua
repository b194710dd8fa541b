-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
limits { doc = "a file without structures needs no header", bool "wide" { default = false, doc = "d" } }
