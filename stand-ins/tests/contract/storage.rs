//! Storage: who may write where, signed uploads raw and by form, info, reading, being down.

use crate::running::{OTHER, Running, USER, png, start};
use reqwest::multipart::{Form, Part};
use reqwest::{RequestBuilder, Response};
use serde_json::{Value, json};

fn at(running: &Running, path: &str) -> String {
    format!("{}/storage/v1/object/{path}", running.origin)
}

async fn send(request: RequestBuilder) -> (u16, Value) {
    let answer: Response = request.send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap_or_default())
}

#[tokio::test]
async fn a_signed_upload_is_bound_to_its_object_and_done_once() {
    let running = start(json!({})).await;
    let token = running.sign_in("user1@example.com").await;
    let name = format!("uploads/{USER}/my picture.png");
    let (status, signed) =
        send(running.client.post(at(&running, &format!("upload/sign/{name}"))).bearer_auth(&token))
            .await;
    assert_eq!(status, 200);
    let url = format!("{}/storage/v1{}", running.origin, signed["url"].as_str().unwrap());
    assert!(url.contains(signed["token"].as_str().unwrap()));
    let elsewhere = url.replace("my%20picture", "other");
    assert_eq!(
        send(running.client.put(elsewhere).body(png(2, 2))).await.1["error"],
        "InvalidSignature"
    );
    let put = || {
        running
            .client
            .put(&url)
            .header("content-type", "image/png")
            .header("cache-control", "max-age=60")
            .body(png(2, 2))
    };
    assert_eq!(send(put()).await, (200, json!({"Key": name})));
    let (status, again) = send(put()).await;
    assert_eq!(
        (status, again),
        (
            400,
            json!({
                "statusCode": "409",
                "code": "KeyAlreadyExists",
                "error": "Duplicate",
                "message": "The resource already exists",
            })
        )
    );
    let (_, info) = send(
        running.client.get(at(&running, &format!("info/{name}"))).header("apikey", "service-key"),
    )
    .await;
    assert_eq!(
        (&info["size"], &info["content_type"]),
        (&json!(png(2, 2).len()), &json!("image/png"))
    );
    let read = running.client.get(at(&running, &format!("public/{name}"))).send().await.unwrap();
    assert_eq!(
        (&read.headers()["content-type"], &read.headers()["cache-control"]),
        (&"image/png".parse().unwrap(), &"max-age=60".parse().unwrap())
    );
    assert_eq!(read.bytes().await.unwrap(), png(2, 2));
    let head = running.client.head(at(&running, &format!("public/{name}"))).send().await.unwrap();
    assert_eq!(head.headers()["content-length"].to_str().unwrap(), png(2, 2).len().to_string());
}

#[tokio::test]
async fn browsers_upload_by_form_of_any_size_up_to_the_limit() {
    let running = start(json!({})).await;
    let token = running.sign_in("user1@example.com").await;
    let upload = async |name: &str, bytes: Vec<u8>| {
        let (_, signed) = send(
            running.client.post(at(&running, &format!("upload/sign/{name}"))).bearer_auth(&token),
        )
        .await;
        let file = Part::bytes(bytes).file_name("blob").mime_str("image/png").unwrap();
        let form = Form::new().text("cacheControl", "3600").part("", file);
        let url = format!("{}/storage/v1{}", running.origin, signed["url"].as_str().unwrap());
        send(running.client.put(url).multipart(form)).await
    };
    let name = format!("uploads/{USER}/form.png");
    assert_eq!(upload(&name, vec![1; 5 * 1024 * 1024]).await.0, 200);
    let (_, info) = send(running.client.get(at(&running, &format!("info/public/{name}")))).await;
    assert_eq!(
        (&info["size"], &info["cache_control"]),
        (&json!(5 * 1024 * 1024), &json!("max-age=3600"))
    );
    let (status, refused) =
        upload(&format!("uploads/{USER}/large.png"), vec![1; 50 * 1024 * 1024 + 1]).await;
    assert_eq!((status, &refused["statusCode"]), (413, &json!("413")));
}

#[tokio::test]
async fn a_user_writes_only_by_signing_in_their_own_folder() {
    let running = start(json!({})).await;
    let token = running.sign_in("user1@example.com").await;
    for name in [
        format!("uploads/{OTHER}/a.png"),
        format!("results/{USER}/a.png"),
        "uploads/a.png".to_owned(),
    ] {
        let (status, refused) = send(
            running.client.post(at(&running, &format!("upload/sign/{name}"))).bearer_auth(&token),
        )
        .await;
        assert_eq!((status, &refused["statusCode"]), (400, &json!("403")), "{name}");
    }
    let direct = running
        .client
        .post(at(&running, &format!("uploads/{USER}/a.png")))
        .bearer_auth(&token)
        .body("x");
    assert_eq!(send(direct).await.1["statusCode"], "403");
    let sign = at(&running, &format!("upload/sign/uploads/{USER}/a.png"));
    assert_eq!(send(running.client.post(&sign)).await.1["statusCode"], "400");
    assert_eq!(
        send(running.client.post(&sign).header("apikey", "anon-key")).await.1["statusCode"],
        "403"
    );
    assert_eq!(
        send(running.client.post(&sign).bearer_auth("garbage")).await.1["statusCode"],
        "403"
    );
    let outside = running
        .client
        .post(at(&running, "upload/sign/uploads/%2e%2e%2fa"))
        .header("apikey", "service-key");
    assert_eq!(send(outside).await.1["error"], "InvalidKey");
    assert_eq!(
        send(running.client.get(at(&running, "info/public/other/a"))).await.1["error"],
        "Bucket not found"
    );
}

#[tokio::test]
async fn service_keys_write_replace_and_remove() {
    let running = start(json!({})).await;
    let name = format!("results/{USER}/job/0.png");
    let post = |body: &'static str| {
        running.client.post(at(&running, &name)).header("apikey", "sb_secret_1").body(body)
    };
    assert_eq!(send(post("one")).await.1["Key"], name);
    assert_eq!(send(post("two")).await.1["statusCode"], "409");
    assert_eq!(send(post("three").header("x-upsert", "true")).await.0, 200);
    let read = running.client.get(at(&running, &format!("public/{name}"))).send().await.unwrap();
    assert_eq!(read.text().await.unwrap(), "three");
    let other = running.sign_in("user2@example.com").await;
    let hidden = running.client.get(at(&running, &format!("info/{name}"))).bearer_auth(other);
    let missing = (
        400,
        json!({
            "statusCode": "404",
            "code": "NoSuchKey",
            "error": "not_found",
            "message": "Object not found",
        }),
    );
    assert_eq!(send(hidden).await, missing);
    let remove = running.client.delete(at(&running, "results")).bearer_auth("service-key");
    let named = json!({"prefixes": [format!("{USER}/job/0.png")]});
    assert_eq!(send(remove.json(&named)).await.1[0]["bucket_id"], "results");
    assert_eq!(send(running.client.get(at(&running, &format!("public/{name}")))).await, missing);
}

#[tokio::test]
async fn storage_can_be_down() {
    let running = start(json!({})).await;
    let switch =
        |body: Value| running.client.post(format!("{}/__storage", running.origin)).json(&body);
    assert_eq!(send(switch(json!({"down": true, "status": 544}))).await.0, 200);
    let info = || running.client.get(at(&running, "info/public/uploads/a"));
    assert_eq!(send(info()).await.0, 544);
    send(switch(json!({"down": false}))).await;
    assert_eq!(send(info()).await.1["statusCode"], "404");
}
