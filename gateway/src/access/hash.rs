// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Hashes of passwords and tokens.

use argon2::Argon2;
use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use sha2::{Digest, Sha256};

/// A PHC string for a configuration.
pub(crate) fn hash_password(password: &str) -> Result<String, String> {
    let salt = SaltString::encode_b64(&rand::random::<[u8; 16]>());
    let salt = salt.map_err(|error| error.to_string())?;
    let hash = Argon2::default().hash_password(password.as_bytes(), &salt);
    hash.map(|hash| hash.to_string()).map_err(|error| error.to_string())
}

/// A fresh token and the hash of it for a configuration.
pub(crate) fn new_token() -> (String, String) {
    let token = hex(&rand::random::<[u8; 32]>());
    let hash = format!("sha256:{}", hex(&digest(&token)));
    (token, hash)
}

pub(super) fn verify(password: &str, hash: &str) -> bool {
    let Ok(parsed) = PasswordHash::new(hash) else { return false };
    Argon2::default().verify_password(password.as_bytes(), &parsed).is_ok()
}

pub(super) fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

/// Of a login, with something that only this process knows.
pub(super) fn mark(key: &[u8; 32], name: &str, password: &str) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(key);
    hasher.update(name.len().to_be_bytes());
    hasher.update(name.as_bytes());
    hasher.update(password.as_bytes());
    hasher.finalize().into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_of_its_password_only() {
        let hash = hash_password("secret").unwrap();
        assert!(hash.starts_with("$argon2id$") && !hash.contains("secret"));
        assert!(verify("secret", &hash));
        assert!(!verify("Secret", &hash) && !verify("", &hash) && !verify("secret", "nonsense"));
        assert_ne!(hash, hash_password("secret").unwrap());
    }

    #[test]
    fn tokens_differ() {
        let (token, hash) = new_token();
        assert_eq!(hash, format!("sha256:{}", hex(&digest(&token))));
        assert_ne!(token, new_token().0);
    }

    #[test]
    fn a_mark_tells_name_from_password() {
        assert_ne!(mark(&[0; 32], "ab", "c"), mark(&[0; 32], "a", "bc"));
        assert_ne!(mark(&[0; 32], "a", "b"), mark(&[1; 32], "a", "b"));
    }
}
