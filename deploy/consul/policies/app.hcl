# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 The Constellation developers
#
# For the token of the copies of the app `conf`. Another app has a policy of its own, with its name.

# The key that makes every node create the application.
key "applications/conf" {
  policy = "write"
}
# Who of the copies has which calls.
key_prefix "apps/conf/" {
  policy = "write"
}
# The app's copies, each with its health check.
service "conf-app" {
  policy = "write"
}
node_prefix "" {
  policy = "read"
}
