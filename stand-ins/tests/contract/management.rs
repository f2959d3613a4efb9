//! Supabase's Management API: who may ask, what is masked, and how often.

use std::time::Duration;

use reqwest::{Client, Response};
use serde_json::{Value, json};
use stand_ins::management::HostedApi;

const TOKEN: &str = "sbp_0123456789abcdef";

async fn ask(api: &HostedApi, path: &str, token: &str) -> Response {
    let url = format!("{}/v1/projects/{path}", api.url());
    Client::new().get(url).bearer_auth(token).send().await.unwrap()
}

#[tokio::test]
async fn a_secret_key_is_masked_unless_it_is_revealed() {
    let api = HostedApi::start("abc", TOKEN, "public").await.unwrap();
    let key = json!({"name": "default", "type": "secret", "api_key": "sb_secret_whole"});
    api.set_keys(json!([key]));
    let masked: Value = ask(&api, "abc/api-keys", TOKEN).await.json().await.unwrap();
    assert_ne!(masked[0]["api_key"], "sb_secret_whole");
    let whole: Value = ask(&api, "abc/api-keys?reveal=true", TOKEN).await.json().await.unwrap();
    assert_eq!(whole, json!([key]));
    for (path, token, status) in [
        ("abc/api-keys?reveal=true", "sbp_other", 401),
        ("xyz/api-keys?reveal=true", TOKEN, 404),
        ("xyz/config/auth/signing-keys", TOKEN, 404),
    ] {
        assert_eq!(ask(&api, path, token).await.status(), status, "{path}");
    }
    let keys: Value = ask(&api, "abc/config/auth/signing-keys", TOKEN).await.json().await.unwrap();
    assert_eq!(keys["keys"][0]["algorithm"], "ES256");
}

#[tokio::test]
async fn the_sixty_first_call_of_a_minute_is_refused_and_told_when_to_come_back() {
    let api = HostedApi::start("abc", TOKEN, "public").await.unwrap();
    for _ in 0..60 {
        assert_eq!(ask(&api, "abc/postgrest", TOKEN).await.status(), 200);
    }
    let refused = ask(&api, "abc/postgrest", TOKEN).await;
    assert_eq!(refused.status(), 429);
    let wait = refused.headers()["retry-after"].to_str().unwrap().parse::<u64>().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    api.set_rate(1, Duration::ZERO);
    for _ in 0..2 {
        assert_eq!(ask(&api, "abc/postgrest", TOKEN).await.status(), 200);
    }
}
