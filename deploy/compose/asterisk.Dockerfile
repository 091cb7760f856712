# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 The Constellation developers
#
# Debian's Asterisk with the modules, built against the headers of that very package. Context: the
# checkout.
ARG DEBIAN=testing-slim

FROM debian:${DEBIAN} AS build
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
RUN apt-get update \
    && apt-get install -y --no-install-recommends \
        asterisk-dev ca-certificates cargo gcc libc6-dev libclang-dev make rustc \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
# The version is that of the headers' package; the modules refuse another major version.
RUN ASTERISK_VERSION="$(dpkg-query -Wf '${Version}' asterisk-dev | sed 's/^[0-9]*://; s/[^0-9.].*//')" \
    && export ASTERISK_VERSION \
    && make \
    && make install DESTDIR=/out ASTMODDIR=/usr/lib/asterisk/modules

FROM debian:${DEBIAN}
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
RUN apt-get update \
    && apt-get install -y --no-install-recommends asterisk ca-certificates \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /out /out
# Where this architecture's Asterisk looks for modules; and ARI's list of its resources, added to once.
RUN modules="$(dirname "$(find /usr/lib -name res_stasis.so -path '*asterisk/modules*' | head -n 1)")" \
    && cp /out/usr/lib/asterisk/modules/*.so "$modules/" \
    && cp -r /out/usr/share/asterisk/documentation/thirdparty /usr/share/asterisk/documentation/ \
    && cp /out/usr/share/asterisk/rest-api/amqp.json /usr/share/asterisk/rest-api/ \
    && rm -rf /out
COPY res_stasis_amqp/rest-api/list.sh /tmp/list.sh
RUN /tmp/list.sh add /usr/share/asterisk/rest-api/resources.json && rm /tmp/list.sh
COPY deploy/asterisk/ /usr/share/constellation/asterisk/
COPY deploy/compose/asterisk.sh /usr/local/bin/node
# Where its command line is reached, which the package leaves to the init system.
RUN mkdir -p /etc/asterisk/secrets /etc/asterisk/keys /var/spool/asterisk/amqp /run/asterisk \
    && chown -R asterisk:asterisk /etc/asterisk /var/spool/asterisk /run/asterisk
USER asterisk
ENTRYPOINT ["/usr/local/bin/node"]
