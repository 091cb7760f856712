/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 The Constellation developers */

/*
 * What bindgen reads. Only functions and types that build.rs allowlists are emitted; everything
 * that Asterisk offers as a macro or an inline function is in src/shim/shim.c instead.
 *
 * optional_api headers (http_websocket.h, agi.h) stay out: they turn functions into pointers that
 * constructors fill in.
 */

#include "asterisk.h"

#include "asterisk/ari.h"
#include "asterisk/ast_version.h"
#include "asterisk/astdb.h"
#include "asterisk/astobj2.h"
#include "asterisk/channel.h"
#include "asterisk/cli.h"
#include "asterisk/config.h"
#include "asterisk/endpoints.h"
#include "asterisk/endpoints.h"
#include "asterisk/json.h"
#include "asterisk/logger.h"
#include "asterisk/manager.h"
#include "asterisk/module.h"
#include "asterisk/paths.h"
#include "asterisk/rtp_engine.h"
#include "asterisk/stasis.h"
#include "asterisk/stasis_app.h"
#include "asterisk/stasis_channels.h"
#include "asterisk/stasis_message_router.h"
#include "asterisk/taskprocessor.h"
#include "asterisk/utils.h"

#include "asterisk/consul.h"
#include "asterisk/stasis_amqp.h"

#include "../src/shim/shim.h"
