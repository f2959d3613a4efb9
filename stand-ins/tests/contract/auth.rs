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
async fn anonymous_users_are_marked() {
    let running = start(json!({})).await;
    let (status, session) =
        post(&running, "/signup", json!({"data": {}, "gotrue_meta_security": {}})).await;
    assert_eq!((status.as_u16(), &session["user"]["is_anonymous"]), (200, &json!(true)));
    assert_eq!(part(session["access_token"].as_str().unwrap(), 1)["is_anonymous"], true);
}

/// Every mail that was sent.
async fn mails(running: &Running) -> Vec<Value> {
    let answer = running.client.get(format!("{}/__mail", running.origin)).send().await.unwrap();
    answer.json().await.unwrap()
}

/// Where a link leads.
async fn followed(running: &Running, mail: &Value) -> String {
    let answer = running.client.get(mail["link"].as_str().unwrap()).send().await.unwrap();
    assert_eq!(answer.status(), 303);
    answer.headers()["location"].to_str().unwrap().to_owned()
}

/// The parameters of a fragment.
fn fragment(address: &str) -> std::collections::HashMap<String, String> {
    let (_, fragment) = address.split_once('#').unwrap();
    let url = reqwest::Url::parse(&format!("http://fragment.invalid/?{fragment}")).unwrap();
    url.query_pairs().into_owned().collect()
}

fn refusal((status, body): (StatusCode, Value)) -> (u16, String) {
    (status.as_u16(), body["error_code"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn an_address_signs_up_and_is_confirmed_by_the_link_of_its_mail() {
    let running = start(json!({})).await;
    let new = json!({"email": "New@Example.com", "password": "password-5678"});
    for (body, code) in [
        (json!({"email": "new@example.com", "password": "short"}), (422, "weak_password")),
        (json!({"email": "new@example.com"}), (400, "validation_failed")),
        (json!({"email": "nobody", "password": "password-5678"}), (400, "validation_failed")),
    ] {
        assert_eq!(refusal(post(&running, "/signup", body).await), (code.0, code.1.to_owned()));
    }
    let home = format!("{}/?a=b", running.origin);
    let path = format!("/signup?redirect_to={home}");
    let (status, user) = post(&running, &path, new.clone()).await;
    assert_eq!((status.as_u16(), &user["email"]), (200, &json!("new@example.com")));
    assert!(user["access_token"].is_null() && user["email_confirmed_at"].is_null(), "{user}");
    let sign_in = "/token?grant_type=password";
    let waits = refusal(post(&running, sign_in, new.clone()).await);
    assert_eq!(waits, (400, "email_not_confirmed".to_owned()));
    let soon = refusal(post(&running, "/signup", new.clone()).await);
    assert_eq!(soon, (429, "over_email_send_rate_limit".to_owned()));

    let sent = mails(&running).await;
    assert_eq!((sent.len(), &sent[0]["to"]), (1, &json!("new@example.com")));
    let led = followed(&running, &sent[0]).await;
    assert!(led.starts_with(&format!("{home}#")), "{led}");
    let session = fragment(&led);
    assert_eq!(session["type"], "signup");
    assert_eq!(part(&session["access_token"], 1)["amr"][0]["method"], "otp");
    let second = fragment(&followed(&running, &sent[0]).await);
    assert_eq!(second["error_code"], "otp_expired", "a link is good once: {second:?}");
    assert_eq!(post(&running, sign_in, new.clone()).await.0, 200);

    // Who signs up with an address that has an account learns nothing of it.
    let other = json!({"email": "new@example.com", "password": "a-strangers"});
    let (status, shown) = post(&running, "/signup", other.clone()).await;
    assert_eq!((status.as_u16(), &shown["email"]), (200, &json!("new@example.com")));
    assert_ne!(shown["id"], user["id"]);
    assert_eq!(mails(&running).await.len(), 1);
    assert_eq!(refusal(post(&running, sign_in, other).await).1, "invalid_credentials");
}

#[tokio::test]
async fn a_forgotten_password_is_replaced_and_other_sessions_end() {
    let running = start(json!({})).await;
    let old = running.sign_in("user1@example.com").await;
    assert_eq!(
        post(&running, "/recover", json!({"email": "x@y.z"})).await,
        (StatusCode::OK, json!({}))
    );
    let elsewhere = "/recover?redirect_to=https://evil.example/";
    assert_eq!(post(&running, elsewhere, json!({"email": "user1@example.com"})).await.0, 200);
    let sent = mails(&running).await;
    assert_eq!(sent.len(), 1, "nobody has that other address");
    let led = followed(&running, &sent[0]).await;
    assert!(led.starts_with(&format!("{}#", running.origin)), "only the site is led to: {led}");
    let token = &fragment(&led)["access_token"];
    let change = async |password: &str| {
        let request = running.client.put(format!("{}/auth/v1/user", running.origin));
        let body = json!({"password": password});
        let answer = request.bearer_auth(token).json(&body).send().await.unwrap();
        (answer.status(), answer.json::<Value>().await.unwrap())
    };
    assert_eq!(refusal(change("short").await), (422, "weak_password".to_owned()));
    assert_eq!(refusal(change("password-1234").await), (422, "same_password".to_owned()));
    assert_eq!(change("password-9999").await.0, 200);
    let user = async |token: &str| {
        let request = running.client.get(format!("{}/auth/v1/user", running.origin));
        request.bearer_auth(token).send().await.unwrap().status().as_u16()
    };
    assert_eq!((user(&old).await, user(token).await), (403, 200));
}

#[tokio::test]
async fn a_link_or_code_signs_in_whoever_has_an_account() {
    let running = start(json!({})).await;
    let stranger = json!({"email": "x@y.example", "create_user": false});
    assert_eq!(refusal(post(&running, "/otp", stranger).await), (422, "otp_disabled".to_owned()));
    let known = json!({"email": "user2@example.com", "create_user": false});
    assert_eq!(post(&running, "/otp", known).await.0, 200);
    let code = mails(&running).await[0]["code"].clone();
    let wrong = json!({"type": "email", "email": "user1@example.com", "token": code});
    assert_eq!(refusal(post(&running, "/verify", wrong).await), (403, "otp_expired".to_owned()));
    let right = json!({"type": "email", "email": "user2@example.com", "token": code});
    let (status, session) = post(&running, "/verify", right.clone()).await;
    assert_eq!((status.as_u16(), &session["user"]["email"]), (200, &json!("user2@example.com")));
    assert_eq!(refusal(post(&running, "/verify", right).await).1, "otp_expired");

    let short = start(json!({"mail_lifetime_s": 0})).await;
    assert_eq!(post(&short, "/recover", json!({"email": "user1@example.com"})).await.0, 200);
    let led = fragment(&followed(&short, &mails(&short).await[0]).await);
    assert_eq!(led["error_code"], "otp_expired");
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
