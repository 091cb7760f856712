# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 The Constellation developers
#
# The conference, an app in Python: any other app is built the same way. Context: the checkout.
ARG DEBIAN=testing-slim

FROM debian:${DEBIAN}
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates python3 python3-venv \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --no-create-home --uid 991 app
COPY apps/pyproject.toml apps/requirements.txt apps/README.md /opt/app/sdk/
COPY apps/app_sdk /opt/app/sdk/app_sdk
# Exact versions first, so that the SDK finds all that it wants.
RUN python3 -m venv /opt/app/venv \
    && /opt/app/venv/bin/pip install --no-cache-dir -r /opt/app/sdk/requirements.txt /opt/app/sdk
COPY apps/conference/conference.py /opt/app/main.py
USER app
ENTRYPOINT ["/opt/app/venv/bin/python", "-u", "/opt/app/main.py"]
