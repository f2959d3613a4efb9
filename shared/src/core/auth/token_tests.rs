//! Tests of tokens, keys and key sets: every kind of bad token, and the few good ones.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use p256::ecdsa::signature::Signer;
use p256::ecdsa::{Signature, SigningKey};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::core::auth::Identity;
use crate::core::auth::crypto;
use crate::core::auth::jwks::{Jwks, Lookup};
use crate::core::auth::jwt::{self, Key};
use crate::core::id::UserId;

const NOW_S: u64 = 1_800_000_000;
const USER: &str = "00000000-0000-4000-8000-000000000001";
const RSA_MODULUS: &str = "\
    qwUP3xBGv9OlPdhKY6VB0EgAJzU2VytX5gG-QDK1-m7Fh_E9quRrdfnvAKu2OjLavMI7ictYD6-fJjs1Ie9g1D1zOJ44\
    v1scENxfERoDvhY88CRPHrhTTE4kJNVo-O87JLcidPZL266kETB5CbP6cD0SOIm-gXl8_Rc586-eZspfEA5mqfA4W4_Z\
    CXl4udktAv1siKcTjyMIN2DXHXy7G2h7_WFXNEXFiXk-ST9lOrL0E4BHH8VyTgVQiUnUqTopZqBZHf1gK_LzKBbzbCar\
    eTOu2b-UX6WbGxLtHgzX-3c7DMyNyAO8mXGxAPQwA3TrPixHjbeBtcT-ItR1BRb1iw";
/// A token that ends in 2033, signed by an RSA key that exists nowhere else.
const RSA_TOKEN: &str = "\
    eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6InJzYS0xIn0.eyJzdWIiOiIwMDAwMDAwMC0wMDAwLTQwMDAt\
    ODAwMC0wMDAwMDAwMDAwMDEiLCJhdWQiOiJhdXRoZW50aWNhdGVkIiwicm9sZSI6ImF1dGhlbnRpY2F0ZWQiLCJpc3Mi\
    OiJodHRwczovL3gvYXV0aC92MSIsImV4cCI6MjAwMDAwMDAwMH0.D-UH4jBUU9deoVoJr8t4UyP25Yw0jbOl8PMUoD5-\
    LdzJ8MkaDGpxFbSrPj3mlokXS4kKbKlk1gb2ZGRtTVPI11ED2CNUsmoRAsRQPQl3E4Jlr1rICEdGbjlWrJJWaFNUzIsQ\
    cs919-wt0btCL2BxLQiBcSiCXeTQb_Kh0jiOn8SJ4rxAKrle4020QFzSMmUq3VhRkbIGuis4i2Vp13Fu2eaLKSyMPEJt\
    hZN5R7tLpcuPUhRZHehx1xPfkHFzbgqgNaXcCw1lE_xloBJGQpZBQFkgQ2oHLiXaTillFdRhKdSHWj5ronLErYMNXO38\
    _DKaAdvQHqBA29INN0QIVBszDQ";

fn encode(part: &Value) -> String {
    URL_SAFE_NO_PAD.encode(part.to_string())
}

fn hs256_with(header: Value, claims: &Value, secret: &str) -> String {
    let message = format!("{}.{}", encode(&header), encode(claims));
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}

fn hs256(claims: &Value) -> String {
    hs256_with(json!({"alg": "HS256", "typ": "JWT"}), claims, "secret")
}

fn signing_key(seed: u8) -> SigningKey {
    SigningKey::from_slice(&[seed; 32]).unwrap()
}

fn es256(claims: &Value, kid: &str, seed: u8) -> String {
    let message = format!("{}.{}", encode(&json!({"alg": "ES256", "kid": kid})), encode(claims));
    let signature: Signature = signing_key(seed).sign(message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature.to_bytes()))
}

fn ec_jwk(kid: &str, seed: u8) -> Value {
    let point = signing_key(seed).verifying_key().to_encoded_point(false);
    let part = |bytes: Option<&p256::FieldBytes>| URL_SAFE_NO_PAD.encode(bytes.unwrap());
    let (x, y) = (part(point.x()), part(point.y()));
    json!({"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": kid, "x": x, "y": y})
}

fn rsa_jwk() -> Value {
    json!({"kty": "RSA", "alg": "RS256", "kid": "rsa-1", "n": RSA_MODULUS, "e": "AQAB"})
}

fn set(keys: &[Value]) -> String {
    json!({"keys": keys}).to_string()
}

fn key_of(jwk: Value) -> Key {
    let kid = jwk["kid"].as_str().unwrap().to_owned();
    Jwks::fixed(&set(&[jwk])).unwrap().get(&kid).unwrap()
}

fn claims() -> Value {
    json!({
        "sub": USER,
        "aud": "authenticated",
        "role": "authenticated",
        "exp": NOW_S + 100,
        "iss": "https://x/auth/v1",
    })
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

fn without(name: &str) -> Value {
    let mut claims = claims();
    claims.as_object_mut().unwrap().remove(name);
    claims
}

fn user(anonymous: bool) -> Option<Identity> {
    Some(Identity::User { id: UserId::parse(USER).unwrap(), anonymous })
}

fn check(token: &str, key: &Key) -> Option<Identity> {
    crypto::install();
    jwt::verify(token, key, None, NOW_S).map(|verified| verified.identity)
}

fn secret_key() -> Key {
    Key::hs256("secret")
}

#[test]
fn each_algorithm_verifies_with_its_own_key() {
    assert_eq!(check(&hs256(&claims()), &secret_key()), user(false));
    assert_eq!(check(&es256(&claims(), "a", 7), &key_of(ec_jwk("a", 7))), user(false));
    assert_eq!(check(RSA_TOKEN, &key_of(rsa_jwk())), user(false));
}

#[test]
fn a_changed_signature_or_another_key_proves_nothing() {
    for (token, key) in [
        (hs256(&claims()), secret_key()),
        (es256(&claims(), "a", 7), key_of(ec_jwk("a", 7))),
        (RSA_TOKEN.to_owned(), key_of(rsa_jwk())),
    ] {
        let (head, signature) = token.rsplit_once('.').unwrap();
        let mut bytes = URL_SAFE_NO_PAD.decode(signature).unwrap();
        bytes[9] ^= 1;
        assert_eq!(check(&format!("{head}.{}", URL_SAFE_NO_PAD.encode(&bytes)), &key), None);
        assert_eq!(check(&format!("{head}."), &key), None);
        assert_eq!(check(&format!("{head}.{}", URL_SAFE_NO_PAD.encode(&bytes[1..])), &key), None);
        let (_, rest) = token.split_once('.').unwrap();
        let other = encode(&with("sub", json!("00000000-0000-4000-8000-000000000002")));
        let forged = format!(
            "{}.{other}.{}",
            token.split('.').next().unwrap(),
            rest.split_once('.').unwrap().1
        );
        assert_eq!(check(&forged, &key), None);
    }
    assert_eq!(check(&hs256(&claims()), &Key::hs256("another project's")), None);
    assert_eq!(check(&es256(&claims(), "a", 8), &key_of(ec_jwk("a", 7))), None);
}

#[test]
fn the_key_chooses_the_algorithm_and_never_the_token() {
    let none = format!("{}.{}.", encode(&json!({"alg": "none"})), encode(&claims()));
    assert_eq!(check(&none, &secret_key()), None);
    assert!(jwt::header(&none).is_none());
    // An HMAC keyed with the public key, under the right key id.
    let jwk = ec_jwk("a", 7);
    for public in [jwk["x"].as_str().unwrap(), RSA_MODULUS, &jwk.to_string()] {
        let forged = hs256_with(json!({"alg": "HS256", "kid": "a"}), &claims(), public);
        assert_eq!(check(&forged, &key_of(jwk.clone())), None);
        assert_eq!(check(&forged, &key_of(rsa_jwk())), None);
    }
    assert_eq!(check(&es256(&claims(), "rsa-1", 7), &key_of(rsa_jwk())), None);
    assert_eq!(check(&es256(&claims(), "a", 7), &secret_key()), None);
    assert_eq!(
        check(&hs256_with(json!({"alg": "HS512"}), &claims(), "secret"), &secret_key()),
        None
    );
    let empty = Key::hs256("");
    assert_eq!(check(&hs256_with(json!({"alg": "HS256"}), &claims(), ""), &empty), None);
}

#[test]
fn a_users_token_needs_subject_audience_role_and_end() {
    for bad in [
        with("exp", json!(NOW_S - 60)),
        without("exp"),
        with("exp", json!("soon")),
        with("exp", json!(-1)),
        with("nbf", json!(NOW_S + 61)),
        with("aud", json!("other")),
        with("aud", json!(["other"])),
        with("aud", json!(7)),
        without("aud"),
        with("role", json!("admin")),
        without("role"),
        with("sub", json!("not-a-uuid")),
        without("sub"),
    ] {
        assert_eq!(check(&hs256(&bad), &secret_key()), None, "{bad}");
    }
    for good in [
        with("exp", json!(NOW_S - 59)),
        with("exp", json!(1.9e9)),
        with("exp", json!(1e300)),
        with("nbf", json!(NOW_S + 60)),
        with("aud", json!(["other", "authenticated"])),
        with("user_metadata", json!({"role": "service_role"})),
    ] {
        assert_eq!(check(&hs256(&good), &secret_key()), user(false), "{good}");
    }
    assert_eq!(check(&hs256(&with("is_anonymous", json!(true))), &secret_key()), user(true));
}

#[test]
fn a_configured_issuer_is_required() {
    crypto::install();
    let judge = |claims: &Value, issuer| {
        jwt::verify(&hs256(claims), &secret_key(), issuer, NOW_S).map(|v| v.identity)
    };
    assert_eq!(judge(&claims(), Some("https://x/auth/v1")), user(false));
    assert_eq!(judge(&claims(), Some("https://y/auth/v1")), None);
    assert_eq!(judge(&without("iss"), Some("https://x/auth/v1")), None);
    let service = json!({"role": "service_role", "exp": NOW_S + 9});
    assert_eq!(judge(&service, Some("https://x/auth/v1")), Some(Identity::Service));
}

#[test]
fn service_and_anon_keys_are_tokens_without_a_user() {
    let legacy = |role: &str| {
        let exp = NOW_S + 9;
        json!({"iss": "supabase", "ref": "abc", "role": role, "iat": 1, "exp": exp})
    };
    assert_eq!(check(&hs256(&legacy("service_role")), &secret_key()), Some(Identity::Service));
    assert_eq!(check(&hs256(&legacy("anon")), &secret_key()), Some(Identity::Nobody));
    let mut ended = legacy("service_role");
    ended["exp"] = json!(NOW_S - 61);
    assert_eq!(check(&hs256(&ended), &secret_key()), None);
}

#[test]
fn garbage_is_refused_without_a_panic() {
    let deep = format!("{}.{}.x", encode(&json!({"alg": "HS256"})), "A".repeat(10_000));
    let critical =
        hs256_with(json!({"alg": "HS256", "crit": ["b64"], "b64": false}), &claims(), "secret");
    assert!(jwt::header(&critical).is_none());
    for garbage in ["", ".", "..", "...", "a.b.c", "ä.ö.ü", "\0.\0.\0", "eyJ.eyJ.x", &deep] {
        assert_eq!(check(garbage, &secret_key()), None, "{garbage:?}");
    }
}

#[test]
fn unusable_keys_do_not_disable_the_others() {
    let mut silent = ec_jwk("silent", 8);
    silent["use"] = Value::Null;
    silent["alg"] = Value::Null;
    let text = set(&[
        silent,
        json!({"kty": "oct", "kid": "o", "k": "c2VjcmV0"}),
        json!({"kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": "AA"}),
        json!({"kty": "EC", "crv": "P-384", "kid": "p384", "x": "AA", "y": "AA"}),
        json!({"kty": "RSA", "kid": "enc", "use": "enc", "n": "AQAB", "e": "AQAB"}),
        json!({"kty": "RSA", "kid": "ps", "alg": "PS256", "n": "AQAB", "e": "AQAB"}),
        json!({"kid": 7}),
        json!("nonsense"),
        ec_jwk("good", 7),
    ]);
    let jwks = Jwks::fixed(&text).unwrap();
    assert!(jwks.get("good").is_some());
    assert!(jwks.get("silent").is_some());
    for kid in ["o", "ed", "p384", "enc", "ps", "7", ""] {
        assert!(jwks.get(kid).is_none(), "{kid}");
    }
    assert!(Jwks::fixed("{}").is_none());
    assert!(Jwks::fixed("<html>").is_none());
}

#[test]
fn weak_and_malformed_keys_verify_nothing() {
    crypto::install();
    for (n, e) in
        [("AQAB", "AQAB"), (RSA_MODULUS, "AQ"), (RSA_MODULUS, "Ag"), (RSA_MODULUS, ""), ("", "")]
    {
        let jwk = json!({"kty": "RSA", "kid": "rsa-1", "n": n, "e": e});
        assert_eq!(check(RSA_TOKEN, &key_of(jwk)), None, "{n} {e}");
    }
    let off_curve = json!({"kty": "EC", "crv": "P-256", "kid": "a", "x": "AA", "y": "AA"});
    assert_eq!(check(&es256(&claims(), "a", 7), &key_of(off_curve)), None);
}

fn look_up(jwks: &mut Jwks, kid: &str, now_ms: u64) -> &'static str {
    match jwks.look_up(kid, now_ms) {
        Lookup::Use(_) => "use",
        Lookup::Fetch => "fetch",
        Lookup::Wait => "wait",
        Lookup::Unknown => "unknown",
        Lookup::Unavailable => "unavailable",
    }
}

const MINUTE: u64 = 60_000;

#[test]
fn keys_are_fresh_for_ten_minutes() {
    let mut jwks = Jwks::default();
    assert_eq!(look_up(&mut jwks, "a", 0), "fetch");
    assert!(jwks.fetched(&set(&[ec_jwk("a", 7)]), 100));
    assert_eq!(look_up(&mut jwks, "a", 10 * MINUTE), "use");
    assert_eq!(look_up(&mut jwks, "a", 10 * MINUTE + 100), "fetch");
    assert_eq!(
        look_up(&mut jwks, "a", 10 * MINUTE + 101),
        "use",
        "stale keys stay usable while one request fetches"
    );
}

#[test]
fn an_unknown_key_causes_one_fetch_and_then_a_pause() {
    let mut jwks = Jwks::default();
    assert_eq!(look_up(&mut jwks, "b", 0), "fetch");
    assert_eq!(look_up(&mut jwks, "b", 1), "wait", "one fetch runs at a time");
    jwks.fetched(&set(&[ec_jwk("a", 7)]), 50);
    assert_eq!(look_up(&mut jwks, "b", 51), "unknown");
    assert_eq!(look_up(&mut jwks, "b", 29_000), "unknown");
    assert_eq!(look_up(&mut jwks, "a", 29_000), "use");
    assert_eq!(look_up(&mut jwks, "b", 30_050), "fetch", "a rotated key is found after the pause");
    assert_eq!(look_up(&mut jwks, "a", 30_051), "use", "known keys stay usable meanwhile");
    jwks.fetched(&set(&[ec_jwk("a", 7), ec_jwk("b", 8)]), 30_100);
    assert_eq!(look_up(&mut jwks, "b", 30_101), "use");
}

#[test]
fn an_empty_key_set_is_a_valid_answer() {
    let mut jwks = Jwks::default();
    assert_eq!(look_up(&mut jwks, "a", 0), "fetch");
    assert!(jwks.fetched("{\"keys\":[]}", 10));
    assert_eq!(look_up(&mut jwks, "a", 11), "unknown");
}

#[test]
fn known_keys_outlive_a_failing_server_for_a_bounded_time() {
    let mut jwks = Jwks::default();
    jwks.fetched(&set(&[ec_jwk("a", 7)]), 0);
    assert_eq!(look_up(&mut jwks, "a", 11 * MINUTE), "fetch");
    jwks.failed(11 * MINUTE + 5);
    assert_eq!(look_up(&mut jwks, "a", 11 * MINUTE + 6), "use");
    assert_eq!(
        look_up(&mut jwks, "b", 11 * MINUTE + 6),
        "unavailable",
        "an unknown key is neither accepted nor refused"
    );
    assert_eq!(
        look_up(&mut jwks, "a", 12 * MINUTE),
        "fetch",
        "the next fetch follows after the pause"
    );
    assert!(!jwks.fetched("<html>", 12 * MINUTE + 5), "an answer that is no key set is a failure");
    assert_eq!(look_up(&mut jwks, "a", 12 * MINUTE + 6), "use");
    assert_eq!(look_up(&mut jwks, "a", 70 * MINUTE), "fetch");
    jwks.failed(70 * MINUTE + 1);
    assert_eq!(look_up(&mut jwks, "a", 70 * MINUTE + 2), "unavailable", "the grace is over");
}

#[test]
fn a_fetch_that_died_with_its_request_is_replaced() {
    let mut jwks = Jwks::default();
    assert_eq!(look_up(&mut jwks, "a", 0), "fetch");
    assert_eq!(look_up(&mut jwks, "a", 5_999), "wait");
    assert_eq!(look_up(&mut jwks, "a", 6_000), "fetch");
    jwks.failed(6_001);
    assert_eq!(look_up(&mut jwks, "a", 6_002), "unavailable");
    assert_eq!(look_up(&mut jwks, "a", 36_001), "fetch");
}
