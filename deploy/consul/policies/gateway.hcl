# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 The Constellation developers
#
# For the token of the gateway: it sees the nodes and their health, makes the applications of its
# clients' websockets, and agrees with its like.

service "asterisk" {
  policy = "read"
}
node_prefix "" {
  policy = "read"
}
session_prefix "" {
  policy = "write"
}
key_prefix "gateway/" {
  policy = "write"
}
key_prefix "bridges/" {
  policy = "write"
}
key_prefix "applications/" {
  policy = "write"
}
