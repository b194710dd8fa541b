# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
#
# The reference of the protocol is made from the spec.
EXTRA_DIST += doc/gen/protocol.rst
MAINTAINERCLEANFILES += doc/gen/protocol.rst
vfudocdir = $(docdir)
vfudoc_DATA = doc/gen/protocol.rst

doc/gen/protocol.rst: codegen/gen/protocol_rst.lua $(codegen_inputs)
	$(AM_V_GEN)output=protocol_rst; $(codegen_run)
