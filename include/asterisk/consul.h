/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 The Constellation developers */

#ifndef ASTERISK_CONSUL_H
#define ASTERISK_CONSUL_H

/*!
 * \file
 * \brief Consul: services, keys and watches
 *
 * Exported by res_consul.so, which a module that calls these names in its .requires. consul.conf
 * says where Consul is, and how to log in.
 *
 * All functions may be called on any thread. Those that ask Consul something wait for the answer,
 * request_timeout at most for each step: call them on a thread of your own, never in load, reload,
 * a Stasis callback or anywhere else that Asterisk waits for.
 *
 * What you made (clients, watches) must be gone before your module's unload returns. res_consul
 * itself refuses to be unloaded while there are any.
 */

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#ifdef __cplusplus
extern "C" {
#endif

/* --- Services ------------------------------------------------------------------------------- */

/*! \brief A health check that Consul's agent makes itself */
struct ast_consul_service_check {
	/*! The URL to ask; any answer of 2xx is passing, 429 a warning, the rest critical. */
	const char *http;
	/*! Seconds between two questions */
	int interval;
};

/*!
 * \brief Register a service with the local agent, or change its registration
 *
 * It is done once: whether the registration is still there later is for the caller to see.
 *
 * \param id Its id, unique for the agent
 * \param name Its name
 * \param discovery_ip Its address; NULL or empty: the agent's
 * \param discovery_port Its port; 0: none
 * \param tags Its tags, ended by NULL; NULL: none
 * \param meta Key, value, key, value, ended by NULL; NULL: none
 * \param checks Its checks, ended by NULL; NULL: none
 *
 * \retval 1 It is registered.
 * \retval 0 It is not; the log says why.
 */
int ast_consul_service_register(const char *id, const char *name, const char *discovery_ip,
	int discovery_port, const char **tags, const char **meta,
	struct ast_consul_service_check **checks);

/*!
 * \brief Deregister a service from the local agent
 *
 * \param id Its id
 *
 * \retval 1 It is gone.
 * \retval 0 It is not, or was not there; the log says why.
 */
int ast_consul_service_deregister(const char *id);

/*!
 * \brief Put a service into maintenance, or take it out
 *
 * \param id Its id
 * \param state 0: out of maintenance; otherwise into it
 * \param reason Shown by Consul; may be NULL
 *
 * \retval 1 Done
 * \retval 0 Not done; the log says why.
 */
int ast_consul_service_set_maintenance(const char *id, int state, const char *reason);

/* --- Watches -------------------------------------------------------------------------------- */

/*!
 * \brief Called with the keys below a prefix, at first and at each change of them or their values
 *
 * On a thread of that watch alone, one call at a time; the keys live as long as the call. The
 * returned value is not looked at.
 */
typedef int (*ast_consul_watch_keys_callback)(int key_count, char **keys);

/*!
 * \brief Watch the keys below a prefix, until ast_consul_unwatch_keys()
 *
 * Does not wait: the first call comes when Consul has answered. While Consul is away nothing is
 * called; afterwards the callback is, if anything has changed.
 *
 * \param key The prefix
 * \param callback What to call
 *
 * \retval 0 It is watched.
 * \retval -1 It is not: an argument is NULL, the same is watched already, or there is no memory.
 */
int ast_consul_watch_keys(const char *key, ast_consul_watch_keys_callback callback);

/*!
 * \brief End a watch of ast_consul_watch_keys()
 *
 * Returns when the callback does not run any more and will not be called again, except when it is
 * the callback that calls this: then only the latter.
 *
 * \param key The prefix
 * \param callback What was called
 *
 * \retval 0 It has ended.
 * \retval -1 There is no such watch.
 */
int ast_consul_unwatch_keys(const char *key, ast_consul_watch_keys_callback callback);

/*! \brief A key and its value */
struct ast_consul_pair {
	/*! The whole key, the prefix included; UTF-8, ended by NUL */
	const char *key;
	/*! Its value, any bytes, with a NUL after them; empty where Consul has none */
	const char *value;
	/*! Length of the value, in bytes, without that NUL */
	size_t length;
	/*! What whoever set the key has put there */
	uint64_t flags;
	/*! Changes with each change of the value */
	uint64_t modify_index;
};

/*! \brief A watch of keys and values */
struct ast_consul_watch;

/*!
 * \brief Called with all pairs below a prefix, at first and at each change
 *
 * On a thread of that watch alone, one call at a time; the pairs live as long as the call. Not
 * called while Consul is away.
 */
typedef void (*ast_consul_watch_callback)(void *data, const struct ast_consul_pair *pairs,
	size_t count);

/*!
 * \brief Watch keys and values below a prefix. Does not wait.
 *
 * \param prefix The prefix; empty: all keys
 * \param callback What to call
 * \param data Passed to it
 *
 * \return The watch, to be ended by ast_consul_unwatch()
 * \return NULL where an argument is NULL or there is no memory
 */
struct ast_consul_watch *ast_consul_watch(const char *prefix, ast_consul_watch_callback callback,
	void *data);

/*!
 * \brief End a watch. When this returns the callback does not run and will not be called again.
 *
 * \param watch The watch; NULL is let pass. Not to be called by its callback.
 */
void ast_consul_unwatch(struct ast_consul_watch *watch);

/* --- Keys ----------------------------------------------------------------------------------- */

/*!
 * \brief Get the value of a key
 *
 * \param key The key; any characters
 * \param[out] value The value with a NUL after it, to be freed by ast_free()
 * \param[out] length Its length, in bytes, without that NUL; may be NULL
 *
 * \retval 1 Here it is.
 * \retval 0 There is no such key; value is NULL.
 * \retval -1 Consul did not answer that; the log says why.
 */
int ast_consul_kv_get(const char *key, char **value, size_t *length);

/*!
 * \brief Set the value of a key
 *
 * \param key The key; any characters
 * \param value Its value
 * \param length The value's length, in bytes; Consul takes 512 kB at most.
 *
 * \retval 1 It is set.
 * \retval 0 It is not; the log says why.
 */
int ast_consul_kv_put(const char *key, const char *value, size_t length);

/*!
 * \brief Delete a key
 *
 * \retval 1 It is not there any more, or was not.
 * \retval 0 Consul did not do it; the log says why.
 */
int ast_consul_kv_delete(const char *key);

/*!
 * \brief Delete all keys below a prefix, which must not be empty
 *
 * \retval 1 There are none any more.
 * \retval 0 Consul did not do it; the log says why.
 */
int ast_consul_kv_delete_tree(const char *prefix);

/* --- Anything else of Consul's HTTP API ----------------------------------------------------- */

/*! \brief A line to Consul: its requests are made in turn, on a thread of its own. */
struct ast_consul_client;

/*! \brief An answer of Consul */
struct ast_consul_response {
	/*! HTTP's status; 0: there was no answer, body has the reason then */
	int status;
	/*! X-Consul-Index, or 0 */
	uint64_t index;
	/*! The body, with a NUL after it; never NULL after a request */
	char *body;
	/*! Length of the body, in bytes, without that NUL */
	size_t length;
};

/*!
 * \brief The client that the functions above use
 *
 * \return A client that is borrowed: not to be freed or interrupted
 * \return NULL where res_consul is being unloaded
 */
struct ast_consul_client *ast_consul_get_client(void);

/*!
 * \brief Make a client whose requests wait for nobody else's
 *
 * \param name Names its thread in `core show threads`
 *
 * \return A client, to be freed by ast_consul_client_free()
 * \return NULL where there is no memory or res_consul is being unloaded
 */
struct ast_consul_client *ast_consul_client_alloc(const char *name);

/*!
 * \brief Make a request of Consul's HTTP API
 *
 * Server, token and datacenter are those of consul.conf.
 *
 * \param client The client
 * \param method GET, PUT, POST or DELETE
 * \param path Path and query from /v1/ on, percent-encoded
 * \param body Its body, or NULL
 * \param[out] response The answer, to be given to ast_consul_response_free() whatever is returned
 *
 * \retval 0 Consul has answered, with any status.
 * \retval -1 It has not, or the arguments are wrong; the response's body says why.
 */
int ast_consul_client_request(struct ast_consul_client *client, const char *method,
	const char *path, const char *body, struct ast_consul_response *response);

/*! \brief Free what a response holds */
void ast_consul_response_free(struct ast_consul_response *response);

/*!
 * \brief End the request in flight, at once, and have all later ones fail. Does not wait.
 *
 * For an unload: the thread that waits in ast_consul_client_request() returns.
 */
void ast_consul_client_interrupt(struct ast_consul_client *client);

/*! \brief Free a client, when no request of it runs any more. NULL is let pass. */
void ast_consul_client_free(struct ast_consul_client *client);

/* --- How it goes ---------------------------------------------------------------------------- */

/*! \brief How the connection is */
enum ast_consul_state {
	/*! consul.conf says enabled = no. */
	AST_CONSUL_DISABLED = 0,
	/*! Consul has not been asked yet. */
	AST_CONSUL_UNKNOWN = 1,
	/*! Consul answers. */
	AST_CONSUL_REACHABLE = 2,
	/*! Consul does not answer. */
	AST_CONSUL_UNREACHABLE = 3,
	/*! Consul answers but refuses the token for something that was asked. */
	AST_CONSUL_REFUSED = 4,
	/*! Consul answers but has no leader, or another fault of its own. */
	AST_CONSUL_FAILING = 5,
};

/*! \brief The state of the connection */
struct ast_consul_status {
	enum ast_consul_state state;
	/*! When Consul last answered; 0: never */
	time_t last_answer;
	/*! When a request last failed; 0: never */
	time_t last_failure;
	/*! Why, in words; empty: none has */
	char failure[256];
	/*! Requests made, and those of them that failed */
	uint64_t requests;
	uint64_t failures;
	/*! Watches there are */
	uint32_t watches;
	/*!
	 * How often another token has come to apply. Consul's agent goes on to use, for a service, the
	 * token it was registered with: who has registered some registers them again when this changes.
	 */
	uint64_t logins;
};

/*!
 * \brief Tell the state of the connection. Does not wait.
 *
 * \retval 0 status is filled in.
 * \retval -1 res_consul is being unloaded, or status is NULL.
 */
int ast_consul_get_status(struct ast_consul_status *status);

#ifdef __cplusplus
}
#endif

#endif /* ASTERISK_CONSUL_H */
