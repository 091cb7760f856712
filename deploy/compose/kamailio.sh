#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 The Constellation developers
#
# Waits for the list that the dispatcher makes, and becomes Kamailio.
set -eu

until [ -e /var/lib/constellation/dispatcher.list ]; do
    sleep 0.2
done
exec kamailio -DD -E -f /etc/kamailio/kamailio.cfg
