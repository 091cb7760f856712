/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 The Constellation developers */

#include "module.h"

/* After the two modules whose functions it calls. */
ASTERISK_MODULE(AST_MODFLAG_LOAD_ORDER,
	"Stasis applications from Consul's keys",
	.load_pri = AST_MODPRI_DEFAULT,
	.requires = "res_consul,res_stasis_amqp",
);
