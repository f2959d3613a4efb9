//! Auth: sign-in, refresh, sign-out, anonymous users, both ways of signing.

use crate::running::{Running, USER, start};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use p256::ecdsa::SigningKey;
use p256::pkcs8::{EncodePrivateKey, LineEnding};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

async fn post(running: &Running, path: &str, body: Value) -> (StatusCode, Value) {
    let answer = running
        .client
        .post(format!("{}/auth/v1{path}", running.origin))
        .json(&body)
        .send()
        .await
        .unwrap();
    (answer.status(), answer.json().await.unwrap_or_default())
}

fn part(token: &str, index: usize) -> Value {
    let bytes = URL_SAFE_NO_PAD.decode(token.split('.').nth(index).unwrap()).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

pub(crate) fn pem() -> String {
    SigningKey::from_slice(&[7; 32]).unwrap().to_pkcs8_pem(LineEnding::LF).unwrap().to_string()
}

#[tokio::test]
async fn a_password_gives_a_session_with_the_usual_claims() {
    let running = start(json!({})).await;
    let body = json!({
        "email": "USER1@example.com", "password": "password-1234", "gotrue_meta_security": {},
    });
    let (status, session) = post(&running, "/token?grant_type=password", body).await;
    assert_eq!(
        (status.as_u16(), &session["token_type"], &session["user"]["id"]),
        (200, &json!("bearer"), &json!(USER))
    );
    let token = session["access_token"].as_str().unwrap();
    assert_eq!(part(token, 0), json!({"alg": "HS256", "typ": "JWT"}));
    let claims = part(token, 1);
    assert_eq!(claims["iss"], format!("{}/auth/v1", running.origin));
    assert_eq!(
        (&claims["aud"], &claims["role"], &claims["sub"]),
        (&json!("authenticated"), &json!("authenticated"), &json!(USER))
    );
    assert_eq!((&claims["is_anonymous"], &claims["aal"]), (&json!(false), &json!("aal1")));
    assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), 3600);
    let (status, refused) = post(
        &running,
        "/token?grant_type=password",
        json!({"email": "user1@example.com", "password": "x"}),
    )
    .await;
    assert_eq!((status.as_u16(), &refused["error_code"]), (400, &json!("invalid_credentials")));
}

#[tokio::test]
async fn a_session_is_refreshed_and_ended() {
    let running = start(json!({})).await;
    let body = json!({"email": "user1@example.com", "password": "password-1234"});
    let (_, session) = post(&running, "/token?grant_type=password", body).await;
    let (status, refreshed) = post(
        &running,
        "/token?grant_type=refresh_token",
        json!({"refresh_token": session["refresh_token"]}),
    )
    .await;
    assert_eq!(status, 200);
    assert_ne!(refreshed["refresh_token"], session["refresh_token"]);
    let token = refreshed["access_token"].as_str().unwrap();
    let user = || running.client.get(format!("{}/auth/v1/user", running.origin)).bearer_auth(token);
    assert_eq!(
        user().send().await.unwrap().json::<Value>().await.unwrap()["email"],
        "user1@example.com"
    );
    let out = running
        .client
        .post(format!("{}/auth/v1/logout?scope=global", running.origin))
        .bearer_auth(token)
        .send()
        .await
        .unwrap();
    assert_eq!(out.status(), 204);
    assert_eq!(user().send().await.unwrap().status(), 403);
    let (status, refused) = post(
        &running,
        "/token?grant_type=refresh_token",
        json!({"refresh_token": refreshed["refresh_token"]}),
    )
    .await;
    assert_eq!((status.as_u16(), &refused["error_code"]), (400, &json!("refresh_token_not_found")));
}

#[tokio::test]
async fn anonymous_users_are_marked_and_addresses_cannot_sign_up() {
    let running = start(json!({})).await;
    let (status, session) =
        post(&running, "/signup", json!({"data": {}, "gotrue_meta_security": {}})).await;
    assert_eq!((status.as_u16(), &session["user"]["is_anonymous"]), (200, &json!(true)));
    assert_eq!(part(session["access_token"].as_str().unwrap(), 1)["is_anonymous"], true);
    let (status, _) = post(&running, "/signup", json!({"email": "a@b.c", "password": "x"})).await;
    assert_eq!(status, 422);
}

#[tokio::test]
async fn a_project_with_a_signing_key_publishes_it() {
    let plain = start(json!({})).await;
    let jwks = |running: &Running| {
        running.client.get(format!("{}/auth/v1/.well-known/jwks.json", running.origin)).send()
    };
    assert_eq!(jwks(&plain).await.unwrap().json::<Value>().await.unwrap(), json!({"keys": []}));
    let running = start(json!({"es256_private_pem": pem()})).await;
    let token = running.sign_in("user1@example.com").await;
    let answer = jwks(&running).await.unwrap();
    assert_eq!(answer.headers()["cache-control"], "public, max-age=600");
    let keys: Value = answer.json().await.unwrap();
    assert_eq!(
        (&part(&token, 0)["alg"], &part(&token, 0)["kid"]),
        (&json!("ES256"), &keys["keys"][0]["kid"])
    );
    let user = running
        .client
        .get(format!("{}/auth/v1/user", running.origin))
        .bearer_auth(&token)
        .send()
        .await
        .unwrap();
    assert_eq!(user.status(), 200);
    let mut forged = token.clone().into_bytes();
    let at = forged.len() - 10;
    forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
    let forged = String::from_utf8(forged).unwrap();
    let refused = running
        .client
        .get(format!("{}/auth/v1/user", running.origin))
        .bearer_auth(forged)
        .send()
        .await
        .unwrap();
    assert_eq!(refused.status(), 403);
}

#[tokio::test]
async fn browsers_may_ask_from_anywhere() {
    let running = start(json!({})).await;
    for path in ["/auth/v1/token", "/storage/v1/object/uploads/a", "/rest/v1/x"] {
        let answer = running
            .client
            .request(Method::OPTIONS, format!("{}{path}", running.origin))
            .send()
            .await
            .unwrap();
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["access-control-allow-origin"]),
            (204, &"*".parse().unwrap())
        );
        assert!(
            answer.headers()["access-control-allow-headers"].to_str().unwrap().contains("apikey")
        );
    }
    let (status, _) = post(&running, "/token?grant_type=other", json!({})).await;
    assert_eq!(status, 400);
}
