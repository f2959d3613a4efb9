//! The local project's secrets and users. The first start makes them and keeps them in
//! `.local/keys.json`; nothing outside of the local project uses them.

use std::path::Path;

use anyhow::{Context, Result};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use p256::pkcs8::{DecodePrivateKey, EncodePrivateKey, LineEnding};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::Sha256;
use uuid::Uuid;

/// All secrets of the local Supabase project and of our configuration.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LocalKeys {
    pub jwt_secret: String,
    pub anon_key: String,
    pub service_role_key: String,
    pub publishable_key: String,
    pub secret_key: String,
    pub cron_secret: String,
    pub webhook_secret: String,
    pub webhook_secret_previous: String,
    /// The private key that signs tokens with `UNSTUCK_SIGNING=es256`.
    pub es256_private_pem: String,
}

/// A user who can sign in at the local front door.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LocalUser {
    pub email: String,
    pub password: String,
    pub id: String,
    /// `user` or `admin`.
    pub role: String,
}

impl LocalKeys {
    /// Reads `<dir>/keys.json`. If the file is missing, it is made first.
    pub fn load(dir: &Path) -> Result<Self> {
        let path = dir.join("keys.json");
        if let Ok(text) = std::fs::read_to_string(&path) {
            return serde_json::from_str(&text).with_context(|| {
                format!(
                    "{} is damaged: delete it, and the next start makes a new one",
                    path.display()
                )
            });
        }
        std::fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
        let keys = Self::generate()?;
        // Two stacks may start at the same moment: the first complete file stays.
        let draft = dir.join(format!("keys.json.{}", random_hex(8)?));
        std::fs::write(&draft, serde_json::to_string_pretty(&keys)?)?;
        let linked = std::fs::hard_link(&draft, &path);
        std::fs::remove_file(&draft)?;
        match linked {
            Ok(()) => Ok(keys),
            Err(_) => Self::load(dir),
        }
    }

    /// The key set that Supabase gives PostgREST after the move to asymmetric keys: the project's
    /// secret, so that old keys stay valid, and the public ES256 key.
    pub fn jwks_with_secret(&self) -> Result<String> {
        let key = p256::SecretKey::from_pkcs8_pem(&self.es256_private_pem)?;
        let mut public: Value = serde_json::from_str(&key.public_key().to_jwk_string())?;
        public["alg"] = "ES256".into();
        public["use"] = "sig".into();
        let secret =
            json!({ "kty": "oct", "alg": "HS256", "k": URL_SAFE_NO_PAD.encode(&self.jwt_secret) });
        Ok(json!({ "keys": [public, secret] }).to_string())
    }

    fn generate() -> Result<Self> {
        let jwt_secret = random_hex(32)?;
        let key = loop {
            let mut bytes = [0; 32];
            fill(&mut bytes)?;
            // Almost every value of 256 bits is a valid key.
            if let Ok(key) = p256::SecretKey::from_slice(&bytes) {
                break key;
            }
        };
        Ok(Self {
            anon_key: project_jwt(&jwt_secret, "anon"),
            service_role_key: project_jwt(&jwt_secret, "service_role"),
            publishable_key: format!("sb_publishable_local_{}", random_hex(12)?),
            secret_key: format!("sb_secret_local_{}", random_hex(16)?),
            cron_secret: random_hex(24)?,
            webhook_secret: random_hex(32)?,
            webhook_secret_previous: random_hex(32)?,
            es256_private_pem: key.to_pkcs8_pem(LineEnding::LF)?.to_string(),
            jwt_secret,
        })
    }
}

/// Makes an HS256 token. Tests also use it to forge tokens.
pub fn sign_hs256(secret: &str, claims: &Value) -> String {
    let head = URL_SAFE_NO_PAD.encode(json!({ "alg": "HS256", "typ": "JWT" }).to_string());
    let signed = format!("{head}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
    let mut mac =
        Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}

/// The claims of a valid token of that user, which expires in an hour.
pub fn user_claims(id: Uuid) -> Value {
    let now_s = now_s();
    json!({ "sub": id, "aud": "authenticated", "role": "authenticated", "is_anonymous": false,
        "iat": now_s, "exp": now_s + 3600 })
}

/// The seconds since 1970.
pub fn now_s() -> i64 {
    let since = std::time::UNIX_EPOCH.elapsed().map_or(0, |age| age.as_secs());
    i64::try_from(since).unwrap_or(i64::MAX)
}

/// Makes one of Supabase's two legacy keys: valid for ten years, without `sub` and `aud`.
fn project_jwt(secret: &str, role: &str) -> String {
    let issued = now_s();
    let claims = json!({
        "iss": "supabase",
        "ref": "local",
        "role": role,
        "iat": issued,
        "exp": issued + 315_360_000,
    });
    sign_hs256(secret, &claims)
}

/// Five users and two admins.
pub fn users() -> Vec<LocalUser> {
    let user = |kind: &str, n: u32, suffix: String| LocalUser {
        email: format!("{kind}{n}@example.com"),
        password: "password-1234".into(),
        id: format!("00000000-0000-4000-8000-{suffix:0>12}"),
        role: kind.into(),
    };
    let users = (1..=5).map(|n| user("user", n, n.to_string()));
    users.chain((1..=2).map(|n| user("admin", n, format!("a{n}")))).collect()
}

fn fill(bytes: &mut [u8]) -> Result<()> {
    getrandom::fill(bytes).map_err(|error| anyhow::anyhow!("no randomness: {error}"))
}

/// `bytes` random bytes as hex.
pub fn random_hex(bytes: usize) -> Result<String> {
    let mut buffer = vec![0; bytes];
    fill(&mut buffer)?;
    Ok(buffer.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_five_and_two_admins_with_the_seeded_ids() {
        let users = users();
        assert_eq!(users.iter().filter(|user| user.role == "user").count(), 5);
        assert_eq!(users.iter().filter(|user| user.role == "admin").count(), 2);
        assert_eq!(users[4].id, "00000000-0000-4000-8000-000000000005");
        assert_eq!(users[6].id, "00000000-0000-4000-8000-0000000000a2");
    }
}
