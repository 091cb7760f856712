# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 The Constellation developers
#
# The agent on every other machine (Asterisk, Kamailio, gateway, apps): what runs there asks this one,
# on 127.0.0.1. These options are those that Consul 1.8 and newer both know.

datacenter = "site"
data_dir   = "/var/lib/consul"
server     = false
retry_join = ["10.0.0.21", "10.0.0.22", "10.0.0.23"]
bind_addr  = "10.0.0.11"
client_addr = "127.0.0.1"

#   encrypt = "…"                        (/etc/consul.d/gossip.hcl, as on the servers)

verify_incoming        = true
verify_outgoing        = true
verify_server_hostname = true
ca_file   = "/etc/consul.d/tls/ca.pem"
cert_file = "/etc/consul.d/tls/agent.pem"
key_file  = "/etc/consul.d/tls/agent.key"
ports {
  http  = 8500
  https = -1
  grpc  = -1
}

acl {
  enabled                  = true
  default_policy           = "deny"
  down_policy              = "extend-cache"
  # `consul acl set-agent-token agent …` once; it is kept.
  enable_token_persistence = true
}

# A machine that is shut down leaves, and so do its services; one that is restarted comes back as it was.
leave_on_terminate = false
telemetry {
  prometheus_retention_time = "1h"
  disable_hostname          = true
}
