//! Tokens of every make, and a key set that changes while the functions run. Checks nothing: that
//! is the functions' part.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use p256::pkcs8::DecodePrivateKey;
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use uuid::Uuid;

fn encoded(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

/// A token with any header, signed with that secret whatever the header says.
pub fn hs256_token(secret: &[u8], header: &Value, claims: &Value) -> String {
    let signed = format!("{}.{}", encoded(header), encoded(claims));
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes keys of any length");
    mac.update(signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}

/// A token without a signature.
pub fn unsigned_token(alg: &str, claims: &Value) -> String {
    format!("{}.{}.", encoded(&json!({ "alg": alg, "typ": "JWT" })), encoded(claims))
}

/// The token's signature under other claims.
pub fn with_claims(token: &str, claims: &Value) -> String {
    let mut parts: Vec<&str> = token.split('.').collect();
    let claims = encoded(claims);
    parts[1] = &claims;
    parts.join(".")
}

/// An ES256 key and the name it is published under.
pub struct EcKey {
    kid: String,
    key: SigningKey,
}

impl EcKey {
    pub fn new(kid: &str) -> Self {
        let random = [*Uuid::new_v4().as_bytes(), *Uuid::new_v4().as_bytes()].concat();
        let key =
            SigningKey::from_slice(&random).expect("all but a few values of 256 bits are keys");
        Self { kid: kid.to_owned(), key }
    }

    /// The front door's own key under the name that the front door gives it.
    pub fn from_pem(kid: &str, pem: &str) -> Self {
        let key = SigningKey::from_pkcs8_pem(pem).expect("the stack's key");
        Self { kid: kid.to_owned(), key }
    }

    pub fn token(&self, claims: &Value) -> String {
        let header = json!({ "alg": "ES256", "typ": "JWT", "kid": self.kid });
        let signed = format!("{}.{}", encoded(&header), encoded(claims));
        let signature: Signature = self.key.sign(signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.to_bytes()))
    }

    /// As published.
    pub fn jwk(&self) -> Value {
        let point = self.key.verifying_key().to_encoded_point(false);
        let part =
            |bytes: Option<&p256::FieldBytes>| bytes.map(|bytes| URL_SAFE_NO_PAD.encode(bytes));
        json!({ "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": self.kid,
            "x": part(point.x()), "y": part(point.y()) })
    }

    /// The public key's bytes, which an attacker knows and may try as a secret.
    pub fn public_bytes(&self) -> Vec<u8> {
        self.key.verifying_key().to_encoded_point(false).as_bytes().to_vec()
    }
}

/// The front door with another key set: every other request is passed on to it.
pub struct KeyServer {
    pub url: String,
    shared: Arc<Mutex<Shared>>,
}

struct Shared {
    status: u16,
    keys: Value,
    fetches: usize,
}

const KEY_SET: &str = "GET /auth/v1/.well-known/jwks.json ";

impl KeyServer {
    /// Serves until this process ends, before the front door at that URL.
    pub async fn start(front_door: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let shared = Arc::new(Mutex::new(Shared { status: 200, keys: json!([]), fetches: 0 }));
        let upstream = front_door.trim_start_matches("http://").to_owned();
        let served = Arc::clone(&shared);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // A caller that goes away in the middle is its own business.
                tokio::spawn(serve(stream, upstream.clone(), Arc::clone(&served)));
            }
        });
        Self { url, shared }
    }

    pub fn publish(&self, keys: &[&EcKey]) {
        let keys = keys.iter().map(|key| key.jwk()).collect();
        let mut shared = lock(&self.shared);
        (shared.status, shared.keys) = (200, keys);
    }

    /// From now on the key set cannot be had.
    pub fn fail(&self) {
        lock(&self.shared).status = 500;
    }

    /// How often the key set was asked for.
    pub fn fetches(&self) -> usize {
        lock(&self.shared).fetches
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(
    mut stream: TcpStream,
    upstream: String,
    shared: Arc<Mutex<Shared>>,
) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.windows(4).any(|four| four == b"\r\n\r\n") {
        if stream.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    if head.starts_with(KEY_SET.as_bytes()) {
        let (status, body) = {
            let mut shared = lock(&shared);
            shared.fetches += 1;
            (shared.status, json!({ "keys": shared.keys }).to_string())
        };
        let length = body.len();
        let answer = format!(
            "HTTP/1.1 {status} Answer\r\ncontent-type: application/json\r\ncontent-length: \
                {length}\r\nconnection: close\r\n\r\n{body}"
        );
        return stream.write_all(answer.as_bytes()).await;
    }
    // One request per connection, so that each is looked at here.
    let line = head.windows(2).position(|two| two == b"\r\n").unwrap_or_default();
    let mut front_door = TcpStream::connect(upstream).await?;
    front_door
        .write_all(&[&head[..line], b"\r\nconnection: close", &head[line..]].concat())
        .await?;
    copy_bidirectional(&mut stream, &mut front_door).await.map(drop)
}
