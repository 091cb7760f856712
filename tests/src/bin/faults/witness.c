/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 The Constellation developers */

/* What Asterisk published: a subscriber of its own to the topic of all channels, which writes a line
 * for each event that has a JSON form: a hash of the text, the event's name, and for a variable its
 * name and the beginning of its value. A line is one write() to a file, so it outlives a kill -9. */

#include "asterisk.h"

#include <ctype.h>
#include <fcntl.h>
#include <inttypes.h>
#include <unistd.h>

#include "asterisk/module.h"
#include "asterisk/channel.h"
#include "asterisk/cli.h"
#include "asterisk/json.h"
#include "asterisk/paths.h"
#include "asterisk/pbx.h"
#include "asterisk/stasis.h"
#include "asterisk/stasis_channels.h"

static int file = -1;
static struct stasis_subscription *subscription;

/* FNV-1a, which the reader of the file computes too. */
static uint64_t hash(const char *text)
{
	uint64_t value = 0xcbf29ce484222325ULL;

	for (; *text; text++) {
		value = (value ^ (unsigned char) *text) * 0x100000001b3ULL;
	}
	return value;
}

static const char *word(const char *text, char *into, size_t size)
{
	size_t length = 0;

	for (; text && *text && length < size - 1; text++) {
		into[length++] = isgraph((unsigned char) *text) ? *text : '.';
	}
	into[length] = '\0';
	return length ? into : "-";
}

static void put(const char *line)
{
	size_t length = strlen(line);

	if (write(file, line, length) != (ssize_t) length) {
		ast_log(LOG_ERROR, "a line is missing: %s\n", strerror(errno));
	}
}

static void seen(void *data, struct stasis_subscription *sub, struct stasis_message *message)
{
	char line[160], variable[40], value[20];
	struct ast_json *json;
	char *text;

	if (stasis_subscription_final_message(sub, message)
		|| !(json = stasis_message_to_json(message, NULL))) {
		return;
	}
	text = ast_json_dump_string_format(json, AST_JSON_COMPACT);
	if (text) {
		snprintf(line, sizeof(line), "%016" PRIx64 " %s %s %s\n", hash(text),
			S_OR(ast_json_string_get(ast_json_object_get(json, "type")), "-"),
			word(ast_json_string_get(ast_json_object_get(json, "variable")), variable, sizeof(variable)),
			word(ast_json_string_get(ast_json_object_get(json, "value")), value, sizeof(value)));
		put(line);
		ast_json_free(text);
	}
	ast_json_unref(json);
}

/* A variable of any size, which neither the dialplan nor ARI can set. */
static char *set(struct ast_cli_entry *entry, int command, struct ast_cli_args *args)
{
	struct ast_channel *channel;
	size_t size;
	char *value;

	switch (command) {
	case CLI_INIT:
		entry->command = "witness set";
		entry->usage = "Usage: witness set <channel> <variable> <bytes> {text|odd}\n";
		return NULL;
	case CLI_GENERATE:
		return NULL;
	}
	if (args->argc != 6) {
		return CLI_SHOWUSAGE;
	}
	size = atol(args->argv[4]);
	channel = ast_channel_get_by_name(args->argv[2]);
	value = ast_malloc(size + 1);
	if (channel && value) {
		memset(value, strcmp(args->argv[5], "odd") ? 'x' : 0xc3, size);
		value[size] = '\0';
		pbx_builtin_setvar_helper(channel, args->argv[3], value);
		ast_cli(args->fd, "set\n");
	}
	ast_free(value);
	ast_channel_cleanup(channel);
	return CLI_SUCCESS;
}

static struct ast_cli_entry commands[] = {
	AST_CLI_DEFINE(set, "Set a variable of any size"),
};

static int load_module(void)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/witness", ast_config_AST_LOG_DIR);
	file = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
	if (file < 0) {
		ast_log(LOG_ERROR, "%s: %s\n", path, strerror(errno));
		return AST_MODULE_LOAD_DECLINE;
	}
	put("boot\n");
	subscription = stasis_subscribe(ast_channel_topic_all(), seen, NULL);
	stasis_subscription_accept_formatters(subscription, STASIS_SUBSCRIPTION_FORMATTER_JSON);
	stasis_subscription_set_congestion_limits(subscription, -1, 1000000);
	ast_cli_register_multiple(commands, ARRAY_LEN(commands));
	return AST_MODULE_LOAD_SUCCESS;
}

static int unload_module(void)
{
	ast_cli_unregister_multiple(commands, ARRAY_LEN(commands));
	stasis_unsubscribe_and_join(subscription);
	close(file);
	return 0;
}

AST_MODULE_INFO(ASTERISK_GPL_KEY, AST_MODFLAG_LOAD_ORDER, "Witness of all channel events",
	.support_level = AST_MODULE_SUPPORT_EXTENDED,
	.load = load_module,
	.unload = unload_module,
	.load_pri = AST_MODPRI_APP_DEPEND,
);
