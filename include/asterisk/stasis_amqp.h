/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 The Constellation developers */

#ifndef ASTERISK_STASIS_AMQP_H
#define ASTERISK_STASIS_AMQP_H

/*!
 * \file
 * \brief Stasis applications whose events go to RabbitMQ
 *
 * Exported by res_stasis_amqp.so, which a module that calls these names in its .requires.
 * They may be called on any thread, and do not wait for the network. Not to be called with a lock
 * that a Stasis application's handler takes.
 */

#ifdef __cplusplus
extern "C" {
#endif

/*!
 * \brief Create a Stasis application and publish its events
 *
 * \param app_name Its name: 1 byte or more of UTF-8
 *
 * \retval 0 The application is there and its events are published. It may have been before.
 * \retval -1 Another ARI client has an application of that name, amqp.conf says to publish nothing,
 *            app_name is NULL or empty, memory is short, or res_stasis_amqp is being unloaded.
 */
int ast_subscribe_to_stasis(const char *app_name);

/*!
 * \brief End a Stasis application that ast_subscribe_to_stasis() or ARI created here
 *
 * Returns when no event of it is being handled any more.
 *
 * \param app_name Its name
 *
 * \retval 0 The application is gone.
 * \retval -1 There is none of that name here, or another ARI client has taken it over.
 */
int ast_unsubscribe_from_stasis(const char *app_name);

/*! \brief How an application stands */
enum ast_stasis_amqp_app {
	/*! It is there, created here, and its events are published. */
	AST_STASIS_AMQP_APP_OURS = 0,
	/*! Another ARI client has an application of that name. */
	AST_STASIS_AMQP_APP_HELD = 1,
	/*! There is no application of that name. */
	AST_STASIS_AMQP_APP_ABSENT = 2,
	/*! amqp.conf says to publish nothing, so none is created. */
	AST_STASIS_AMQP_APP_OFF = 3,
	/*! It cannot be told or created: app_name is NULL or empty, memory is short, or
	 *  res_stasis_amqp is being unloaded. */
	AST_STASIS_AMQP_APP_FAILED = 4,
};

/*!
 * \brief Do as ast_subscribe_to_stasis(), and say why if it is not done
 *
 * \param app_name Its name: 1 byte or more of UTF-8
 *
 * \return AST_STASIS_AMQP_APP_OURS: the application is there, or was; otherwise the reason, which
 *         is not AST_STASIS_AMQP_APP_ABSENT
 */
enum ast_stasis_amqp_app ast_stasis_amqp_app_create(const char *app_name);

/*!
 * \brief Tell how an application stands
 *
 * Another ARI client may take over any application at any time, and ARI may end it.
 *
 * \param app_name Its name
 *
 * \return Any of these but AST_STASIS_AMQP_APP_OFF
 */
enum ast_stasis_amqp_app ast_stasis_amqp_app_state(const char *app_name);

#ifdef __cplusplus
}
#endif

#endif /* ASTERISK_STASIS_AMQP_H */
