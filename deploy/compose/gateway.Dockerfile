# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 The Constellation developers
#
# The gateway, and the dispatcher that is its subcommand. Context: the checkout.
ARG DEBIAN=testing-slim

FROM debian:${DEBIAN} AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates cargo gcc libc6-dev make rustc \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN make gateway

FROM debian:${DEBIAN}
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --no-create-home --uid 990 constellation \
    && install -d -o constellation /var/lib/constellation
COPY --from=build /src/target/release/gateway /usr/bin/gateway
USER constellation
ENTRYPOINT ["/usr/bin/gateway"]
