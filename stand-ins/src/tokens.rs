//! Signs tokens: HS256 with a secret, or ES256 with a published key.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use p256::ecdsa::signature::{Signer as _, Verifier as _};
use p256::ecdsa::{Signature, SigningKey};
use p256::pkcs8::DecodePrivateKey;
use serde_json::{Value, json};
use sha2::Sha256;

/// Encodes one part of a token.
pub fn encoded(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

pub(crate) fn mac(secret: &[u8], text: &str) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes keys of any length");
    mac.update(text.as_bytes());
    mac
}

/// A token with any header, signed with HS256 and this secret whatever the header says.
pub fn hs256_token(secret: &[u8], header: &Value, claims: &Value) -> String {
    let head = format!("{}.{}", encoded(header), encoded(claims));
    let signature = URL_SAFE_NO_PAD.encode(mac(secret, &head).finalize().into_bytes());
    format!("{head}.{signature}")
}

/// An ES256 key and the name under which it is published.
pub struct Es256Key {
    kid: String,
    key: SigningKey,
}

impl Es256Key {
    pub fn new(kid: &str, key: SigningKey) -> Self {
        Self { kid: kid.to_owned(), key }
    }

    /// Reads a PKCS#8 key and gives it that name.
    ///
    /// # Errors
    /// If the key is of another kind.
    pub fn from_pem(kid: &str, pem: &str) -> Result<Self, p256::pkcs8::Error> {
        Ok(Self::new(kid, SigningKey::from_pkcs8_pem(pem)?))
    }

    pub fn token(&self, claims: &Value) -> String {
        let header = json!({ "alg": "ES256", "typ": "JWT", "kid": self.kid });
        let head = format!("{}.{}", encoded(&header), encoded(claims));
        let signature: Signature = self.key.sign(head.as_bytes());
        format!("{head}.{}", URL_SAFE_NO_PAD.encode(signature.to_bytes()))
    }

    /// Whether the token names this key and the key made the signature.
    pub(crate) fn has_signed(&self, head: &str, kid: Option<&str>, signature: &[u8]) -> bool {
        let signature = Signature::from_slice(signature);
        let verifies = |signature| self.key.verifying_key().verify(head.as_bytes(), &signature);
        kid == Some(&self.kid) && signature.and_then(verifies).is_ok()
    }

    /// The public key in its published form.
    pub fn jwk(&self) -> Value {
        let point = self.key.verifying_key().to_encoded_point(false);
        let part =
            |bytes: Option<&p256::FieldBytes>| bytes.map(|bytes| URL_SAFE_NO_PAD.encode(bytes));
        json!({
            "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "key_ops": ["verify"],
            "ext": true, "kid": self.kid, "x": part(point.x()), "y": part(point.y()),
        })
    }

    /// The public key's bytes. An attacker knows them and may try them as a secret.
    pub fn public_bytes(&self) -> Vec<u8> {
        self.key.verifying_key().to_encoded_point(false).as_bytes().to_vec()
    }
}
