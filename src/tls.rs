// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! TLS towards a server, from the certificates of the configuration (feature `tls`).
//!
//! rustls is set up here and by no library: their own set-ups panic where no provider was chosen,
//! and know no `verify = no`. To be called on a thread of the module's own.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use crate::config::tls::{Pem, TlsSettings};

/// The name that the certificate of `host`, a name or an address of either family, must have.
///
/// # Errors
///
/// It is neither.
pub fn server_name(host: &str) -> Result<ServerName<'static>, String> {
    ServerName::try_from(host.to_owned())
        .map_err(|_| format!("{host} is no host name that a certificate can carry"))
}

/// Everything that handshakes need.
///
/// # Errors
///
/// Which file holds nothing that can be used. It shows nothing of the file.
pub fn client_config(settings: &TlsSettings) -> Result<ClientConfig, String> {
    // Named, because a process-wide default could be set by another module or by nobody.
    let provider = Arc::new(ring::default_provider());
    let verifier: Arc<dyn ServerCertVerifier> = match settings.verify {
        true => WebPkiServerVerifier::builder_with_provider(
            Arc::new(roots(settings)?),
            provider.clone(),
        )
        .build()
        .map_err(|error| format!("cannot use the certificate authorities: {error}"))?,
        false => Arc::new(Unverified(provider.clone())),
    };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("cannot set up TLS: {error}"))?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    match (&settings.cert_file, &settings.key_file) {
        (Some(certificate), Some(key)) => builder
            .with_client_auth_cert(certificates(certificate)?, private_key(key)?)
            .map_err(|error| {
                let (certificate, key) = (&certificate.path, &key.path);
                format!("cert_file {certificate} and key_file {key} cannot be used: {error}")
            }),
        (None, None) => Ok(builder.with_no_client_auth()),
        (Some(_), None) => Err("cert_file is set but key_file is not".into()),
        (None, Some(_)) => Err("key_file is set but cert_file is not".into()),
    }
}

fn roots(settings: &TlsSettings) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let (found, origin) = match &settings.ca_file {
        Some(file) => (certificates(file)?, format!("ca_file {}", file.path)),
        None => (rustls_native_certs::load_native_certs().certs, "the system's store".into()),
    };
    // A system store often holds a certificate or two that no library accepts.
    let (usable, _) = roots.add_parsable_certificates(found);
    match usable {
        0 => Err(format!("{origin} has no certificate authority that can be used")),
        _ => Ok(roots),
    }
}

fn certificates(file: &Pem) -> Result<Vec<CertificateDer<'static>>, String> {
    let path = &file.path;
    let read = CertificateDer::pem_slice_iter(file.text.reveal().as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| format!("cannot read certificates from {path}: {error}"))?;
    match read.is_empty() {
        true => Err(format!("{path} holds no certificate in PEM form")),
        false => Ok(read),
    }
}

fn private_key(file: &Pem) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_slice(file.text.reveal().as_bytes())
        .map_err(|error| format!("cannot read a private key from {}: {error}", file.path))
}

/// `verify = no`: any certificate is good. The stream is encrypted, but whoever sits in between
/// can read it; for tests and for servers with a certificate of their own making.
#[derive(Debug)]
struct Unverified(Arc<CryptoProvider>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    fn settings() -> TlsSettings {
        TlsSettings { ca_file: None, cert_file: None, key_file: None, verify: false }
    }

    fn pem(text: &str) -> Option<Pem> {
        Some(Pem { path: "/etc/some.pem".into(), text: Secret::new(text) })
    }

    #[test]
    fn a_bad_file_is_an_answer_that_names_it_and_shows_nothing_of_it() {
        let broken = "-----BEGIN CERTIFICATE-----\nc2VjcmV0\n-----END CERTIFICATE-----\n";
        for (text, reason) in [("", "no certificate in PEM form"), (broken, "can be used")] {
            let settings = TlsSettings { ca_file: pem(text), verify: true, ..settings() };
            let refusal = client_config(&settings).unwrap_err();
            assert!(refusal.contains("/etc/some.pem") && refusal.contains(reason), "{refusal}");
        }
        let key = "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n";
        let settings = TlsSettings { cert_file: pem(broken), key_file: pem(key), ..settings() };
        let refusal = client_config(&settings).unwrap_err();
        assert!(refusal.contains("/etc/some.pem") && !refusal.contains("c2VjcmV0"), "{refusal}");
    }

    #[test]
    fn a_host_is_a_name_or_an_address_of_either_family() {
        for host in ["localhost", "127.0.0.1", "::1"] {
            assert!(server_name(host).is_ok(), "{host}");
        }
        assert!(server_name("not a host").unwrap_err().contains("not a host"));
    }
}
