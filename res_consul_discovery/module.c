/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 The Constellation developers */

#include "module.h"

/* After res_consul, whose functions it calls. */
ASTERISK_MODULE(AST_MODFLAG_LOAD_ORDER,
	"This node as a service in Consul",
	.load_pri = AST_MODPRI_DEFAULT,
	.requires = "res_consul",
);
