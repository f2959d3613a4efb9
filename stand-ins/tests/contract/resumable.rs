//! Uploads in chunks: begun, broken off, resumed, finished; by policy or by a signed token; and
//! every refusal of the protocol.

use crate::database::ProjectDatabase;
use crate::running::{OTHER, Running, USER, start};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};

const CHUNK: usize = 6 * 1024 * 1024;

struct Uploader {
    running: Running,
    _database: ProjectDatabase,
    token: String,
}

impl Uploader {
    async fn start(extra: Value) -> Self {
        let database = ProjectDatabase::fresh().await;
        let mut config = json!({"database_url": database.authenticator_url()});
        config.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        let running = start(config).await;
        let token = running.sign_in("user1@example.com").await;
        Self { running, _database: database, token }
    }

    fn request(&self, method: Method, url: &str) -> RequestBuilder {
        let request = self.running.client.request(method, url);
        request.bearer_auth(&self.token).header("tus-resumable", "1.0.0")
    }

    fn create(&self, name: &str, length: usize) -> RequestBuilder {
        let url = format!("{}/storage/v1/upload/resumable", self.running.origin);
        let request = self.request(Method::POST, &url);
        request.header("upload-length", length).header("upload-metadata", metadata(name))
    }

    fn chunk(&self, location: &str, offset: usize, bytes: Vec<u8>) -> RequestBuilder {
        let request = self.request(Method::PATCH, location);
        request
            .header("upload-offset", offset)
            .header("content-type", "application/offset+octet-stream")
            .body(bytes)
    }

    async fn begun(&self, name: &str, length: usize) -> String {
        let answer = self.create(name, length).send().await.unwrap();
        assert_eq!(answer.status(), 201, "{}", answer.text().await.unwrap());
        header(&answer, "location").to_owned()
    }

    async fn offset(&self, location: &str) -> String {
        let answer = self.request(Method::HEAD, location).send().await.unwrap();
        assert_eq!((answer.status().as_u16(), header(&answer, "cache-control")), (200, "no-store"));
        header(&answer, "upload-offset").to_owned()
    }
}

fn metadata(name: &str) -> String {
    let fields = [
        ("bucketName", "uploads"),
        ("objectName", name),
        ("contentType", "image/png"),
        ("cacheControl", "60"),
    ];
    fields.map(|(name, value)| format!("{name} {}", STANDARD.encode(value))).join(",")
}

fn header<'a>(answer: &'a Response, name: &str) -> &'a str {
    answer.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

async fn refusal(request: RequestBuilder) -> (u16, String) {
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

fn plain(status: u16, text: &str) -> (u16, String) {
    (status, text.to_owned())
}

#[tokio::test]
async fn an_upload_goes_on_where_it_broke_off() {
    let uploader = Uploader::start(json!({})).await;
    let name = format!("{USER}/large.png");
    let bytes: Vec<u8> = (0..CHUNK + 5).map(|at| (at % 251) as u8).collect();
    let answer = uploader.create(&name, bytes.len()).send().await.unwrap();
    assert!(header(&answer, "upload-expires").ends_with(" GMT"));
    assert_eq!(header(&answer, "tus-resumable"), "1.0.0");
    let location = header(&answer, "location").to_owned();
    let begun = format!("{}/storage/v1/upload/resumable/", uploader.running.origin);
    assert!(location.starts_with(&begun), "{location}");
    assert_eq!(uploader.offset(&location).await, "0");
    let first = uploader.chunk(&location, 0, bytes[..CHUNK].to_vec()).send().await.unwrap();
    assert_eq!((first.status().as_u16(), header(&first, "tus-complete")), (204, ""));
    assert_eq!(header(&first, "upload-offset"), CHUNK.to_string());
    let doubled = uploader.chunk(&location, 0, bytes[..CHUNK].to_vec());
    assert_eq!(refusal(doubled).await, plain(409, "Upload-Offset conflict\n"));
    assert_eq!(uploader.offset(&location).await, CHUNK.to_string());
    let public = format!("{}/storage/v1/object/public/uploads/{name}", uploader.running.origin);
    let early = uploader.running.client.get(&public).send().await.unwrap();
    assert_eq!(early.status(), 400, "there is no object before the last chunk");
    let last = uploader.chunk(&location, CHUNK, bytes[CHUNK..].to_vec()).send().await.unwrap();
    assert_eq!((last.status().as_u16(), header(&last, "tus-complete")), (204, "1"));
    let read = uploader.running.client.get(&public).send().await.unwrap();
    assert_eq!(
        (header(&read, "content-type"), header(&read, "cache-control")),
        ("image/png", "max-age=60")
    );
    assert_eq!(read.bytes().await.unwrap(), bytes);
    assert_eq!(uploader.offset(&location).await, bytes.len().to_string());
    let anew = uploader.create(&name, 5);
    assert_eq!(refusal(anew).await, plain(409, "The resource already exists"));
    let ended = uploader.request(Method::DELETE, &location);
    assert_eq!(refusal(ended).await.0, 400, "what is complete is not given up");
}

#[tokio::test]
async fn the_policies_decide_who_uploads_in_chunks() {
    let uploader = Uploader::start(json!({})).await;
    let elsewhere = uploader.create(&format!("{OTHER}/a.png"), 5);
    let denied = plain(403, "new row violates row-level security policy");
    assert_eq!(refusal(elsewhere).await, denied);
    let location = uploader.begun(&format!("{USER}/a.png"), 5).await;
    let other = uploader.running.sign_in("user2@example.com").await;
    let chunk = |token: &str| {
        uploader
            .running
            .client
            .patch(&location)
            .bearer_auth(token)
            .header("tus-resumable", "1.0.0")
            .header("upload-offset", 0)
            .header("content-type", "application/offset+octet-stream")
            .body("12345")
    };
    assert_eq!(refusal(chunk(&other)).await, denied);
    // Before the protocol begins, storage refuses in its own way.
    let (status, text) = refusal(chunk("nonsense")).await;
    let wrapped: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((status, &wrapped["statusCode"]), (400, &json!("403")));
    assert_eq!(refusal(chunk(&uploader.token)).await.0, 204);
}

#[tokio::test]
async fn a_signed_token_uploads_its_object_and_no_other() {
    let uploader = Uploader::start(json!({})).await;
    let name = format!("{USER}/signed.png");
    let sign = format!("{}/storage/v1/object/upload/sign/uploads/{name}", uploader.running.origin);
    let signed: Value =
        uploader.request(Method::POST, &sign).send().await.unwrap().json().await.unwrap();
    let signature = signed["token"].as_str().unwrap();
    let url = format!("{}/storage/v1/upload/resumable/sign", uploader.running.origin);
    let create = |name: &str, signature: Option<&str>| {
        let request = uploader.running.client.post(&url).header("tus-resumable", "1.0.0");
        let request = request.header("upload-length", 5).header("upload-metadata", metadata(name));
        match signature {
            Some(signature) => request.header("x-signature", signature),
            None => request,
        }
    };
    assert_eq!(refusal(create(&name, None)).await, plain(400, "Missing x-signature header"));
    assert_eq!(refusal(create(&name, Some("nonsense"))).await.0, 400);
    let other = format!("{USER}/other.png");
    assert_eq!(refusal(create(&other, Some(signature))).await.0, 400);
    let begun = create(&name, Some(signature)).send().await.unwrap();
    let location = header(&begun, "location").to_owned();
    assert!(location.starts_with(&format!("{url}/")), "{location}");
    let chunk = uploader.chunk(&location, 0, b"12345".to_vec());
    assert_eq!(refusal(chunk).await.0, 400, "the token is asked for every time");
    let chunk = uploader.chunk(&location, 0, b"12345".to_vec()).header("x-signature", signature);
    assert_eq!(refusal(chunk).await.0, 204);
}

#[tokio::test]
async fn what_breaks_the_protocol_is_refused_in_its_words() {
    let uploader = Uploader::start(json!({})).await;
    let (name, url) = (
        format!("{USER}/a.png"),
        format!("{}/storage/v1/upload/resumable", uploader.running.origin),
    );
    let bare = uploader.running.client.post(&url).bearer_auth(&uploader.token);
    assert_eq!(refusal(bare).await, plain(412, "Tus-Resumable Required\n"));
    let lengthless =
        uploader.request(Method::POST, &url).header("upload-metadata", metadata(&name));
    assert!(refusal(lengthless).await.1.starts_with("Upload-Length or"));
    let broken = uploader.request(Method::POST, &url).header("upload-length", 5);
    assert_eq!(refusal(broken.header("upload-metadata", "a ***")).await.0, 400);
    let large = uploader.create(&name, 50 * 1024 * 1024 + 1);
    assert_eq!(refusal(large).await, plain(413, "Maximum size exceeded\n"));
    let text =
        metadata(&name).replace(&STANDARD.encode("image/png"), &STANDARD.encode("text/html"));
    let typed = uploader.request(Method::POST, &url).header("upload-length", 5);
    assert_eq!(refusal(typed.header("upload-metadata", text)).await.0, 415);
    assert_eq!(refusal(uploader.create("../a.png", 5)).await.0, 400);
    let unknown = uploader.chunk(&format!("{url}/YQ"), 0, vec![1]);
    assert_eq!(refusal(unknown).await, plain(404, "The file for this url was not found\n"));
    let location = uploader.begun(&name, 2 * CHUNK).await;
    let patch = || uploader.request(Method::PATCH, &location);
    assert_eq!(refusal(patch()).await, plain(403, "Upload-Offset header required\n"));
    let typed = patch().header("upload-offset", 0).header("content-type", "image/png");
    assert_eq!(refusal(typed).await, plain(400, "Invalid content-type\n"));
    let small = uploader.chunk(&location, 0, vec![1; CHUNK - 1]);
    assert_eq!(refusal(small).await.0, 400, "a chunk that is not the last has 6 MB");
    let long = uploader.chunk(&location, 0, vec![1; 2 * CHUNK + 1]);
    assert_eq!(refusal(long).await, plain(413, "upload's size exceeded\n"));
    assert_eq!(refusal(uploader.request(Method::DELETE, &location)).await.0, 204);
    assert_eq!(refusal(uploader.request(Method::HEAD, &location)).await.0, 404);
}

#[tokio::test]
async fn an_upload_that_takes_too_long_is_over() {
    let uploader = Uploader::start(json!({"upload_lifetime_s": 0})).await;
    let location = uploader.begun(&format!("{USER}/a.png"), 5).await;
    let late = async || {
        let answer = uploader.request(Method::HEAD, &location).send().await.unwrap();
        (answer.status() == 410).then_some(())
    };
    crate::running::until(late).await;
    let chunk = uploader.chunk(&location, 0, b"12345".to_vec());
    assert_eq!(refusal(chunk).await, plain(410, "The file for this url no longer exists\n"));
}
