-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- Opening a session.

message "version" {
	id = 1, from = "client", since = "0.0", basic = true,
	keeps = "the version and what was agreed with it",
	doc = [[Opens a session: it is the first message, and sent once.  The client proposes a version and its
	capabilities, the server answers with what will be used.  A version agrees when the majors are equal;
	the smaller minor is used.]],
	fds = {
		request = { max = 0, doc = "none" },
		reply = { max = 1, doc = "the client's end of the twin socket, if that was granted" },
	},
	request = {
		u16 "major" { equals = 0, doc = "major version proposed" },
		u16 "minor" { doc = "highest minor version known" },
		json "data" { optional = true, max = 16384, depth = 8, schema = "capabilities",
			doc = "JSON text of the proposed capabilities, its NUL included" },
	},
	reply = {
		u16 "major" { equals = request.major, doc = "major version used" },
		u16 "minor" { max = request.minor, doc = "minor version used" },
		json "data" { optional = true, max = 16384, depth = 8, schema = "capabilities",
			doc = "JSON text of the capabilities granted, its NUL included" },
	},
	errors = {
		EINVAL = "no common version, malformed or out of range capabilities, or not the first message: all these end the connection; a second VERSION does not",
	},
}

message "reset" {
	id = 13, from = "client", since = "0.0", basic = true, fence = true, gate = "reset",
	keeps = "the state of configuration space and interrupts",
	doc = [[Brings the device back to the state it started in.  DMA ranges and interrupt settings made by
	messages stay; migration goes back to running.]],
	request = none,
	reply = none,
	errors = { EIO = "the device could not be reset" },
}
