# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 The Constellation developers
#
# For the token of `gateway dispatcher`: it sees the nodes and their health, and changes nothing.

service "asterisk" {
  policy = "read"
}
node_prefix "" {
  policy = "read"
}
