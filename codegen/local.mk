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
	codegen/pyname.lua

codegen_inputs = $(codegen_core) $(spec_files)

codegen_c_generators = \
	codegen/gen/wire_h.lua \
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
	codegen/gen/tests_py.lua \
	codegen/gen/corpus.lua \
	codegen/gen/python.lua \
	codegen/gen/python_pyi.lua \
	codegen/gen/protocol_rst.lua \
	codegen/gen/model_json.lua

# How checks are written in each language, and names in Python.
codegen_py_language = \
	codegen/pyfile.lua \
	codegen/pyclass.lua \
	codegen/pycaps.lua
codegen_languages = codegen/cfile.lua $(codegen_py_language)

EXTRA_DIST += $(codegen_core) $(codegen_c_generators) $(codegen_vectors) $(codegen_languages) \
	$(codegen_other_generators) codegen/box.lua codegen/json.lua codegen/README.md codegen/MODEL.md

# The recipe of every generated file: `output=GENERATOR; $(codegen_run)`.  A failing generator
# leaves the old target, still out of date, and no temporary file.
codegen_run = \
	if $(LUA) -e 'assert(_VERSION == "Lua 5.4")' >/dev/null 2>&1; then \
	  $(MKDIR_P) $(@D) && \
	  $(LUA) $(srcdir)/codegen/main.lua $$output $(srcdir)/spec > $@.tmp && \
	  mv -f $@.tmp $@ || { rm -f $@.tmp; exit 1; }; \
	else \
	  echo "$@ is older than: $?" >&2; \
	  echo "To make it anew install Lua 5.4 (package lua5.4) and run configure again." >&2; \
	  exit 1; \
	fi

codegen_headers = \
	libvfu/gen/wire.h \
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
MAINTAINERCLEANFILES += $(codegen_headers) $(codegen_sources)

vfuincludedir = $(includedir)/vfu
vfuinclude_HEADERS = libvfu/gen/wire.h

libvfu/gen/wire.h: codegen/gen/wire_h.lua $(codegen_inputs)
	$(AM_V_GEN)output=wire_h; $(codegen_run)

libvfu/gen/checks.h: codegen/gen/checks_h.lua $(codegen_inputs)
	$(AM_V_GEN)output=checks_h; $(codegen_run)

libvfu/gen/wire.c: codegen/gen/wire_c.lua codegen/cfile.lua $(codegen_inputs)
	$(AM_V_GEN)output=wire_c; $(codegen_run)

libvfu/gen/policy.h: codegen/gen/policy_h.lua $(codegen_inputs)
	$(AM_V_GEN)output=policy_h; $(codegen_run)

libvfu/gen/policy.c: codegen/gen/policy_c.lua $(codegen_inputs)
	$(AM_V_GEN)output=policy_c; $(codegen_run)

libvfu/gen/caps.h: codegen/gen/caps_h.lua $(codegen_inputs)
	$(AM_V_GEN)output=caps_h; $(codegen_run)

libvfu/gen/caps.c: codegen/gen/caps_c.lua $(codegen_inputs)
	$(AM_V_GEN)output=caps_c; $(codegen_run)

libvfu/gen/desc.h: codegen/gen/desc_h.lua $(codegen_inputs)
	$(AM_V_GEN)output=desc_h; $(codegen_run)

libvfu/gen/desc.c: codegen/gen/desc_c.lua $(codegen_inputs)
	$(AM_V_GEN)output=desc_c; $(codegen_run)

libvfu/gen/vfu-calls.h: codegen/gen/calls_h.lua $(codegen_inputs)
	$(AM_V_GEN)output=calls_h; $(codegen_run)

libvfu/gen/vfu-calls.c: codegen/gen/calls_c.lua $(codegen_inputs)
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
