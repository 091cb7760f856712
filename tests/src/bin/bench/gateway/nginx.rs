// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! nginx as a plain reverse proxy, set up as for production: connections to the server are kept, a
//! worker for each core, no access log.

use std::net::TcpStream;

use rig::folder::Folder;
use rig::process::Process;
use rig::root::Root;
use rig::{eventually, ports, seconds};

pub(super) struct Nginx {
    pub(super) port: u16,
    pub(super) process: Process,
    _folder: Folder,
}

impl Nginx {
    /// One in front of the server on this port.
    pub(super) fn start(server: u16) -> Self {
        let (folder, port) = (Folder::new("nginx"), ports::free());
        let file = folder.write("nginx.conf", configuration(port, server, &folder));
        // Its workers would outlive a master that is killed, but not their name space.
        let process = Root::Clients
            .command("unshare")
            .args(["--pid", "--fork", "--kill-child", "nginx", "-c"])
            .arg(file)
            .arg("-p")
            .arg(folder.path())
            .bind(folder.path())
            .spawn("nginx", &folder.path().join("printed"));
        eventually("nginx to listen", seconds(10), || {
            let connected = TcpStream::connect(("127.0.0.1", port));
            connected.map(drop).map_err(|error| format!("{error}\n{}", process.output()))
        });
        Self { port, process, _folder: folder }
    }
}

fn configuration(port: u16, server: u16, folder: &Folder) -> String {
    let folder = folder.path().display();
    format!(
        "daemon off;\nuser root;\nworker_processes auto;\npid {folder}/pid;\n\
         error_log {folder}/errors;\n\
         events {{ worker_connections 1024; }}\n\
         http {{\n  \
           access_log off;\n  \
           keepalive_requests 100000000;\n  \
           client_body_temp_path {folder}/body;\n  proxy_temp_path {folder}/proxy;\n  \
           fastcgi_temp_path {folder}/fastcgi;\n  uwsgi_temp_path {folder}/uwsgi;\n  \
           scgi_temp_path {folder}/scgi;\n  \
           upstream asterisk {{\n    \
             server 127.0.0.1:{server};\n    \
             keepalive 32;\n    keepalive_requests 100000000;\n  }}\n  \
           server {{\n    \
             listen 127.0.0.1:{port};\n    \
             location /ari/ {{\n      \
               proxy_pass http://asterisk;\n      \
               proxy_http_version 1.1;\n      \
               proxy_set_header Connection \"\";\n      \
               proxy_set_header Host $host;\n    }}\n  }}\n}}\n"
    )
}
