# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 The Constellation developers
#
# For the token of the gateway: it sees the nodes and their health.

service "asterisk" {
  policy = "read"
}
node_prefix "" {
  policy = "read"
}
