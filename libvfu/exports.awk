# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
#
# Reads the public header, writes the linker's version script: every function declared there and
# nothing else. A new release that adds functions needs a new version node: see HACKING.md.

# Comments and preprocessor lines go first; what is left is cut at the semicolons.
{
	line = $0
	if (in_directive || line ~ /^[ \t]*#/) {
		in_directive = line ~ /\\$/
		next
	}
	gsub(/\/\*([^*]|\*+[^*\/])*\*+\//, " ", line)
	sub(/\/\/.*/, "", line)
	if (in_comment) {
		if (!sub(/^.*\*\//, "", line))
			next
		in_comment = 0
	}
	if (sub(/\/\*.*/, "", line))
		in_comment = 1
	text = text " " line
}

END {
	gsub(/extern "C" *[{]/, " ", text)
	n = split(text, part, ";")
	depth = 0
	for (i = 1; i <= n; i++) {
		start = depth
		depth += gsub(/[{]/, "{", part[i]) - gsub(/[}]/, "}", part[i])
		# Members of a structure and function types are not functions.
		if (start == 0 && part[i] !~ /[{]|typedef/ && match(part[i], /vfu_[a-z0-9_]+ *\(/)) {
			name = substr(part[i], RSTART, RLENGTH)
			sub(/ *\($/, "", name)
			names = names "\t\t" name ";\n"
		}
	}
	if (names == "") {
		print "exports.awk: no function found" > "/dev/stderr"
		exit 1
	}
	printf "LIBVFU_0 {\n\tglobal:\n%s\tlocal:\n\t\t*;\n};\n", names
}
