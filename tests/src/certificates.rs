// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! An authority with a server's and a client's certificate, for TLS listeners.

use std::path::{Path, PathBuf};

use crate::folder::Folder;
use crate::root::Root;

/// The PEM files of a fresh authority.
#[derive(Debug)]
pub struct Certificates {
    folder: Folder,
}

impl Certificates {
    /// Makes the authority, a certificate for `localhost` and 127.0.0.1, and one for the client
    /// named `client`.
    ///
    /// # Panics
    ///
    /// When openssl fails.
    pub fn new() -> Self {
        Self::naming("DNS:localhost,IP:127.0.0.1")
    }

    /// Like [`Certificates::new`], with a server's certificate for other names, as openssl takes
    /// them: `DNS:elsewhere.example` is of no server that the rig has.
    ///
    /// # Panics
    ///
    /// When openssl fails.
    pub fn naming(names: &str) -> Self {
        let folder = Folder::new("tls");
        let certificates = Self { folder };
        certificates.make("ca", &["-addext", "keyUsage=critical,keyCertSign"]);
        let names = format!("subjectAltName={names}");
        certificates.sign("server", &["-addext", &names, "-addext", "extendedKeyUsage=serverAuth"]);
        certificates.sign("client", &["-addext", "extendedKeyUsage=clientAuth"]);
        certificates
    }

    /// The folder of all of them.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The authority's certificate, for `ca_file`.
    pub fn ca(&self) -> PathBuf {
        self.file("ca.pem")
    }

    /// The server's certificate and key.
    pub fn server(&self) -> (PathBuf, PathBuf) {
        (self.file("server.pem"), self.file("server.key"))
    }

    /// The client's certificate and key, for `cert_file` and `key_file`.
    pub fn client(&self) -> (PathBuf, PathBuf) {
        (self.file("client.pem"), self.file("client.key"))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn sign(&self, name: &str, more: &[&str]) {
        let ca = self.ca().display().to_string();
        let key = self.file("ca.key").display().to_string();
        let signed = ["-CA", &ca, "-CAkey", &key, "-addext", "basicConstraints=critical,CA:FALSE"];
        self.make(name, &[&signed, more].concat());
    }

    fn make(&self, name: &str, more: &[&str]) {
        let ec = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", "-days", "30"];
        Root::Testing
            .command("openssl")
            .bind(self.folder.path())
            .args(["req", "-x509", "-subj", &format!("/CN={name}")])
            .args(ec)
            .arg("-keyout")
            .arg(self.file(&format!("{name}.key")))
            .arg("-out")
            .arg(self.file(&format!("{name}.pem")))
            .args(more)
            .run()
            .unwrap_or_else(|error| panic!("openssl, certificate {name}: {error}"));
    }
}

impl Default for Certificates {
    fn default() -> Self {
        Self::new()
    }
}
