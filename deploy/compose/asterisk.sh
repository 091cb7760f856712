#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 The Constellation developers
#
# Puts this container's addresses into the configuration, and becomes Asterisk.
set -eu

address=${NODE_ADDRESS:-$(hostname -i | cut -d' ' -f1)}
kamailio=${KAMAILIO_ADDRESS:?the address of Kamailio}
# Containers of one image have the same network card to Asterisk: each needs an id of its own.
entity=$(printf '%s' "$address" | md5sum | sed 's/^\(..\)\(..\)\(..\)\(..\)\(..\).*/02:\1:\2:\3:\4:\5/')

# As the image has it: a container that is started again may have another address.
cp -r /usr/share/constellation/asterisk/. /etc/asterisk/
cd /etc/asterisk
sed -i "s/10\.0\.0\.11/$address/g" http.conf pjsip.conf consul.conf
sed -i "s/^match = 10\.0\.0\.5/match = $kamailio/" pjsip.conf
sed -i "s/^host = 127\.0\.0\.1/host = ${CONSUL_HOST:-consul}/" consul.conf
sed -i "s#^url = .*#url = amqps://asterisk@${RABBITMQ_HOST:-rabbitmq}/constellation#" amqp.conf
sed -i "s/^\[options\].*/&\nentityid = $entity/" asterisk.conf
sed -i "s/^systemname = asterisk-1 /systemname = $(hostname) /" asterisk.conf
# Docker hands secrets over here.
ln -sf /run/secrets/consul.token /run/secrets/amqp.password /run/secrets/ari_gateway.conf secrets/
ln -sf /run/secrets/ca.pem /run/secrets/node.pem /run/secrets/node.key keys/
# One conference over several nodes: calls between them, which the gateway makes.
sed -i "s/^password = CHANGE-ME/password = $(cat /run/secrets/trunk.password)/" pjsip_gateway.conf
sed -i 's/^;\(#include pjsip_gateway.conf\)/\1/' pjsip.conf
sed -i 's/^;\(#include extensions_gateway.conf\)/\1/' extensions.conf

exec asterisk -f -p
