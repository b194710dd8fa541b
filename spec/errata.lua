-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- Where the protocol's text is wrong, silent or not followed: what it says, what implementations do,
-- and what we do.  An entry with a policy makes a field of struct vfui_policy; its first choice is our
-- default.

erratum { 1, title = "DMA_WRITE reply count", text = "-", peers = "-", decision = "-",
	policy = "dma_write_reply", choices = { "lenient", "exact" }, profiles = { strict = "exact", ["libvfio-user"] = "lenient" },
}

erratum { 8, title = "Overlapping DMA_MAP", text = "-", peers = "-", decision = "-",
	policy = "map_repeat", choices = { "reject", "accept" }, profiles = { strict = "reject", ["libvfio-user"] = "accept" },
}

erratum { 10, title = "DMA_MAP of odd ranges", text = "-", peers = "-", decision = "-",
	policy = "map_misaligned", choices = { "reject", "accept" }, profiles = { strict = "reject", ["libvfio-user"] = "accept" },
}

erratum { 12, title = "argsz too small", text = "-", peers = "-", decision = "-",
	policy = "short_region_info", choices = { "caps_clear", "caps_offset" }, profiles = { strict = "caps_clear", ["libvfio-user"] = "caps_clear" },
}

erratum { 21, title = "Minor version", text = "-", peers = "-", decision = "-",
	policy = "minor", choices = { "min", "zero" }, profiles = { strict = "min", ["libvfio-user"] = "min" },
}

erratum { 24, title = "Unknown command", text = "-", peers = "-", decision = "-",
	policy = "unknown_command", choices = { "enosys", "einval" }, profiles = { strict = "enosys", ["libvfio-user"] = "einval" },
}

erratum { 28, title = "Odd headers", text = "-", peers = "-", decision = "-",
	policy = "unknown_flags", choices = { "ignore", "reject" }, profiles = { strict = "reject", ["libvfio-user"] = "ignore" },
}

erratum { 29, title = "Access of no bytes", text = "-", peers = "-", decision = "-",
	policy = "zero_count", choices = { "reject", "reply" }, profiles = { strict = "reject", ["libvfio-user"] = "reply" },
}

erratum { 35, title = "Interrupt index without vectors", text = "-", peers = "-", decision = "-",
	policy = "empty_irq_index", choices = { "noop", "reject" }, profiles = { strict = "reject", ["libvfio-user"] = "reject" },
}

erratum { 40, title = "Dirty bitmap", text = "-", peers = "-", decision = "-",
	policy = "bitmap_range", choices = { "any", "exact" }, profiles = { strict = "any", ["libvfio-user"] = "exact" },
}

erratum { 45, title = "Unsupported feature", text = "-", peers = "-", decision = "-",
	policy = "unsupported_feature", choices = { "enotty", "einval" }, profiles = { strict = "enotty", ["libvfio-user"] = "einval" },
}

erratum { 47, title = "Disconnect", text = "-", peers = "-", decision = "-",
	policy = "disconnect", choices = { "keep", "reset" }, profiles = { strict = "keep", ["libvfio-user"] = "reset" },
}

erratum { 62, title = "DMA_UNMAP of a range that is no single map", text = "-", peers = "-", decision = "-",
	policy = "unmap_range", choices = { "cover", "exact" }, profiles = { strict = "exact", ["libvfio-user"] = "exact" },
}

erratum { 63, title = "Bus mastering", text = "-", peers = "-", decision = "-",
	policy = "bus_master", choices = { "ignore", "enforce" }, profiles = { strict = "ignore", ["libvfio-user"] = "ignore" },
}

