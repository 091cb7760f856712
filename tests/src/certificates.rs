// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! An authority with a server's and a client's certificate, for TLS listeners.

use std::fs;
use std::path::{Path, PathBuf};

use crate::folder::Folder;
use crate::root::Root;

/// The PEM files of a fresh authority.
#[derive(Debug)]
pub struct Certificates {
    folder: Folder,
    /// Of the server, as openssl takes them.
    names: String,
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
        let names = format!("subjectAltName={names}");
        let certificates = Self { folder: Folder::new("tls"), names };
        certificates.make("ca", &["-addext", "keyUsage=critical,keyCertSign"]);
        certificates.renew();
        certificates.sign("client", &["-addext", "extendedKeyUsage=clientAuth"]);
        certificates
    }

    /// Makes the server's certificate anew, in the place of the one before.
    ///
    /// # Panics
    ///
    /// When openssl fails.
    pub fn renew(&self) {
        self.sign_server(&[]);
    }

    /// Makes the server's certificate anew, as one that has expired.
    ///
    /// # Panics
    ///
    /// When openssl fails.
    pub fn expire(&self) {
        self.sign_server(&["-not_before", "20200101000000Z", "-not_after", "20210101000000Z"]);
    }

    /// Puts a server's certificate of another authority, with its key, in the place of the one
    /// before.
    ///
    /// # Panics
    ///
    /// When openssl fails.
    pub fn be_foreign(&self) {
        let foreign = Self::new();
        for name in ["server.pem", "server.key"] {
            fs::copy(foreign.file(name), self.file(name))
                .unwrap_or_else(|error| panic!("{name}: {error}"));
        }
    }

    fn sign_server(&self, more: &[&str]) {
        let usual = ["-addext", &self.names, "-addext", "extendedKeyUsage=serverAuth"];
        self.sign("server", &[&usual, more].concat());
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
        let ec = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc"];
        // Where its time is not given.
        let days: &[&str] = if more.contains(&"-not_after") { &[] } else { &["-days", "30"] };
        Root::Testing
            .command("openssl")
            .bind(self.folder.path())
            .args(["req", "-x509", "-subj", &format!("/CN={name}")])
            .args(ec)
            .args(days)
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
