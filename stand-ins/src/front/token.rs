//! Signs and verifies the project's tokens: HS256 with its secret, or ES256 with its published key.
//! There are no users here.

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::Mac;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::clock;
use crate::config::StandInConfig;
use crate::tokens::{Es256Key, hs256_token, mac};

pub(crate) type Claims = Map<String, Value>;

/// HMAC-SHA256 in the compact token form.
pub(crate) struct Secret(Vec<u8>);

impl Secret {
    pub(crate) fn new(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }

    pub(crate) fn sign(&self, claims: &Value) -> String {
        hs256_token(&self.0, &json!({"alg": "HS256", "typ": "JWT"}), claims)
    }

    /// The claims of an HS256 token that this secret signed and that has not expired.
    pub(crate) fn claims(&self, token: &str) -> Option<Claims> {
        let parts = Parts::of(token)?;
        let is_ours = mac(&self.0, parts.head).verify_slice(&parts.signature).is_ok();
        (parts.alg == "HS256" && is_ours).then_some(parts.claims)
    }
}

/// The project's signing: one algorithm for new tokens, and every valid one for old tokens.
pub(crate) struct Signer {
    secret: Secret,
    published: Option<Es256Key>,
}

impl Signer {
    pub(crate) fn new(config: &StandInConfig) -> anyhow::Result<Self> {
        let published = match &config.es256_private_pem {
            None => None,
            Some(pem) => {
                let key = |kid: &str| {
                    Es256Key::from_pem(kid, pem).context("es256_private_pem is no PKCS#8 P-256 key")
                };
                let digest = Sha256::digest(key("")?.public_bytes());
                Some(key(&base16ct::lower::encode_string(&digest[..16]))?)
            }
        };
        Ok(Self { secret: Secret::new(config.jwt_secret.as_bytes()), published })
    }

    /// Signs a user's token.
    pub(crate) fn sign(&self, claims: &Value) -> String {
        match &self.published {
            None => self.secret.sign(claims),
            Some(key) => key.token(claims),
        }
    }

    /// The claims of a token of this project that has not expired.
    pub(crate) fn claims(&self, token: &str) -> Option<Claims> {
        if let Some(claims) = self.secret.claims(token) {
            return Some(claims);
        }
        let key = self.published.as_ref()?;
        let parts = Parts::of(token)?;
        let is_ours = parts.alg == "ES256"
            && key.has_signed(parts.head, parts.kid.as_deref(), &parts.signature);
        is_ours.then_some(parts.claims)
    }

    /// The same claims signed with the project's secret, for a service that knows only the secret;
    /// `None` unless the token is a valid ES256 one.
    pub(crate) fn for_secret(&self, token: &str) -> Option<String> {
        self.published.as_ref()?;
        if self.secret.claims(token).is_some() {
            return None;
        }
        self.claims(token).map(|claims| self.secret.sign(&Value::Object(claims)))
    }

    /// The public keys. A project with HS256 has none.
    pub(crate) fn jwks(&self) -> Value {
        let keys: Vec<Value> = self.published.iter().map(Es256Key::jwk).collect();
        json!({ "keys": keys })
    }
}

struct Parts<'a> {
    head: &'a str,
    alg: String,
    kid: Option<String>,
    claims: Claims,
    signature: Vec<u8>,
}

impl<'a> Parts<'a> {
    /// Parses a token that has not expired. Its signature is not verified yet.
    fn of(token: &'a str) -> Option<Self> {
        let (head, signature) = token.rsplit_once('.')?;
        let (header, claims) = head.split_once('.')?;
        let header = decoded(header)?;
        let Value::Object(claims) = decoded(claims)? else {
            return None;
        };
        let text = |name: &str| header.get(name).and_then(Value::as_str).map(str::to_owned);
        if claims.get("exp").and_then(Value::as_u64)? <= clock::now_s() {
            return None;
        }
        Some(Self {
            head,
            alg: text("alg")?,
            kid: text("kid"),
            claims,
            signature: URL_SAFE_NO_PAD.decode(signature).ok()?,
        })
    }
}

fn decoded(part: &str) -> Option<Value> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokens::encoded;

    #[test]
    fn a_token_of_another_secret_or_time_is_nothing() {
        let secret = Secret::new(b"one");
        let good = secret.sign(&json!({"sub": "u", "exp": clock::now_s() + 60}));
        assert_eq!(secret.claims(&good).unwrap()["sub"], "u");
        assert!(Secret::new(b"two").claims(&good).is_none());
        assert!(secret.claims(&secret.sign(&json!({"exp": clock::now_s() - 1}))).is_none());
        assert!(secret.claims(&secret.sign(&json!({"sub": "u"}))).is_none());
        let unsigned =
            format!("{}.{}.", encoded(&json!({"alg": "none"})), encoded(&json!({"exp": u32::MAX})));
        assert!(secret.claims(&unsigned).is_none());
        for garbage in ["", "a", "a.b", "a.b.c", "..", "é.é.é"] {
            assert!(secret.claims(garbage).is_none());
        }
    }
}
