//! Signs and verifies tokens: HS256 with the project's secret, or ES256 with a published key. It
//! knows no users.

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use p256::ecdsa::signature::{Signer as _, Verifier as _};
use p256::ecdsa::{Signature, SigningKey};
use p256::pkcs8::DecodePrivateKey;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::clock;
use crate::config::StandInConfig;

pub(crate) type Claims = Map<String, Value>;

/// HMAC-SHA256 in the compact token form.
pub(crate) struct Secret(Vec<u8>);

impl Secret {
    pub(crate) fn new(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }

    pub(crate) fn sign(&self, claims: &Value) -> String {
        let head =
            format!("{}.{}", encoded(&json!({"alg": "HS256", "typ": "JWT"})), encoded(claims));
        let signature = URL_SAFE_NO_PAD.encode(self.mac(&head).finalize().into_bytes());
        format!("{head}.{signature}")
    }

    fn is_of(&self, head: &str, signature: &[u8]) -> bool {
        self.mac(head).verify_slice(signature).is_ok()
    }

    /// The claims of an unexpired HS256 token.
    pub(crate) fn claims(&self, token: &str) -> Option<Claims> {
        let parts = Parts::of(token)?;
        (parts.alg == "HS256" && self.is_of(parts.head, &parts.signature)).then_some(parts.claims)
    }

    fn mac(&self, text: &str) -> Hmac<Sha256> {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        mac.update(text.as_bytes());
        mac
    }
}

struct PublishedKey {
    kid: String,
    key: SigningKey,
}

/// The project's signing: one way for new tokens, and all valid ways for old ones.
pub(crate) struct Signer {
    secret: Secret,
    published: Option<PublishedKey>,
}

impl Signer {
    pub(crate) fn new(config: &StandInConfig) -> anyhow::Result<Self> {
        let published = match &config.es256_private_pem {
            None => None,
            Some(pem) => {
                let key = SigningKey::from_pkcs8_pem(pem)
                    .context("es256_private_pem is no PKCS#8 P-256 key")?;
                let kid = base16ct::lower::encode_string(
                    &Sha256::digest(key.verifying_key().to_encoded_point(false))[..16],
                );
                Some(PublishedKey { kid, key })
            }
        };
        Ok(Self { secret: Secret::new(config.jwt_secret.as_bytes()), published })
    }

    /// A user's token.
    pub(crate) fn sign(&self, claims: &Value) -> String {
        let Some(PublishedKey { kid, key }) = &self.published else {
            return self.secret.sign(claims);
        };
        let head = format!(
            "{}.{}",
            encoded(&json!({"alg": "ES256", "typ": "JWT", "kid": kid})),
            encoded(claims)
        );
        let signature: Signature = key.sign(head.as_bytes());
        format!("{head}.{}", URL_SAFE_NO_PAD.encode(signature.to_bytes()))
    }

    /// The claims of an unexpired token of this project.
    pub(crate) fn claims(&self, token: &str) -> Option<Claims> {
        if let Some(claims) = self.secret.claims(token) {
            return Some(claims);
        }
        let PublishedKey { kid, key } = self.published.as_ref()?;
        let parts = Parts::of(token)?;
        let signature = Signature::from_slice(&parts.signature).ok()?;
        let is_ours = parts.alg == "ES256" && parts.kid.as_ref() == Some(kid);
        let is_good =
            is_ours && key.verifying_key().verify(parts.head.as_bytes(), &signature).is_ok();
        is_good.then_some(parts.claims)
    }

    /// The same user for a service that only knows the project's secret, if the token is a good
    /// ES256 one.
    pub(crate) fn for_secret(&self, token: &str) -> Option<String> {
        self.published.as_ref()?;
        if self.secret.claims(token).is_some() {
            return None;
        }
        self.claims(token).map(|claims| self.secret.sign(&Value::Object(claims)))
    }

    /// The public keys: none in an HS256 project.
    pub(crate) fn jwks(&self) -> Value {
        let keys: Vec<Value> = self.published.iter().map(jwk).collect();
        json!({ "keys": keys })
    }
}

fn jwk(published: &PublishedKey) -> Value {
    let point = published.key.verifying_key().to_encoded_point(false);
    let coordinate =
        |bytes: Option<&p256::FieldBytes>| bytes.map(|bytes| URL_SAFE_NO_PAD.encode(bytes));
    json!({
        "kty": "EC",
        "crv": "P-256",
        "alg": "ES256",
        "use": "sig",
        "key_ops": ["verify"],
        "ext": true,
        "kid": published.kid, "x": coordinate(point.x()), "y": coordinate(point.y()),
    })
}

struct Parts<'a> {
    head: &'a str,
    alg: String,
    kid: Option<String>,
    claims: Claims,
    signature: Vec<u8>,
}

impl<'a> Parts<'a> {
    /// A well-formed, unexpired token, its signature not looked at yet.
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

fn encoded(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

fn decoded(part: &str) -> Option<Value> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

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
