/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 The Constellation developers */

/* A module whose load ends when something listens on a port, so that Asterisk is not fully booted
 * before; or after half a minute. */

#include "asterisk.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "asterisk/module.h"

static int is_there(void)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons(THE_PORT),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int connection = socket(AF_INET, SOCK_STREAM, 0);
	int result = connect(connection, (struct sockaddr *) &address, sizeof(address));

	close(connection);
	return !result;
}

static int load_module(void)
{
	int tries;

	for (tries = 0; tries < 600 && !is_there(); tries++) {
		usleep(50000);
	}
	return AST_MODULE_LOAD_SUCCESS;
}

static int unload_module(void)
{
	return 0;
}

/* After all others. */
AST_MODULE_INFO(ASTERISK_GPL_KEY, AST_MODFLAG_LOAD_ORDER, "Holds up the boot",
	.support_level = AST_MODULE_SUPPORT_EXTENDED,
	.load = load_module,
	.unload = unload_module,
	.load_pri = 250,
);
