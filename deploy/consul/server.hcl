# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 The Constellation developers
#
# One of three Consul servers: /etc/consul.d/consul.hcl on machines that do nothing else. These options
# are those that Consul 1.8 and newer both know; newer ones say some of them in a block `tls`.

datacenter = "site"
data_dir   = "/var/lib/consul"
server     = true
bootstrap_expect = 3
retry_join = ["10.0.0.21", "10.0.0.22", "10.0.0.23"]
bind_addr  = "10.0.0.21"
# Whoever asks is on this machine: agents reach a server by its RPC port, not by HTTP.
client_addr = "127.0.0.1"

# Gossip: `consul keygen`, in a file of its own that only Consul's user can read:
#   encrypt = "…"                        (/etc/consul.d/gossip.hcl)

# RPC among agents, both ends with a certificate of the site's authority.
verify_incoming        = true
verify_outgoing        = true
verify_server_hostname = true
ca_file   = "/etc/consul.d/tls/ca.pem"
cert_file = "/etc/consul.d/tls/server.pem"
key_file  = "/etc/consul.d/tls/server.key"
ports {
  http  = 8500
  https = -1
  grpc  = -1
}

# Nothing without a token. `consul acl bootstrap` once; then deploy/consul/policies.
acl {
  enabled                  = true
  default_policy           = "deny"
  # Agents that cannot reach a server go on with what they know.
  down_policy              = "extend-cache"
  enable_token_persistence = true
}

# A leader that is lost is replaced within seconds.
performance {
  raft_multiplier = 1
}
autopilot {
  cleanup_dead_servers = true
}
# Prometheus reads /v1/agent/metrics?format=prometheus.
telemetry {
  prometheus_retention_time = "1h"
  disable_hostname          = true
}
