//! Tokens that no sign-in would give. Nothing is verified here: the functions do that.

use p256::ecdsa::SigningKey;
use serde_json::{Value, json};
use stand_ins::tokens::encoded;
pub use stand_ins::tokens::{Es256Key, hs256_token};
use uuid::Uuid;

/// A token without a signature.
pub fn unsigned_token(alg: &str, claims: &Value) -> String {
    format!("{}.{}.", encoded(&json!({ "alg": alg, "typ": "JWT" })), encoded(claims))
}

/// The token with other claims and its old signature.
pub fn with_claims(token: &str, claims: &Value) -> String {
    let mut parts: Vec<&str> = token.split('.').collect();
    let claims = encoded(claims);
    parts[1] = &claims;
    parts.join(".")
}

/// A new key under that name.
pub fn new_key(kid: &str) -> Es256Key {
    let random = [*Uuid::new_v4().as_bytes(), *Uuid::new_v4().as_bytes()].concat();
    let key = SigningKey::from_slice(&random).expect("all but a few values of 256 bits are keys");
    Es256Key::new(kid, key)
}
