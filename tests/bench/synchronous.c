/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 The Constellation developers */

/* What to compare with: a publisher as C modules in the field are. Each event is published where it is
 * received, in the callback on Asterisk's thread, by librabbitmq, without confirms: its text is a JSON
 * tree that Asterisk makes, put into an envelope and dumped. A lock keeps threads apart on the one
 * connection.
 *
 * Not measured, so left out: what becomes of a lost connection, configuration, filters.
 *
 * The environment variable BENCH_AMQP has the broker: "port vhost user password". With BENCH_APPS set it
 * publishes the events of applications that `synchronous apps` registers, else those of all channels. */

#include "asterisk.h"

#include <ctype.h>
#include <rabbitmq-c/amqp.h>
#include <rabbitmq-c/tcp_socket.h>
#include <time.h>

#include "asterisk/module.h"
#include "asterisk/channel.h"
#include "asterisk/cli.h"
#include "asterisk/json.h"
#include "asterisk/lock.h"
#include "asterisk/stasis.h"
#include "asterisk/stasis_app.h"
#include "asterisk/stasis_channels.h"

#define EXCHANGE "asterisk"
#define FRAME_BYTES 131072

/* Times by size, eight sizes to each power of two, as res_stasis_amqp counts its own. */
#define STEPS 8
#define STEP_BITS 3
#define SIZES (STEPS * 38)

AST_MUTEX_DEFINE_STATIC(lock);
static amqp_connection_state_t connection;
static struct stasis_subscription *subscription;
static int count_of_apps;

static uint64_t sizes[SIZES];
static uint64_t longest;
static uint64_t failed;

static uint64_t nanoseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

static void record(uint64_t nanos)
{
	uint64_t least = nanos < STEPS ? STEPS : nanos;
	unsigned int shift = 63 - __builtin_clzll(least) - STEP_BITS;
	unsigned int size = shift * STEPS + (least >> shift) - STEPS;
	uint64_t known = __atomic_load_n(&longest, __ATOMIC_RELAXED);

	__atomic_fetch_add(&sizes[MIN(size, SIZES - 1)], 1, __ATOMIC_RELAXED);
	while (nanos > known && !__atomic_compare_exchange_n(&longest, &known, nanos, 0,
		__ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
	}
}

static uint64_t no_longer_than(uint64_t all, unsigned int hundredths)
{
	uint64_t wanted = (all * hundredths + 99) / 100, seen = 0;
	unsigned int size;

	for (size = 0; size < SIZES; size++) {
		seen += sizes[size];
		if (seen >= wanted) {
			return MIN(((STEPS + size % STEPS + 1ULL) << (size / STEPS)) - 1, longest);
		}
	}
	return longest;
}

static amqp_table_entry_t header(const char *name, const char *value)
{
	amqp_table_entry_t entry = {
		.key = amqp_cstring_bytes(name),
		.value = { .kind = AMQP_FIELD_KIND_UTF8, .value = { .bytes = amqp_cstring_bytes(value) } },
	};

	return entry;
}

/* Takes the reference to the event. */
static void publish(const char *prefix, const char *last, const char *app, struct ast_json *event)
{
	const char *name = S_OR(ast_json_string_get(ast_json_object_get(event, "type")), "");
	amqp_table_entry_t headers[] = {
		header("name", name),
		header("category", "stasis"),
		header("application_name", S_OR(app, "")),
	};
	amqp_basic_properties_t properties = {
		._flags = AMQP_BASIC_CONTENT_TYPE_FLAG | AMQP_BASIC_DELIVERY_MODE_FLAG | AMQP_BASIC_HEADERS_FLAG,
		.content_type = amqp_cstring_bytes("application/json"),
		.delivery_mode = AMQP_DELIVERY_PERSISTENT,
		.headers = { .num_entries = app ? 3 : 2, .entries = headers },
	};
	struct ast_json *envelope;
	char key[256], *at, *text;
	int status;

	snprintf(key, sizeof(key), "%s%s", prefix, S_OR(last, name));
	for (at = key; *at; at++) {
		*at = tolower((unsigned char) *at);
	}
	envelope = app
		? ast_json_pack("{s: s, s: o, s: s}", "name", name, "data", event, "application", app)
		: ast_json_pack("{s: s, s: o}", "name", name, "data", event);
	text = envelope ? ast_json_dump_string(envelope) : NULL;
	if (!text) {
		ast_json_unref(envelope);
		return;
	}
	ast_mutex_lock(&lock);
	status = amqp_basic_publish(connection, 1, amqp_cstring_bytes(EXCHANGE), amqp_cstring_bytes(key),
		0, 0, &properties, amqp_cstring_bytes(text));
	failed += status != AMQP_STATUS_OK;
	ast_mutex_unlock(&lock);
	ast_json_free(text);
	ast_json_unref(envelope);
}

static void channel_event(void *data, struct stasis_subscription *sub, struct stasis_message *message)
{
	uint64_t since = nanoseconds();
	struct ast_json *event = stasis_message_to_json(message, NULL);

	if (!event) {
		return;
	}
	publish("stasis.channel.", NULL, NULL, event);
	record(nanoseconds() - since);
}

static void app_event(void *data, const char *app, struct ast_json *event)
{
	uint64_t since = nanoseconds();

	ast_json_object_set(event, "application", ast_json_string_create(app));
	publish("stasis.app.", app, app, ast_json_ref(event));
	record(nanoseconds() - since);
}

static char *make_apps(struct ast_cli_entry *entry, int command, struct ast_cli_args *args)
{
	char name[32];

	switch (command) {
	case CLI_INIT:
		entry->command = "synchronous apps";
		entry->usage = "Usage: synchronous apps <count>\n       Registers bench-0, bench-1, …\n";
		return NULL;
	case CLI_GENERATE:
		return NULL;
	}
	if (args->argc != 3) {
		return CLI_SHOWUSAGE;
	}
	for (; count_of_apps < atoi(args->argv[2]); count_of_apps++) {
		snprintf(name, sizeof(name), "bench-%d", count_of_apps);
		if (stasis_app_register(name, app_event, NULL)) {
			return CLI_FAILURE;
		}
	}
	ast_cli(args->fd, "apps %d\n", count_of_apps);
	return CLI_SUCCESS;
}

static char *show(struct ast_cli_entry *entry, int command, struct ast_cli_args *args)
{
	uint64_t all = 0;
	unsigned int size;

	switch (command) {
	case CLI_INIT:
		entry->command = "synchronous show";
		entry->usage = "Usage: synchronous show\n       Shows how long callbacks took, in nanoseconds.\n";
		return NULL;
	case CLI_GENERATE:
		return NULL;
	}
	for (size = 0; size < SIZES; size++) {
		all += sizes[size];
	}
	ast_cli(args->fd, "callbacks %lu\nfailed %lu\np50 %lu\np99 %lu\nmax %lu\n", all, failed,
		no_longer_than(all, 50), no_longer_than(all, 99), longest);
	return CLI_SUCCESS;
}

static struct ast_cli_entry commands[] = {
	AST_CLI_DEFINE(make_apps, "Register applications"),
	AST_CLI_DEFINE(show, "Show times of callbacks"),
};

static int connect_to_broker(void)
{
	char vhost[64], user[64], password[64];
	amqp_socket_t *socket;
	int port;

	if (sscanf(S_OR(getenv("BENCH_AMQP"), ""), "%d %63s %63s %63s", &port, vhost, user, password) != 4) {
		ast_log(LOG_ERROR, "BENCH_AMQP is not \"port vhost user password\"\n");
		return 0;
	}
	connection = amqp_new_connection();
	socket = amqp_tcp_socket_new(connection);
	if (!socket || amqp_socket_open(socket, "127.0.0.1", port) != AMQP_STATUS_OK) {
		ast_log(LOG_ERROR, "no connection to port %d\n", port);
		return 0;
	}
	if (amqp_login(connection, vhost, 0, FRAME_BYTES, 0, AMQP_SASL_METHOD_PLAIN, user, password)
			.reply_type != AMQP_RESPONSE_NORMAL
		|| !amqp_channel_open(connection, 1)
		|| !amqp_exchange_declare(connection, 1, amqp_cstring_bytes(EXCHANGE),
			amqp_cstring_bytes("topic"), 0, 1, 0, 0, amqp_empty_table)) {
		ast_log(LOG_ERROR, "the broker on port %d refuses\n", port);
		return 0;
	}
	return 1;
}

static int load_module(void)
{
	if (!connect_to_broker()) {
		amqp_destroy_connection(connection);
		return AST_MODULE_LOAD_DECLINE;
	}
	if (!getenv("BENCH_APPS")) {
		subscription = stasis_subscribe(ast_channel_topic_all(), channel_event, NULL);
		stasis_subscription_accept_formatters(subscription, STASIS_SUBSCRIPTION_FORMATTER_JSON);
		stasis_subscription_set_congestion_limits(subscription, -1, 1000000);
	}
	ast_cli_register_multiple(commands, ARRAY_LEN(commands));
	return AST_MODULE_LOAD_SUCCESS;
}

static int unload_module(void)
{
	char name[32];

	ast_cli_unregister_multiple(commands, ARRAY_LEN(commands));
	stasis_unsubscribe_and_join(subscription);
	while (count_of_apps) {
		snprintf(name, sizeof(name), "bench-%d", --count_of_apps);
		stasis_app_unregister(name);
	}
	amqp_destroy_connection(connection);
	return 0;
}

AST_MODULE_INFO(ASTERISK_GPL_KEY, AST_MODFLAG_DEFAULT, "Synchronous publisher for a bench",
	.support_level = AST_MODULE_SUPPORT_EXTENDED,
	.load = load_module,
	.unload = unload_module,
	.requires = "res_stasis",
);
