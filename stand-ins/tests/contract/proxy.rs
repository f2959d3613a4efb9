//! What arrives at PostgREST and at the workers, and what the caller sees when they are absent.

use crate::running::{Running, start};
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use http_body_util::BodyExt;
use reqwest::Method;
use serde_json::{Value, json};
use stand_ins::serve;
use tokio::net::TcpListener;

/// Answers with what it got.
async fn echo(request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let headers: Vec<_> = parts
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect();
    let seen = json!({
        "method": parts.method.as_str(),
        "uri": parts.uri.to_string(),
        "headers": headers,
        "length": body.len(),
    });
    ([("x-seen", "1"), ("keep-alive", "timeout=5")], Json(seen)).into_response()
}

async fn with_neighbours(extra: Value) -> Running {
    let running = start(extra).await;
    for offset in [4, 5] {
        let listener = TcpListener::bind(("127.0.0.1", running.base + offset)).await.unwrap();
        tokio::spawn(serve::serve(listener, Router::new().fallback(echo)));
    }
    running
}

fn header<'a>(seen: &'a Value, name: &str) -> Option<&'a str> {
    seen["headers"]
        .as_array()
        .unwrap()
        .iter()
        .find(|pair| pair[0] == name)
        .and_then(|pair| pair[1].as_str())
}

#[tokio::test]
async fn the_workers_get_requests_as_they_are() {
    let running = with_neighbours(json!({})).await;
    let url = format!("{}/functions/v1/f/op?a=%20b&c[]='", running.origin);
    let request = running
        .client
        .request(Method::PATCH, url)
        .header("x-own", "1")
        .header("connection", "x-hop")
        .header("x-hop", "1");
    let answer = request.body(vec![7; 3_000_000]).send().await.unwrap();
    assert_eq!(answer.headers()["x-seen"], "1");
    assert!(!answer.headers().contains_key("keep-alive"));
    let seen: Value = answer.json().await.unwrap();
    assert_eq!((&seen["method"], &seen["length"]), (&json!("PATCH"), &json!(3_000_000)));
    assert!(seen["uri"].as_str().unwrap().starts_with("/functions/v1/f/op?a=%20b&c[]="));
    assert_eq!(
        (header(&seen, "x-own"), header(&seen, "x-hop"), header(&seen, "authorization")),
        (Some("1"), None, None)
    );
    assert_eq!(header(&seen, "host"), running.origin.strip_prefix("http://"));
    let page: Value =
        running.client.get(&running.origin).send().await.unwrap().json().await.unwrap();
    assert_eq!(page["uri"], "/");
}

#[tokio::test]
async fn postgrest_gets_a_credential_it_can_verify() {
    let running = with_neighbours(json!({})).await;
    let rest = |path: &str| running.client.get(format!("{}/rest/v1{path}", running.origin));
    for (request, credential) in [
        (rest("/t?id=eq.1").header("apikey", "sb_publishable_1"), "Bearer anon-key"),
        (rest("/t?id=eq.1").header("apikey", "sb_secret_1"), "Bearer service-key"),
        (
            rest("/t?id=eq.1").bearer_auth("sb_publishable_1").header("apikey", "sb_publishable_1"),
            "Bearer anon-key",
        ),
        (
            rest("/t?id=eq.1").bearer_auth("a.user.token").header("apikey", "sb_secret_1"),
            "Bearer a.user.token",
        ),
    ] {
        let answer = request.send().await.unwrap();
        assert_eq!(answer.headers()["access-control-allow-origin"], "*");
        let seen: Value = answer.json().await.unwrap();
        assert_eq!(
            (&seen["uri"], header(&seen, "authorization")),
            (&json!("/t?id=eq.1"), Some(credential))
        );
    }
    assert_eq!(rest("/t").send().await.unwrap().status(), 401);
    assert_eq!(rest("/t").header("apikey", "wrong").send().await.unwrap().status(), 401);
}

/// PostgREST may know the project's secret only, so a user's ES256 token arrives signed with that.
#[tokio::test]
async fn postgrest_gets_users_of_a_project_with_a_signing_key() {
    let running = with_neighbours(json!({"es256_private_pem": crate::auth::pem()})).await;
    let token = running.sign_in("user1@example.com").await;
    let claims = |token: &str| token.split('.').nth(1).map(str::to_owned);
    let request = running.client.get(format!("{}/rest/v1/t", running.origin)).bearer_auth(&token);
    let seen: Value = request.send().await.unwrap().json().await.unwrap();
    let sent = header(&seen, "authorization").unwrap().strip_prefix("Bearer ").unwrap();
    assert!(sent.starts_with("eyJhbGciOiJIUzI1NiI"), "{sent}");
    assert_eq!(claims(sent), claims(&token));
}

#[tokio::test]
async fn an_absent_neighbour_is_a_502_that_browsers_can_read() {
    let running = start(json!({})).await;
    let answer =
        running.client.get(format!("{}/functions/v1/f", running.origin)).send().await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["access-control-allow-origin"]),
        (502, &"*".parse().unwrap())
    );
    assert_eq!(answer.json::<Value>().await.unwrap()["code"], "upstream_unavailable");
}
