/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 The Constellation developers */

/*
 * As much of Asterisk as an event needs to be written and queued: messages laid out as the headers
 * have it, and the library that Asterisk's JSON is. Everything is the same at each run, so that the
 * instructions are.
 */

/* Memory is libc's here. */
#define ASTMM_LIBC ASTMM_IGNORE

#include "asterisk.h"

#include <dlfcn.h>
#include <time.h>

#include "asterisk/ast_version.h"
#include "asterisk/channel.h"
#include "asterisk/json.h"
#include "asterisk/localtime.h"
#include "asterisk/manager.h"
#include "asterisk/rtp_engine.h"
#include "asterisk/stasis.h"
#include "asterisk/stasis_app.h"
#include "asterisk/stasis_channels.h"

/* What main.rs has published. */
enum what {
	VARSET,
	DIAL,
	DTMF,
	HANGUP,
	MANAGER_VARSET,
	MESSAGES,
};

/* Where the root has it; its header need not be there. */
#define LIBRARY "libjansson.so.4"

static struct {
	void *(*loads)(const char *text, size_t flags, void *error);
	char *(*dumps)(const void *json, size_t flags);
	void *(*copy)(void *json);
	void (*delete)(void *json);
	void *(*string)(const char *text);
	const char *(*string_value)(const void *json);
	long long (*integer_value)(const void *json);
	void *(*object_get)(const void *json, const char *key);
	int (*object_set_new)(void *json, const char *key, void *value);
	void *(*object_iter)(void *json);
	void *(*object_iter_next)(void *json, void *iter);
	const char *(*object_iter_key)(void *iter);
	void *(*object_iter_value)(void *iter);
	size_t (*array_size)(const void *json);
	void *(*array_get)(const void *json, size_t index);
} jansson;

/* The beginning of every value of that library's. */
struct value {
	int type;
	size_t references;
};

static void __attribute__((constructor)) open_library(void)
{
	void *library = dlopen(LIBRARY, RTLD_NOW);

#define FIND(name) (*(void **) &jansson.name = library ? dlsym(library, "json_" #name) : NULL)
	if (!FIND(loads) || !FIND(dumps) || !FIND(copy) || !FIND(delete) || !FIND(string)
		|| !FIND(string_value) || !FIND(integer_value) || !FIND(object_get)
		|| !FIND(object_set_new) || !FIND(object_iter) || !FIND(object_iter_next)
		|| !FIND(object_iter_key) || !FIND(object_iter_value) || !FIND(array_size)
		|| !FIND(array_get)) {
		fprintf(stderr, "no %s that serves: %s\n", LIBRARY, dlerror());
		exit(1);
	}
#undef FIND
}

enum ast_json_type ast_json_typeof(const struct ast_json *json)
{
	return ((const struct value *) json)->type;
}

void ast_json_unref(struct ast_json *json)
{
	struct value *value = (struct value *) json;

	if (value && value->references != (size_t) -1
		&& !__atomic_sub_fetch(&value->references, 1, __ATOMIC_RELEASE)) {
		jansson.delete(json);
	}
}

struct ast_json *ast_json_load_string(const char *text, struct ast_json_error *error)
{
	return jansson.loads(text, 0, NULL);
}

char *ast_json_dump_string_format(struct ast_json *json, enum ast_json_encoding_format format)
{
	return jansson.dumps(json, 0x20 /* compact */);
}

void ast_json_free(void *text)
{
	free(text);
}

struct ast_json *ast_json_copy(const struct ast_json *json)
{
	return jansson.copy((void *) json);
}

struct ast_json *ast_json_string_create(const char *text)
{
	return jansson.string(text);
}

const char *ast_json_string_get(const struct ast_json *json)
{
	return jansson.string_value(json);
}

intmax_t ast_json_integer_get(const struct ast_json *json)
{
	return jansson.integer_value(json);
}

struct ast_json *ast_json_object_get(struct ast_json *json, const char *key)
{
	return key ? jansson.object_get(json, key) : NULL;
}

int ast_json_object_set(struct ast_json *json, const char *key, struct ast_json *value)
{
	return jansson.object_set_new(json, key, value);
}

struct ast_json_iter *ast_json_object_iter(struct ast_json *json)
{
	return jansson.object_iter(json);
}

struct ast_json_iter *ast_json_object_iter_next(struct ast_json *json, struct ast_json_iter *iter)
{
	return jansson.object_iter_next(json, iter);
}

const char *ast_json_object_iter_key(struct ast_json_iter *iter)
{
	return jansson.object_iter_key(iter);
}

struct ast_json *ast_json_object_iter_value(struct ast_json_iter *iter)
{
	return jansson.object_iter_value(iter);
}

size_t ast_json_array_size(const struct ast_json *json)
{
	return jansson.array_size(json);
}

struct ast_json *ast_json_array_get(const struct ast_json *json, size_t index)
{
	return jansson.array_get(json, index);
}

/* A channel in the midst of a call. */
static struct ast_channel_snapshot_base base = {
	.name = "PJSIP/trunk-provider-00001a2b",
	.uniqueid = "node-a-1763765087.1234",
	.accountcode = "customer-17",
	.language = "en",
	.tenantid = "",
	.creationtime = { .tv_sec = 1763765087, .tv_usec = 123456 },
	.protocol_id = "3c26700c1adb-z0yt5yq9xqyd@192.0.2.17",
};
static struct ast_channel_snapshot_caller caller = {
	.name = "John Q. Public",
	.number = "+15551234567",
	.rdnis = "",
};
static struct {
	struct ast_channel_snapshot_connected head;
	char name[32];
} connected = { { .number = "8000" }, "Reception" };
static struct ast_channel_snapshot_dialplan dialplan = {
	.appl = "Set",
	.data = "CUSTOMER_STATE=waiting",
	.context = "from-provider",
	.exten = "+15557654321",
	.priority = 12,
};
static struct ast_channel_snapshot snapshot = {
	.base = &base,
	.caller = &caller,
	.connected = &connected.head,
	.dialplan = &dialplan,
	.state = AST_STATE_UP,
};
#define CREATED "\"2025-11-21T22:44:47.123+0000\""
#define CHANNEL \
	"{\"id\":\"node-a-1763765087.1234\",\"name\":\"PJSIP/trunk-provider-00001a2b\",\"state\":\"Up\"," \
	"\"protocol_id\":\"3c26700c1adb-z0yt5yq9xqyd@192.0.2.17\"," \
	"\"caller\":{\"name\":\"John Q. Public\",\"number\":\"+15551234567\"}," \
	"\"connected\":{\"name\":\"Reception\",\"number\":\"8000\"},\"accountcode\":\"customer-17\"," \
	"\"dialplan\":{\"context\":\"from-provider\",\"exten\":\"+15557654321\",\"priority\":12," \
	"\"app_name\":\"Set\",\"app_data\":\"CUSTOMER_STATE=waiting\"}," \
	"\"creationtime\":" CREATED ",\"language\":\"en\"}"
#define HEAD(type) "\"type\":\"" type "\",\"timestamp\":" CREATED

struct stasis_message_type {
	int unused;
};

struct ast_multi_channel_blob {
	struct ast_json *blob;
};

struct stasis_message {
	struct stasis_message_type *type;
	/* What it says, and what Asterisk writes of it. */
	const char *said;
	const char *text;
	void *data;
};

static struct stasis_message_type varset, dial, dtmf, hangup, other;
static struct ast_channel_blob channel_blob = { .snapshot = &snapshot };
static struct ast_multi_channel_blob dial_blob;

static struct stasis_message messages[MESSAGES] = {
	[VARSET] = {
		&varset, "{\"variable\":\"CUSTOMER_STATE\",\"value\":\"waiting\"}",
		"{\"variable\":\"CUSTOMER_STATE\",\"value\":\"waiting\"," HEAD("ChannelVarset")
		",\"channel\":" CHANNEL "}",
		&channel_blob,
	},
	[DIAL] = {
		&dial, "{\"dialstatus\":\"ANSWER\",\"forward\":\"\",\"dialstring\":\"8000@office\"}",
		"{" HEAD("Dial") ",\"dialstatus\":\"ANSWER\",\"forward\":\"\",\"dialstring\":\"8000@office\""
		",\"caller\":" CHANNEL ",\"peer\":" CHANNEL "}",
		&dial_blob,
	},
	[DTMF] = {
		&dtmf, "{\"digit\":\"5\",\"direction\":\"Received\",\"duration_ms\":120}",
		"{" HEAD("ChannelDtmfReceived") ",\"digit\":\"5\",\"duration_ms\":120,\"channel\":" CHANNEL "}",
		&channel_blob,
	},
	[HANGUP] = {
		&hangup, "{\"cause\":16,\"soft\":true}",
		"{\"cause\":16,\"soft\":true," HEAD("ChannelHangupRequest") ",\"channel\":" CHANNEL "}",
		&channel_blob,
	},
	[MANAGER_VARSET] = { &varset },
};

static struct ast_manager_event_blob manager_varset = {
	.manager_event = "VarSet",
	.extra_fields =
		"Channel: PJSIP/trunk-provider-00001a2b\r\nChannelState: 6\r\nChannelStateDesc: Up\r\n"
		"CallerIDNum: +15551234567\r\nCallerIDName: John Q. Public\r\nConnectedLineNum: 8000\r\n"
		"ConnectedLineName: Reception\r\nLanguage: en\r\nAccountCode: customer-17\r\n"
		"Context: from-provider\r\nExten: +15557654321\r\nPriority: 12\r\n"
		"Uniqueid: node-a-1763765087.1234\r\nLinkedid: node-a-1763765087.1234\r\n"
		"Variable: CUSTOMER_STATE\r\nValue: waiting\r\n",
};

static stasis_subscription_cb receive;
static void *receiver;

/* For main.rs. */
void host_publish(int what)
{
	struct stasis_message *message = &messages[what];

	if (message->said) {
		struct ast_json *said = ast_json_load_string(message->said, NULL);

		channel_blob.blob = dial_blob.blob = said;
		message->said = NULL;
	}
	receive(receiver, NULL, message);
}

#define TYPE(function, type) \
	struct stasis_message_type *function(void) { return &type; }
TYPE(ast_channel_varset_type, varset)
TYPE(ast_channel_dial_type, dial)
TYPE(ast_channel_dtmf_end_type, dtmf)
TYPE(ast_channel_hangup_request_type, hangup)
TYPE(ast_channel_hold_type, other)
TYPE(ast_channel_unhold_type, other)
TYPE(ast_channel_talking_start, other)
TYPE(ast_channel_talking_stop, other)
TYPE(ast_multi_user_event_type, other)
TYPE(ast_rtp_rtcp_sent_type, other)
TYPE(ast_rtp_rtcp_received_type, other)

struct stasis_message_type *stasis_message_type(const struct stasis_message *message)
{
	return message->type;
}

void *stasis_message_data(const struct stasis_message *message)
{
	return message->data;
}

const struct timeval *stasis_message_timestamp(const struct stasis_message *message)
{
	return &base.creationtime;
}

struct ast_json *stasis_message_to_json(struct stasis_message *message,
	struct stasis_message_sanitizer *sanitizer)
{
	return ast_json_load_string(message->text, NULL);
}

struct ast_manager_event_blob *stasis_message_to_ami(struct stasis_message *message)
{
	return &manager_varset;
}

struct ast_channel_snapshot *ast_multi_channel_blob_get_channel(
	struct ast_multi_channel_blob *blob, const char *role)
{
	return strcmp(role, "forwarded") ? &snapshot : NULL;
}

struct ast_json *ast_multi_channel_blob_get_json(struct ast_multi_channel_blob *blob)
{
	return blob->blob;
}

struct stasis_topic *ast_channel_topic_all(void)
{
	return NULL;
}

struct stasis_topic *ast_manager_get_topic(void)
{
	return NULL;
}

struct stasis_subscription *shim_stasis_subscribe(struct stasis_topic *topic,
	stasis_subscription_cb callback, void *data)
{
	receive = callback;
	receiver = data;
	return (struct stasis_subscription *) &receiver;
}

void stasis_subscription_accept_formatters(struct stasis_subscription *subscription,
	enum stasis_subscription_message_formatters formatters)
{
}

int stasis_subscription_set_congestion_limits(struct stasis_subscription *subscription,
	long low, long high)
{
	return 0;
}

int stasis_subscription_final_message(struct stasis_subscription *subscription,
	struct stasis_message *message)
{
	return 0;
}

struct stasis_subscription *stasis_unsubscribe_and_join(struct stasis_subscription *subscription)
{
	return NULL;
}

int stasis_app_event_allowed(const char *app, struct ast_json *event)
{
	return 1;
}

const char *ast_get_version(void)
{
	return HOST_VERSION;
}

const char *ast_state2str(enum ast_channel_state state)
{
	return state == AST_STATE_UP ? "Up" : "Unknown";
}

struct ast_tm *ast_localtime(const struct timeval *time, struct ast_tm *fields, const char *zone)
{
	fields->tm_sec = time->tv_sec;
	return fields;
}

int ast_strftime(char *text, size_t size, const char *format, const struct ast_tm *fields)
{
	time_t second = fields->tm_sec;
	struct tm broken;

	return strftime(text, size, "%FT%T.000+0000", gmtime_r(&second, &broken));
}

void shim_ao2_cleanup(void *object)
{
}

void ast_log(int level, const char *file, int line, const char *function, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
}
