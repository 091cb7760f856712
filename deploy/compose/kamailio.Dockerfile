# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 The Constellation developers
#
# Debian's Kamailio with the configuration of deploy/kamailio. Context: the checkout.
ARG DEBIAN=testing-slim
FROM debian:${DEBIAN}
# A new volume has the owner that its place has in the image: here the socket for the dispatcher.
RUN apt-get update \
    && apt-get install -y --no-install-recommends kamailio kamailio-tls-modules \
    && rm -rf /var/lib/apt/lists/* \
    && install -d -o kamailio -g kamailio /run/kamailio /run/constellation
COPY deploy/kamailio/kamailio.cfg /etc/kamailio/kamailio.cfg
COPY deploy/compose/kamailio.sh /usr/local/bin/proxy
USER kamailio
ENTRYPOINT ["/usr/local/bin/proxy"]
