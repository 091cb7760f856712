/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 The Constellation developers */

#include "module.h"

/*
 * Global symbols: res_consul_stasis_app calls ast_subscribe_to_stasis(). The priority is after
 * res_ari (AST_MODPRI_APP_DEPEND), whose resource is added where it is there.
 */
ASTERISK_MODULE(AST_MODFLAG_GLOBAL_SYMBOLS | AST_MODFLAG_LOAD_ORDER,
	"Stasis and AMI events to RabbitMQ",
	.load_pri = AST_MODPRI_DEFAULT,
	.requires = "res_stasis",
);
