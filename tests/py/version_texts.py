# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Texts of VERSION and what must be said of them, by everything of ours that reads them: the library, vfu.protocol, the
explorer and the dissector. (name, what follows the version, in a reply?, (field, rule) or None)."""


def caps(inner):
    return b'{"capabilities":{%s}}\0' % inner


def nested(levels, innermost=b"1", opening=b"[", closing=b"]"):
    """An object in which there are as many more levels as make these."""
    return b'{"a":' + opening * (levels - 1) + innermost + closing * (levels - 1) + b"}\0"


MALFORMED, TWICE, NUL, UTF8, DEEP = (("data", f"is JSON text ({why})") for why in (
    "is malformed", "has a key twice", "has a NUL in a key", "is not UTF-8", "is nested deeper than 8 levels"))
NO_TEXT = "data", "ends with a NUL and holds no other"
LENGTH = "payload", "is at least 4 bytes and at most 16388"
FDS = "capabilities.max_msg_fds", "is a whole number from 0 to 1024"
FINE = None


def same(verdict, *texts):
    """Texts that are values of an unknown key, all with this verdict."""
    return [(repr(text), b'{"a":' + text + b"}\0", False, verdict) for text in texts]


TEXTS = [
    ("nothing", b"", False, FINE),
    ("an object", b"{}\0", False, FINE),
    ("spaces", b" \t\r\n{ } \n\0", False, FINE),
    ("other keys", b'{"x":[1,{"y":null}],"capabilities":{"z":1e400}}\0', False, FINE),
    # How long, and where it ends.
    ("as long as can be", b"{}" + b" " * 16381 + b"\0", False, FINE),
    ("too long", b"{}" + b" " * 16382 + b"\0", False, LENGTH),
    ("no NUL", b"{}", False, NO_TEXT),
    ("two NULs", b"{}\0\0", False, NO_TEXT),
    ("a NUL inside", b'{"a":"\0"}\0', False, NO_TEXT),
    ("a NUL alone", b"\0", False, MALFORMED),
    ("a space alone", b" \0", False, MALFORMED),
    # How deep: of objects, of arrays, of both, with nothing inside.
    ("arrays as deep as can be", nested(8), False, FINE),
    ("arrays too deep", nested(9), False, DEEP),
    ("empty arrays as deep as can be", nested(8, b""), False, FINE),
    ("empty arrays too deep", nested(9, b""), False, DEEP),
    ("objects as deep as can be", nested(8, b"1", b'{"a":', b"}"), False, FINE),
    ("objects too deep", nested(9, b"1", b'{"a":', b"}"), False, DEEP),
    ("far too deep", nested(8000), False, DEEP),
    ("capabilities too deep", caps(b'"x":' + b"[" * 7 + b"]" * 7), False, DEEP),
    ("capabilities as deep as can be", caps(b'"x":' + b"[" * 6 + b"]" * 6), False, FINE),
    ("two deep ones beside", b'{"a":' + b"[" * 7 + b"]" * 7 + b',"b":' + b"[" * 7 + b"]" * 7 + b"}\0", False, FINE),
    # Keys.
    ("a key twice", b'{"a":1,"a":1}\0', False, TWICE),
    ("a key twice, once escaped", b'{"a":1,"\\u0061":1}\0', False, TWICE),
    ("a key twice inside", b'{"a":[{"b":1,"b":2}]}\0', False, TWICE),
    ("a capability twice", caps(b'"max_msg_fds":8,"max_msg_fds":8'), False, TWICE),
    ("capabilities twice", b'{"capabilities":{},"capabilities":{}}\0', False, TWICE),
    ("an empty key", b'{"":1}\0', False, FINE),
    ("an empty key twice", b'{"":1,"":1}\0', False, TWICE),
    ("a NUL in a key", b'{"capabilities\\u0000x":1}\0', False, NUL),
    ("no NUL in a key", b'{"capabilities\\\\u0000x":1}\0', False, FINE),
    ("one key in two objects", b'{"a":{"a":1},"b":{"a":1}}\0', False, FINE),
    ("a capability escaped", caps(b'"max\\u005Fmsg_fds":1025'), False, FDS),
    ("a key without quotes", b"{a:1}\0", False, MALFORMED),
    ("a key in single quotes", b"{'a':1}\0", False, MALFORMED),
    ("a key that is a number", b"{1:1}\0", False, MALFORMED),
    # Commas, brackets and what is behind.
    ("a comma at the end", b'{"a":1,}\0', False, MALFORMED),
    ("a comma alone", b"{,}\0", False, MALFORMED),
    ("no comma", b'{"a":1 "b":2}\0', False, MALFORMED),
    ("no colon", b'{"a" 1}\0', False, MALFORMED),
    ("no value", b'{"a":}\0', False, MALFORMED),
    ("not closed", b'{"a":1\0', False, MALFORMED),
    ("closed by another", b'{"a":[1}]\0', False, MALFORMED),
    ("closed twice", b"{}}\0", False, MALFORMED),
    ("more behind it", b"{} x\0", False, MALFORMED),
    ("two objects", b"{}{}\0", False, MALFORMED),
    ("a comment", b"{/* */}\0", False, MALFORMED),
    ("a comment behind", b"{}//\0", False, MALFORMED),
    ("a byte order mark", b"\xef\xbb\xbf{}\0", False, MALFORMED),
    ("a vertical tab", b"\v{}\0", False, MALFORMED),
    ("a space of other scripts", b"{\xc2\xa0}\0", False, MALFORMED),
    # Numbers, words, strings.
    *same(FINE, b"0", b"-0", b"-1", b"10", b"1.5", b"-0.5", b"1e5", b"1E+5", b"1e-5", b"1e400", b"18446744073709551616", b"9" * 5000),
    *same(MALFORMED, b"01", b"-01", b"+1", b"1.", b".5", b"-", b"--1", b"1e", b"1e+", b"1.e5", b"0x10", b"1-2", b"1_0"),
    *same(MALFORMED, b"NaN", b"Infinity", b"-Infinity", b"True", b"nul", b"nullx", b"truefalse", b"undefined"),
    *same(FINE, b"true", b"false", b"null", b"[]", b"[null,false]", b'""', b'"\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9"', b'"a:b,{"', b"\"'\"",
          b'"\x7f"', b'"\\u0000"'),
    *same(MALFORMED, b'"', b'"\\x"', b'"\\u12"', b'"\\u12g4"', b"'a'", b'"\x01"', b'"\t"', b'"\n"', b'"\\', b"[1,]", b"[,1]"),
    # UTF-8, as it must be and in ways that are none.
    *same(FINE, b'"\xc2\x80"', b'"\xdf\xbf"', b'"\xe0\xa0\x80"', b'"\xed\x9f\xbf"', b'"\xef\xbf\xbf"', b'"\xf0\x90\x80\x80"',
          b'"\xf4\x8f\xbf\xbf"'),
    *same(UTF8, b'"\xff"', b'"\x80"', b'"\xc0\x80"', b'"\xc1\xbf"', b'"\xe0\x9f\xbf"', b'"\xed\xa0\x80"', b'"\xf0\x8f\xbf\xbf"',
          b'"\xf4\x90\x80\x80"', b'"\xf5\x80\x80\x80"', b'"\xe2\x82"', b'"\xc3'),
    # What it is.
    ("an array", b"[]\0", False, ("data", "is an object")),
    ("a number", b"1\0", False, ("data", "is an object")),
    ("a string", b'"x"\0', False, ("data", "is an object")),
    ("null", b"null\0", False, ("data", "is an object")),
    ("capabilities that are none", b'{"capabilities":[]}\0', False, ("capabilities", "is an object")),
    ("capabilities that are null", b'{"capabilities":null}\0', False, ("capabilities", "is an object")),
    ("an object that is none", caps(b'"migration":true'), False, ("capabilities.migration", "is an object")),
    ("an object that is none, in the other direction", caps(b'"twin_socket":1'), True, ("capabilities.twin_socket", "is an object")),
    # Values of capabilities: in range, whole, a multiple.
    ("as many as can be", caps(b'"max_msg_fds":1024'), False, FINE),
    ("a zero with a sign", caps(b'"max_msg_fds":-0'), False, FINE),
    ("too many", caps(b'"max_msg_fds":1025'), False, FDS),
    ("below zero", caps(b'"max_msg_fds":-1'), False, FDS),
    ("with a fraction", caps(b'"max_msg_fds":8.0'), False, FDS),
    ("with an exponent", caps(b'"max_msg_fds":1e1'), False, FDS),
    ("as a string", caps(b'"max_msg_fds":"8"'), False, FDS),
    ("as a truth", caps(b'"max_msg_fds":true'), False, FDS),
    ("null for a number", caps(b'"max_msg_fds":null'), False, FDS),
    ("32 bits and more", caps(b'"max_msg_fds":4294967304'), False, FDS),
    ("64 bits and more", caps(b'"max_msg_fds":18446744073709551624'), False, FDS),
    ("more than anybody counts", caps(b'"max_msg_fds":' + b"9" * 5000), False, FDS),
    ("no multiple", caps(b'"pgsizes":4097'), False, ("capabilities.pgsizes", "is a multiple of 4096")),
    ("a number for a truth", caps(b'"write_multiple":1'), False, ("capabilities.write_multiple", "is true or false")),
    ("a string for a truth", caps(b'"write_multiple":"true"'), False, ("capabilities.write_multiple", "is true or false")),
    ("no multiple inside", caps(b'"migration":{"pgsize":4097}'), False, ("capabilities.migration.pgsize", "is a multiple of 4096")),
    ("a key of the other direction", caps(b'"twin_socket":{"fd_index":"?"}'), False, FINE),
    ("the same in its own", caps(b'"twin_socket":{"fd_index":"?"}'), True, ("capabilities.twin_socket.fd_index", "is a whole number from 0 to 1023")),
    ("the first of two", caps(b'"migration":1,"max_msg_fds":-1'), False, FDS),
    ("the first of two, though an object is none", caps(b'"migration":1,"write_multiple":1'), False, ("capabilities.write_multiple", "is true or false")),
]
