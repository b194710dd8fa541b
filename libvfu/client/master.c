/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * master.c - bus mastering, which a device needs for DMA and for MSI and MSI-X.
 *
 * A device that looks at Command.BusMaster (E63) holds its interrupts back and fails its DMA while
 * that is off, and says so to nobody but its own log. Drivers turn it on before they use either, and
 * so does this client: before the first DMA range and the first eventfd of a message interrupt, once
 * for each connection and each reset. Who passes a guest's configuration space on (a machine
 * monitor) leaves Command to the guest: VFU_OPT_BUS_MASTER 0.
 */
#include <errno.h>
#include <linux/pci_regs.h>

#include "client/call.h"
#include "client/info.h"
#include "client/master.h"
#include "vfu-calls.h"
#include "wire-region.h"

static int access_command(struct vfui_conn *conn, bool is_write, uint8_t command[2],
			  struct vfu_err *err)
{
	struct vfui_call call = vfui_client_new_call(err);
	struct vfu_wire_region_read_request in = {PCI_COMMAND, VFU_REGION_CONFIG, 2};
	struct vfu_wire_region_write_request out = {PCI_COMMAND, VFU_REGION_CONFIG, 2};
	struct vfu_wire_region_read_reply read;
	struct vfu_wire_region_write_reply written;

	if (is_write) {
		call.tail = command;
		call.tail_len = 2;
		return vfui_call_region_write(conn, &call, &out, &written);
	}
	call.reply_tail = command;
	call.reply_room = 2;
	call.plain_tail = true;
	return vfui_call_region_read(conn, &call, &in, &read);
}

/* Only a PCI device has such a register; of another one the region could be anything. */
static int turn_on(struct vfu_client *cl, struct vfui_conn *conn, struct vfu_err *err)
{
	struct vfu_device_info info;
	uint8_t command[2] = {0};
	int ret = vfui_client_device(cl, conn, &info);

	if (ret)
		vfu_client_err(cl, err);
	if (ret || !info.pci)
		return ret;
	ret = access_command(conn, false, command, err);
	if (ret || command[0] & PCI_COMMAND_MASTER)
		return ret;
	command[0] |= PCI_COMMAND_MASTER;
	return access_command(conn, true, command, err);
}

/* A device that refuses has no such register, and then does not look at it either. */
int vfui_client_use_master(struct vfu_client *cl, struct vfui_conn *conn, struct vfu_err *err)
{
	int ret;

	if (!vfui_conn_option(conn, VFU_OPT_BUS_MASTER) || atomic_load(&cl->is_master))
		return 0;
	/* Before it is done no other thread may take it for done; twice does no harm. */
	ret = turn_on(cl, conn, err);
	if (vfui_client_is_unanswered(ret))
		return ret;
	atomic_store(&cl->is_master, true);
	return 0;
}

int vfu_client_use_bus_master(struct vfu_client *cl)
{
	struct vfu_err err = {0};
	struct vfui_conn *conn;
	int ret;

	/* Nothing to wait for, be it for a connection: the next one is told so, too. */
	if (*cl->fork_mark && atomic_load(&cl->is_master))
		return 0;
	conn = vfui_client_begin(cl, true, &ret);
	if (!conn)
		return ret;
	ret = vfui_client_use_master(cl, conn, &err);
	return vfui_client_end(cl, ret, &err);
}
