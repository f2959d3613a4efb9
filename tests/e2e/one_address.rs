//! The project behind the gateway: an app that knows only the gateway's address sees the same as at
//! the project. What the gateway passes on, and what it does not.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use unstuck_tests::e2e;
use unstuck_tests::e2e::World;
use unstuck_tests::e2e::order::Order;

const SERVICES: [&str; 4] = ["auth/v1", "rest/v1", "storage/v1", "realtime/v1"];

#[test]
fn an_app_sees_by_the_gateways_address_alone_what_it_sees_at_the_project() {
    e2e::run(async |world| {
        // Each order's task runs until its client finishes it.
        world.script(json!({ "runninghub": { "all": true, "work": "until_finished" } })).await;
        let project =
            world.node("client/one_address.mjs", &json!({ "url": world.stack().info().url }));
        let expected = json!({
            "wrong": "400 invalid_credentials",
            "unknown": "404 PGRST205",
            "whole": { "signedLeadsHere": true, "publicLeadsHere": true, "isWhole": true },
            "system": "Subscribed to PostgreSQL",
            "ordered": { "success": true, "creditsCharged": 60 },
            "first": "INSERT",
            "statuses": ["running", "completed"],
            "strangers": 0,
            "own": { "status": "completed" },
            "left": "ok",
        });
        for (name, value) in expected.as_object().unwrap() {
            assert_eq!(project[name], *value, "{name}: {project:#}");
        }
        let chunks = json!({
            "leadsHere": true,
            "statuses": [201, 204, 409],
            "resumedAt": 6 * 1024 * 1024,
            "isWhole": true,
        });
        assert_eq!((&project["byUser"], &project["bySignature"]), (&chunks, &chunks));
        let user = world.user(1).await;
        let before = world.balance(&user).await;
        let gateway = json!({ "url": world.stack().gateway_url() });
        let mut seen = world.node("client/one_address.mjs", &gateway);
        assert_eq!(seen["rows"], json!(1), "the order that was placed at the project");
        seen["rows"] = project["rows"].clone();
        assert_eq!(seen, project);
        assert_eq!(world.balance(&user).await, before - 60);
    });
}

#[test]
fn client_js_and_a_functions_client_work_with_one_address_and_with_two() {
    e2e::run(async |world| {
        let given = json!({ "gateway": world.stack().gateway_url() });
        let seen = world.node("client/ways.mjs", &given);
        let done = json!({ "state": "done", "isPicture": "image/png" });
        let expected = json!({ "signedOut": 401, "checked": true, "two": done, "one": done });
        assert_eq!(seen, expected);
    });
}

#[test]
fn the_switch_closes_the_projects_paths_and_nothing_else() {
    e2e::run(async |world| {
        let off = BTreeMap::from([("PROJECT_PASS_THROUGH".to_owned(), Some("false".to_owned()))]);
        world.restart_workers(BTreeMap::from([("gateway".to_owned(), off)])).await;
        let gateway = world.stack().gateway_url();
        for service in SERVICES {
            for path in [service.to_owned(), format!("{service}/anything")] {
                let answer = world.http().get(format!("{gateway}/{path}")).send().await.unwrap();
                let (status, headers) = (answer.status(), answer.headers().clone());
                let body: Value = answer.json().await.unwrap();
                assert_eq!((status.as_u16(), &body["code"]), (404, &json!("not_found")), "{path}");
                assert!(body["message"].as_str().unwrap().contains("PROJECT_PASS_THROUGH"));
                assert_eq!(headers["access-control-allow-origin"], "*", "{path}");
            }
        }
        world.sweep().await;
        let health = world.http().get(format!("{gateway}/functions/v1/health")).send().await;
        assert_eq!(health.unwrap().status(), 200);
        let page = world.http().get(&gateway).send().await.unwrap();
        assert_eq!(page.status(), 200);
    });
}

/// A server in place of the project: it records the head of each request and gives each the same
/// answer, in which `{project}` is its own address and `{file}` the path of a file in the bucket
/// `a`.
struct RecordedProject {
    url: String,
    heads: Arc<Mutex<Vec<String>>>,
}

impl RecordedProject {
    async fn start(answer: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let heads = Arc::<Mutex<Vec<String>>>::default();
        let (own, recorded) = (url.clone(), Arc::clone(&heads));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let head = head_of(&mut stream).await;
                let path = head.split(' ').nth(1).unwrap_or_default();
                let file = path.split_once("/public/a/").map_or("", |(_, file)| file);
                let answer = answer.replace("{project}", &own).replace("{file}", file);
                recorded.lock().unwrap().push(head);
                // A caller that disconnects in the middle is no failure of the server.
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        Self { url, heads }
    }

    fn last_head(&self) -> String {
        self.heads.lock().unwrap().last().cloned().unwrap_or_default()
    }
}

async fn head_of(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.windows(4).any(|four| four == b"\r\n\r\n") {
        if stream.read_buf(&mut head).await.unwrap_or_default() == 0 {
            break;
        }
    }
    String::from_utf8_lossy(&head).into_owned()
}

/// Restarts the gateway in front of that project, and returns the gateway's URL.
async fn before(world: &mut World, project: &RecordedProject) -> String {
    let vars = BTreeMap::from([("SUPABASE_URL".to_owned(), Some(project.url.clone()))]);
    world.restart_workers(BTreeMap::from([("gateway".to_owned(), vars)])).await;
    world.stack().gateway_url()
}

#[test]
fn a_request_passes_as_it_is_without_the_headers_of_its_hop() {
    e2e::run(async |world| {
        let project = RecordedProject::start(
            "HTTP/1.1 418 Teapot\r\ncontent-length: 2\r\nx-theirs: 1\r\nset-cookie: a=1\r\n\
             set-cookie: b=2\r\naccess-control-allow-origin: https://only.example\r\n\
             connection: close\r\n\r\nhi",
        )
        .await;
        let gateway = before(world, &project).await;
        let path = "/rest/v1/a%2Fb?select=*&x=%20%27";
        let answer = world
            .http()
            .patch(format!("{gateway}{path}"))
            .header("authorization", "Bearer the-callers-own")
            .header("apikey", "the-callers-key")
            .header("prefer", "return=minimal")
            .header("proxy-authorization", "secret")
            .header("x-forwarded-host", "elsewhere.example")
            .header("x-hop", "1")
            .header("connection", "x-hop")
            .body("12345")
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 418);
        assert_eq!(answer.headers()["x-theirs"], "1");
        assert_eq!(answer.headers()["access-control-allow-origin"], "https://only.example");
        assert_eq!(answer.headers().get_all("set-cookie").iter().count(), 2);
        assert!(answer.headers().get("x-request-id").is_none(), "nothing of ours is added");
        assert_eq!(answer.text().await.unwrap(), "hi");
        let head = project.last_head().to_lowercase();
        let has = |text: &str| head.contains(&text.to_lowercase());
        assert!(has(&format!("PATCH {path} ")), "{head}");
        for kept in ["bearer the-callers-own", "apikey: the-callers-key", "prefer: return=minimal"]
        {
            assert!(has(kept), "{kept}: {head}");
        }
        for dropped in ["x-hop", "proxy-authorization", "elsewhere.example"] {
            assert!(!has(dropped), "{dropped}: {head}");
        }
        let info = world.stack().info();
        for secret in [&info.service_role_key, &world.stack().keys().secret_key] {
            assert!(!has(secret), "our own key is sent to nobody");
        }
        let url = format!("{gateway}/storage/v1/object/a");
        let preflight = world.http().request("OPTIONS".parse().unwrap(), url).send().await.unwrap();
        assert_eq!(preflight.status(), 418, "CORS is the project's to answer");
    });
}

#[test]
fn redirects_are_passed_on_and_the_projects_own_address_becomes_ours() {
    e2e::run(async |world| {
        let elsewhere = "HTTP/1.1 302 Found\r\ncontent-length: 0\r\nconnection: close\r\n\
            location: https://accounts.example/login?to={project}/auth/v1/callback\r\n\r\n";
        let here = "HTTP/1.1 201 Created\r\ncontent-length: 0\r\nconnection: close\r\n\
            location: {project}/storage/v1/upload/resumable/YQ\r\n\r\n";
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
        let client = client.build().unwrap();
        let location = async |url: String| {
            let answer = client.post(url).body("").send().await.unwrap();
            let location = answer.headers()["location"].to_str().unwrap().to_owned();
            (answer.status().as_u16(), location)
        };
        let project = RecordedProject::start(elsewhere).await;
        let gateway = before(world, &project).await;
        let answer = location(format!("{gateway}/auth/v1/authorize?provider=x")).await;
        let callback = format!("{}/auth/v1/callback", project.url);
        let there = format!("https://accounts.example/login?to={callback}");
        assert_eq!(answer, (302, there));
        assert_eq!(project.heads.lock().unwrap().len(), 1, "no redirect is followed");
        let project = RecordedProject::start(here).await;
        let gateway = before(world, &project).await;
        let answer = location(format!("{gateway}/storage/v1/upload/resumable")).await;
        assert_eq!(answer, (201, format!("{gateway}/storage/v1/upload/resumable/YQ")));
    });
}

#[test]
fn a_domain_of_ones_own_is_an_address_like_any_other() {
    e2e::run(async |world| {
        let (host, gateway) = ("jobs.example.com", world.stack().gateway_url());
        let at = |path: &str| world.http().post(format!("{gateway}{path}")).header("host", host);
        let mut order = Order::new(world).await;
        // The app's own storage client names the file by this address.
        let own = format!("http://{host}");
        order.body["imageUrl"] = order.urls()[0].replace(&world.stack().info().url, &own).into();
        let run = at("/functions/v1/runninghub-upscaler/run").bearer_auth(&order.user.token);
        let answer = run.json(&order.body).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
        order.assert_completed(world).await;
        let upload = at("/storage/v1/upload/resumable")
            .bearer_auth(&order.user.token)
            .header("apikey", &world.stack().info().anon_key)
            .header("tus-resumable", "1.0.0")
            .header("upload-length", "1")
            .header("upload-metadata", metadata(&format!("{}/{}/a.png", order.user.id, order.job)));
        let begun = upload.body("").send().await.unwrap();
        let location = begun.headers()["location"].to_str().unwrap();
        assert!(location.starts_with(&format!("{own}/storage/v1/upload/resumable/")), "{location}");
    });
}

/// The metadata of a resumable upload of a picture.
fn metadata(path: &str) -> String {
    let fields = [("bucketName", "uploads"), ("objectName", path), ("contentType", "image/png")];
    fields.map(|(name, value)| format!("{name} {}", STANDARD.encode(value))).join(",")
}

#[test]
fn a_file_that_a_browser_would_run_is_confined_on_the_pages_origin() {
    e2e::run(async |world| {
        let project = RecordedProject::start(
            "HTTP/1.1 200 OK\r\ncontent-type: {file}\r\ncontent-length: 6\r\n\
             x-theirs: 1\r\nconnection: close\r\n\r\n<svg/>",
        )
        .await;
        let gateway = before(world, &project).await;
        // A browser runs the first, and guesses the type of the next three from their content.
        for (kind, policy) in [
            ("image/svg+xml", Some("sandbox")),
            ("*/*", Some("sandbox")),
            ("unknown/unknown", Some("sandbox")),
            ("", Some("sandbox")),
            ("image/png", None),
        ] {
            let url = format!("{gateway}/storage/v1/object/public/a/{kind}");
            let answer = world.http().get(url).send().await.unwrap();
            let header = |name: &str| answer.headers().get(name).map(|it| it.to_str().unwrap());
            assert_eq!(header("content-security-policy"), policy, "{kind}");
            assert_eq!(header("x-content-type-options"), Some("nosniff"), "{kind}");
            assert_eq!((header("x-theirs"), answer.status().as_u16()), (Some("1"), 200));
            assert_eq!(answer.text().await.unwrap(), "<svg/>");
        }
    });
}

#[test]
fn a_body_that_the_platform_would_refuse_is_refused_in_words() {
    e2e::run(async |world| {
        let gateway = world.stack().gateway_url();
        let host = gateway.trim_start_matches("http://");
        let mut stream = TcpStream::connect(host).await.unwrap();
        let length = 95 * 1024 * 1024 + 1;
        let head = format!(
            "PUT /storage/v1/object/uploads/a HTTP/1.1\r\nhost: {host}\r\n\
             content-length: {length}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = head_of(&mut stream).await;
        // The body may arrive after the head.
        while !answer.contains('}') && stream.readable().await.is_ok() {
            let mut more = vec![0; 4096];
            match stream.read(&mut more).await {
                Ok(read) if read > 0 => answer += &String::from_utf8_lossy(&more[..read]),
                _ => break,
            }
        }
        assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
        assert!(answer.contains("payload_too_large") && answer.contains("TUS"), "{answer}");
    });
}

#[test]
fn a_project_that_does_not_answer_is_a_503_of_the_contract() {
    e2e::run(async |world| {
        let vars = |url: &str| BTreeMap::from([("SUPABASE_URL".to_owned(), Some(url.to_owned()))]);
        world
            .restart_workers(BTreeMap::from([("gateway".to_owned(), vars("http://127.0.0.1:9"))]))
            .await;
        let (status, code, has_cors) = asked(world).await;
        assert_eq!((status, code.as_str(), has_cors), (503, "upstream_unavailable", true));
        // With its own address as the project's, the gateway would call itself.
        let own = vars(&world.stack().gateway_url());
        world.restart_workers(BTreeMap::from([("gateway".to_owned(), own)])).await;
        let (status, code, _) = asked(world).await;
        assert_eq!((status, code.as_str()), (500, "misconfigured"));
    });
}

/// The status, the code, and whether a browser may read them.
async fn asked(world: &World) -> (u16, String, bool) {
    let url = format!("{}/rest/v1/jobs", world.stack().gateway_url());
    let answer = world.http().get(url).send().await.unwrap();
    let has_cors = answer.headers().contains_key("access-control-allow-origin");
    let status = answer.status().as_u16();
    let body: Value = answer.json().await.unwrap();
    (status, body["code"].as_str().unwrap_or_default().to_owned(), has_cors)
}
