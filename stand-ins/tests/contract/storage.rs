//! Storage: who may write where by the database's policies, signed uploads raw and by form, limits
//! and types, info, reading, being down, and how errors are wrapped.

use crate::database::ProjectDatabase;
use crate::running::{OTHER, Running, USER, png, start};
use reqwest::multipart::{Form, Part};
use reqwest::{RequestBuilder, Response};
use serde_json::{Value, json};

pub(crate) fn at(running: &Running, path: &str) -> String {
    format!("{}/storage/v1/object/{path}", running.origin)
}

/// A stand-in beside a database whose buckets and policy our migration made.
pub(crate) async fn start_with_database() -> (Running, ProjectDatabase) {
    let database = ProjectDatabase::fresh().await;
    (start(json!({"database_url": database.authenticator_url()})).await, database)
}

async fn sign(running: &Running, token: &str, name: &str) -> (u16, Value) {
    let request = running.client.post(at(running, &format!("upload/sign/{name}")));
    send(request.bearer_auth(token)).await
}

pub(crate) async fn send(request: RequestBuilder) -> (u16, Value) {
    let answer: Response = request.send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap_or_default())
}

#[tokio::test]
async fn a_signed_upload_is_bound_to_its_object_and_done_once() {
    let (running, _database) = start_with_database().await;
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
    let (running, _database) = start_with_database().await;
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
    assert_eq!((status, &refused["statusCode"]), (400, &json!("413")));
    assert_eq!(refused["error"], "Payload too large");
}

#[tokio::test]
async fn a_user_writes_in_their_own_folder_only() {
    let (running, _database) = start_with_database().await;
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
    let direct = async |name: &str| {
        let request = running.client.post(at(&running, name)).bearer_auth(&token);
        send(request.header("content-type", "image/png").body("x")).await
    };
    assert_eq!(direct(&format!("uploads/{OTHER}/a.png")).await.1["statusCode"], "403");
    assert_eq!(direct(&format!("results/{USER}/a.png")).await.1["statusCode"], "403");
    assert_eq!(direct(&format!("uploads/{USER}/direct.png")).await.0, 200);
    // To replace a file one also needs a policy for updates.
    let replace = running.client.put(at(&running, &format!("uploads/{USER}/direct.png")));
    let replace = replace.bearer_auth(&token).header("content-type", "image/png").body("y");
    assert_eq!(send(replace).await.1["statusCode"], "403");
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
    let (running, _database) = start_with_database().await;
    let name = format!("results/{USER}/job/0.png");
    let post = |body: &'static str| {
        running
            .client
            .post(at(&running, &name))
            .header("apikey", "sb_secret_1")
            .header("content-type", "image/png")
            .body(body)
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

/// supabase/storage, listObjectsV2.ts and limits.ts.
#[tokio::test]
async fn a_flat_listing_names_whole_paths_page_by_page_for_the_service_alone() {
    let (running, _database) = start_with_database().await;
    let by_service = |request: RequestBuilder| send(request.header("apikey", "service-key"));
    let names = ["b/1.png", "a/x/2.png", "a/1.png"];
    for name in names {
        let upload = running.client.post(at(&running, &format!("uploads/{name}")));
        let upload = upload.header("content-type", "image/png").body(png(2, 2));
        assert_eq!(by_service(upload).await.0, 200);
    }
    let list = |body: Value| running.client.post(at(&running, "list-v2/uploads")).json(&body);
    let (status, page) = by_service(list(json!({"limit": 2, "with_delimiter": false}))).await;
    assert_eq!((status, &page["hasNext"], &page["folders"]), (200, &json!(true), &json!([])));
    let named = |page: &Value| {
        let objects = page["objects"].as_array().unwrap().iter();
        objects.map(|object| object["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(named(&page), ["a/1.png", "a/x/2.png"]);
    assert!(page["objects"][0]["created_at"].as_str().unwrap().ends_with('Z'));
    let rest = by_service(list(json!({"limit": 2, "cursor": page["nextCursor"]}))).await.1;
    assert_eq!((named(&rest), &rest["hasNext"]), (vec!["b/1.png".to_owned()], &json!(false)));
    assert!(rest["nextCursor"].is_null());
    let below = by_service(list(json!({"prefix": "a/"}))).await.1;
    assert_eq!(named(&below).len(), 2);
    let token = running.sign_in("user1@example.com").await;
    assert_ne!(send(list(json!({})).bearer_auth(token)).await.0, 200);
    let elsewhere = running.client.post(at(&running, "list-v2/nowhere")).json(&json!({}));
    let (status, nothing) = by_service(elsewhere).await;
    assert_eq!((status, &nothing["objects"]), (200, &json!([])), "a bucket that is not there");
}

/// The same sources, and fastify's check of the body.
#[tokio::test]
async fn a_flat_listing_with_a_wrong_body_or_without_its_feature_is_a_400() {
    let (running, _database) = start_with_database().await;
    let list = |body: Value| {
        let request = running.client.post(at(&running, "list-v2/uploads")).json(&body);
        send(request.header("apikey", "service-key"))
    };
    for body in [
        json!([]),
        json!({"limit": 0}),
        json!({"limit": "many"}),
        json!({"limit": -1}),
        json!({"cursor": 7}),
        json!({"prefix": null}),
        json!({"with_delimiter": "no"}),
    ] {
        let (status, refused) = list(body.clone()).await;
        assert_eq!((status, &refused["statusCode"]), (400, &json!("400")), "{body}");
    }
    // Of these the last one is `x:name`.
    for cursor in ["no cursor", "bm90aGluZw==", "eDpuYW1l"] {
        let (status, refused) = list(json!({ "cursor": cursor })).await;
        assert_eq!((status, &refused["code"]), (400, &json!("InvalidParameter")), "{cursor}");
    }
    assert_eq!(list(json!({"cursor": ""})).await.0, 200);
    let switch = running.client.post(format!("{}/__storage", running.origin));
    send(switch.json(&json!({"down": false, "no_list_v2": true}))).await;
    let (status, refused) = list(json!({})).await;
    assert_eq!((status, &refused["code"]), (400, &json!("FeatureNotEnabled")));
    assert_eq!(refused["statusCode"], "400");
}

#[tokio::test]
async fn a_part_of_an_object_is_read_by_its_range() {
    let (running, _database) = start_with_database().await;
    let upload =
        running.client.post(at(&running, "uploads/a/1.png")).header("apikey", "service-key");
    let upload = upload.header("content-type", "image/png").body("0123456789");
    assert_eq!(send(upload).await.0, 200);
    let read = async |range: &str| {
        let request = running.client.get(at(&running, "public/uploads/a/1.png"));
        let answer = request.header("range", range).send().await.unwrap();
        let of_whole = answer.headers().get("content-range").cloned();
        let of_whole = of_whole.map(|value| value.to_str().unwrap().to_owned());
        (answer.status().as_u16(), of_whole.unwrap_or_default(), answer.text().await.unwrap())
    };
    let part = |of_whole: &str, text: &str| (206, of_whole.to_owned(), text.to_owned());
    assert_eq!(read("bytes=0-3").await, part("bytes 0-3/10", "0123"));
    assert_eq!(read("bytes=8-99").await, part("bytes 8-9/10", "89"));
    assert_eq!(read("bytes=5-").await, part("bytes 5-9/10", "56789"));
    let (status, _, text) = read("bytes=10-19").await;
    assert_eq!((status, text.contains("\"416\"")), (400, true), "{text}");
}

#[tokio::test]
async fn storage_can_be_down() {
    let (running, _database) = start_with_database().await;
    let switch =
        |body: Value| running.client.post(format!("{}/__storage", running.origin)).json(&body);
    assert_eq!(send(switch(json!({"down": true, "status": 544}))).await.0, 200);
    let info = || running.client.get(at(&running, "info/public/uploads/a"));
    assert_eq!(send(info()).await.0, 544);
    send(switch(json!({"down": false}))).await;
    assert_eq!(send(info()).await.1["statusCode"], "404");
}

#[tokio::test]
async fn only_500_544_and_429_are_sent_as_what_they_are() {
    let (running, _database) = start_with_database().await;
    for (status, http) in [(429, 429), (500, 500), (544, 544), (503, 400), (423, 400), (409, 400)] {
        let switch = running.client.post(format!("{}/__storage", running.origin));
        send(switch.json(&json!({"down": true, "status": status}))).await;
        let (answered, body) =
            send(running.client.get(at(&running, "info/public/uploads/a"))).await;
        assert_eq!((answered, &body["statusCode"]), (http, &json!(status.to_string())));
    }
}

#[tokio::test]
async fn an_upload_without_the_policy_is_refused() {
    let (running, database) = start_with_database().await;
    let token = running.sign_in("user1@example.com").await;
    let name = format!("uploads/{USER}/a.png");
    assert_eq!(sign(&running, &token, &name).await.0, 200);
    database.exec("drop policy \"unstuck uploads insert\" on storage.objects").await;
    let refused = json!({
        "statusCode": "403",
        "code": "AccessDenied",
        "error": "Unauthorized",
        "message": "new row violates row-level security policy",
    });
    assert_eq!(sign(&running, &token, &name).await, (400, refused.clone()));
    let direct = running.client.post(at(&running, &name)).bearer_auth(&token);
    let direct = direct.header("content-type", "image/png").body(png(2, 2));
    assert_eq!(send(direct).await, (400, refused));
    assert_eq!(database.count("storage.objects").await, 0, "the attempt is rolled back");
}

#[tokio::test]
async fn an_upload_that_another_policy_allows_passes() {
    let (running, database) = start_with_database().await;
    let token = running.sign_in("user1@example.com").await;
    let name = format!("results/{USER}/a.png");
    assert_eq!(sign(&running, &token, &name).await.1["statusCode"], "403");
    let policy = "create policy everywhere on storage.objects for insert to authenticated
        with check (auth.jwt() ->> 'email' = 'user1@example.com')";
    database.exec(policy).await;
    assert_eq!(sign(&running, &token, &name).await.0, 200);
}

#[tokio::test]
async fn the_buckets_and_the_projects_limits_hold_for_every_upload() {
    let database = ProjectDatabase::fresh().await;
    let config = json!({
        "database_url": database.authenticator_url(),
        "storage_bytes_max": 10,
    });
    let running = start(config).await;
    let put = async |name: &str, content_type: &'static str, bytes: usize| {
        let request = running.client.post(at(&running, name)).header("apikey", "service-key");
        let request = request.header("content-type", content_type).body(vec![1; bytes]);
        let (status, answer) = send(request).await;
        (status, answer["statusCode"].as_str().unwrap_or_default().to_owned())
    };
    let refused = |status: &str| (400, status.to_owned());
    assert_eq!(put("results/a.json", "application/json; charset=utf-8", 10).await.0, 200);
    assert_eq!(put("results/b.json", "application/json", 11).await, refused("413"));
    assert_eq!(put("uploads/a.json", "application/json", 1).await, refused("415"));
    database.exec("update storage.buckets set file_size_limit = 5 where id = 'uploads'").await;
    assert_eq!(put("uploads/a.png", "image/png", 5).await.0, 200);
    assert_eq!(put("uploads/b.png", "image/png", 6).await, refused("413"));
    database.exec("update storage.buckets set public = false where id = 'uploads'").await;
    let (status, hidden) = send(running.client.get(at(&running, "public/uploads/a.png"))).await;
    assert_eq!((status, &hidden["error"]), (400, &json!("Bucket not found")));
}

#[tokio::test]
async fn storage_without_its_database_is_a_timeout() {
    let running = start(json!({})).await;
    let (status, body) = send(running.client.get(at(&running, "info/public/uploads/a"))).await;
    assert_eq!((status, &body["statusCode"]), (544, &json!("544")));
}
