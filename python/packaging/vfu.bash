# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
#
# bash completion for vfu, which needs argcomplete (Debian: python3-argcomplete).
if command -v register-python-argcomplete >/dev/null; then
	eval "$(register-python-argcomplete vfu)"
elif command -v register-python-argcomplete3 >/dev/null; then
	eval "$(register-python-argcomplete3 vfu)"
fi
