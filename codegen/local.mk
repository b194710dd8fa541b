# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors

# What every generator uses.  Each output also depends on its own file in codegen/gen/.
codegen_core = \
	codegen/main.lua \
	codegen/outputs.lua \
	codegen/grammar.lua \
	codegen/words.lua \
	codegen/load.lua \
	codegen/check.lua \
	codegen/model.lua \
	codegen/model/names.lua \
	codegen/model/agreed.lua \
	codegen/model/expressions.lua \
	codegen/model/rules.lua \
	codegen/model/parts.lua \
	codegen/model/messages.lua \
	codegen/expr.lua \
	codegen/rules.lua \
	codegen/tail.lua \
	codegen/tail/alt.lua \
	codegen/tail/array.lua \
	codegen/tail/bytes.lua \
	codegen/tail/chain.lua \
	codegen/tail/json.lua \
	codegen/tail/strided.lua \
	codegen/tail/union.lua \
	codegen/text.lua \
	codegen/cname.lua \
	codegen/cparts.lua \
	codegen/pyname.lua

codegen_inputs = $(codegen_core) $(spec_files)

codegen_c_generators = \
	codegen/gen/wire_h.lua \
	codegen/gen/parts_h.lua \
	codegen/gen/checks_h.lua \
	codegen/gen/wire_c.lua \
	codegen/gen/policy_h.lua \
	codegen/gen/policy_c.lua \
	codegen/gen/caps_h.lua \
	codegen/gen/caps_c.lua \
	codegen/gen/desc_h.lua \
	codegen/gen/desc_c.lua \
	codegen/gen/calls_h.lua \
	codegen/gen/calls_c.lua

# What the tests' vectors are made with.
codegen_vectors = \
	codegen/vectors.lua \
	codegen/draft.lua \
	codegen/order.lua \
	codegen/verdict.lua

codegen_other_generators = \
	codegen/gen/keys_md.lua \
	codegen/gen/lock.lua \
	codegen/gen/tests_c.lua \
	codegen/gen/tests_parts.lua \
	codegen/gen/tests_py.lua \
	codegen/gen/corpus.lua \
	codegen/gen/python.lua \
	codegen/gen/python_pyi.lua \
	codegen/gen/protocol_rst.lua \
	codegen/gen/entries_html.lua \
	codegen/gen/errata_rst.lua \
	codegen/gen/boxes_svg.lua \
	codegen/gen/sequences_svg.lua \
	codegen/gen/speed_svg.lua \
	codegen/gen/model_json.lua \
	codegen/gen/vfio_user_7.lua \
	codegen/gen/dissector.lua

codegen_pictures = codegen/svg.lua codegen/tar.lua
codegen_pages = codegen/rst.lua

# How checks are written in each language, and names in Python.
codegen_py_language = \
	codegen/pyfile.lua \
	codegen/pyclass.lua \
	codegen/pycaps.lua
codegen_lua_language = \
	codegen/dissect.lua \
	codegen/luafile.lua
codegen_languages = codegen/cfile.lua $(codegen_py_language) $(codegen_lua_language)

EXTRA_DIST += $(codegen_core) $(codegen_c_generators) $(codegen_vectors) $(codegen_languages) \
	$(codegen_other_generators) $(codegen_pictures) $(codegen_pages) codegen/box.lua codegen/json.lua \
	codegen/sequences.lua codegen/recording.lua codegen/README.md codegen/MODEL.md

# The recipe of every generated file: `output=GENERATOR; $(codegen_run)`.  For C the target is FILE.stamp.
codegen_run = $(SHELL) $(srcdir)/codegen/make-output '$(LUA)' $(srcdir) $$output $@
EXTRA_DIST += codegen/make-output codegen/same-code.lua

codegen_wire_headers = $(spec_wire:%=libvfu/gen/wire-%.h)
codegen_part_headers = libvfu/gen/parts-base.h $(spec_wire:%=libvfu/gen/parts-%.h)
codegen_headers = \
	$(codegen_wire_headers) \
	libvfu/gen/wire.h \
	$(codegen_part_headers) \
	libvfu/gen/parts.h \
	libvfu/gen/checks.h \
	libvfu/gen/policy.h \
	libvfu/gen/caps.h \
	libvfu/gen/desc.h \
	libvfu/gen/vfu-calls.h

codegen_sources = \
	libvfu/gen/wire.c \
	libvfu/gen/policy.c \
	libvfu/gen/caps.c \
	libvfu/gen/desc.c \
	libvfu/gen/vfu-calls.c

libvfu_gen_sources += $(codegen_sources) $(codegen_headers)
BUILT_SOURCES += $(codegen_headers)
# Generated and distributed: `make clean` in a tarball must not need Lua.
codegen_c = $(codegen_headers) $(codegen_sources) tests/gen/check-wire.c tests/gen/check-parts.c
EXTRA_DIST += $(codegen_c:=.stamp)
MAINTAINERCLEANFILES += $(codegen_c) $(codegen_c:=.stamp)

# The stamp's recipe makes the file, too; this rule has make look at its date.
$(codegen_c): %: %.stamp
	@test -f $@ || { rm -f $<; $(MAKE) $(AM_MAKEFLAGS) $<; }

# In the tarball no file is older than its stamp: it would be looked for in the build directory.
dist-hook:
	cd $(distdir) && touch $(codegen_c)

vfuincludedir = $(includedir)/vfu
vfuinclude_HEADERS = libvfu/gen/wire.h $(codegen_wire_headers) libvfu/gen/parts.h $(codegen_part_headers)

libvfu/gen/wire.h.stamp: codegen/gen/wire_h.lua $(codegen_inputs)
	$(AM_V_GEN)output=wire_h; $(codegen_run)

codegen_wire_stamps = $(spec_wire:%=libvfu/gen/wire-%.h.stamp)
$(codegen_wire_stamps): libvfu/gen/wire-%.h.stamp: codegen/gen/wire_h.lua $(codegen_inputs)
	$(AM_V_GEN)output=wire_h/$*; $(codegen_run)

codegen_part_stamps = $(codegen_part_headers:=.stamp)
$(codegen_part_stamps): libvfu/gen/parts-%.h.stamp: codegen/gen/parts_h.lua $(codegen_inputs)
	$(AM_V_GEN)output=parts_h/$*; $(codegen_run)

libvfu/gen/parts.h.stamp: codegen/gen/parts_h.lua $(codegen_inputs)
	$(AM_V_GEN)output=parts_h; $(codegen_run)

libvfu/gen/checks.h.stamp: codegen/gen/checks_h.lua $(codegen_inputs)
	$(AM_V_GEN)output=checks_h; $(codegen_run)

libvfu/gen/wire.c.stamp: codegen/gen/wire_c.lua codegen/cfile.lua $(codegen_inputs)
	$(AM_V_GEN)output=wire_c; $(codegen_run)

libvfu/gen/policy.h.stamp: codegen/gen/policy_h.lua $(codegen_inputs)
	$(AM_V_GEN)output=policy_h; $(codegen_run)

libvfu/gen/policy.c.stamp: codegen/gen/policy_c.lua $(codegen_inputs)
	$(AM_V_GEN)output=policy_c; $(codegen_run)

libvfu/gen/caps.h.stamp: codegen/gen/caps_h.lua $(codegen_inputs)
	$(AM_V_GEN)output=caps_h; $(codegen_run)

libvfu/gen/caps.c.stamp: codegen/gen/caps_c.lua $(codegen_inputs)
	$(AM_V_GEN)output=caps_c; $(codegen_run)

libvfu/gen/desc.h.stamp: codegen/gen/desc_h.lua $(codegen_inputs)
	$(AM_V_GEN)output=desc_h; $(codegen_run)

libvfu/gen/desc.c.stamp: codegen/gen/desc_c.lua $(codegen_inputs)
	$(AM_V_GEN)output=desc_c; $(codegen_run)

libvfu/gen/vfu-calls.h.stamp: codegen/gen/calls_h.lua $(codegen_inputs)
	$(AM_V_GEN)output=calls_h; $(codegen_run)

libvfu/gen/vfu-calls.c.stamp: codegen/gen/calls_c.lua $(codegen_inputs)
	$(AM_V_GEN)output=calls_c; $(codegen_run)

# Python: a module of its own that needs nothing else of this project.
codegen_python = \
	python/gen/vfu_protocol.py \
	python/gen/vfu_protocol.pyi

EXTRA_DIST += $(codegen_python)
MAINTAINERCLEANFILES += $(codegen_python)
if HAVE_PYTHON
vfuprotocoldir = $(pythondir)
vfuprotocol_DATA = $(codegen_python)
endif

python/gen/vfu_protocol.py: codegen/gen/python.lua $(codegen_py_language) $(codegen_inputs)
	$(AM_V_GEN)output=python; $(codegen_run)

python/gen/vfu_protocol.pyi: codegen/gen/python_pyi.lua $(codegen_py_language) $(codegen_inputs)
	$(AM_V_GEN)output=python_pyi; $(codegen_run)
