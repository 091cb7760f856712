# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 The Constellation developers
#
# For the token of the Asterisk nodes (token_file in consul.conf).

# The node: `name` of [discovery].
service "asterisk" {
  policy = "write"
}
# Each application is a service of its own name. One block for each; or service_prefix "" where
# applications come and go, and a node is to be trusted with every name.
service "conf" {
  policy = "write"
}
# Who else holds this node's id.
node_prefix "" {
  policy = "read"
}
# Which applications there are: `app_prefix` of [stasis_app].
key_prefix "applications/" {
  policy = "read"
}
