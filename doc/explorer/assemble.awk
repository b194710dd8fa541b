# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
#
# awk -f assemble.awk page.html explorer.css explorer.js ...: the page as one file. A line "@include NAME" of the
# first file becomes the one of the others that is called so; in JSON nothing may end its element.

function include(name, file, line) {
	for (i = 2; i < ARGC; i++) {
		file = ARGV[i]
		sub(/.*\//, "", file)
		if (file != name)
			continue
		while ((got = (getline line < ARGV[i])) > 0) {
			if (name ~ /\.json$/)
				gsub(/</, "\\u003c", line)
			print line
		}
		if (got < 0)
			break
		close(ARGV[i])
		return
	}
	print "assemble.awk: no " name > "/dev/stderr"
	failed = 1
	exit
}

BEGIN {
	while ((getline line < ARGV[1]) > 0) {
		if (line ~ /^@include /)
			include(substr(line, 10))
		else
			print line
	}
	exit failed
}
