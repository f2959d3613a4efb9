//! The public origin: health, rules that hold for every function, and what is answered after faults
//! of our own.

use std::collections::BTreeMap;

use futures::future::join_all;
use serde_json::{Value, json};
use unstuck_tests::assert_has;
use unstuck_tests::e2e::{self, FunctionCall, TestUser, World};
use uuid::Uuid;

/// Every function and operation, with the methods it takes.
const TARGETS: [(&str, &str); 24] = [
    ("health", "GET"),
    ("openapi.json", "GET"),
    ("quote", "POST"),
    ("runninghub-upscaler/run", "POST"),
    ("runninghub-upscaler/queue-status", "GET, POST"),
    ("runninghub-video-upscaler/run", "POST"),
    ("runninghub-video-upscaler/queue-status", "GET, POST"),
    ("runninghub-pose-changer/run", "POST"),
    ("runninghub-pose-changer/queue-status", "GET, POST"),
    ("runninghub-veste-ai/run", "POST"),
    ("runninghub-veste-ai/queue-status", "GET, POST"),
    ("runninghub-queue-manager/check", "GET, POST"),
    ("runninghub-queue-manager/check-user-active", "GET, POST"),
    ("runninghub-queue-manager/cancel", "POST"),
    ("runninghub-queue-manager/cancel-session", "POST"),
    ("runninghub-queue-manager/leave-session", "POST"),
    ("runninghub-queue-manager/stay", "POST"),
    ("runninghub-queue-manager/process-next", "POST"),
    ("runninghub-queue-manager/reconcile", "POST"),
    ("runninghub-queue-manager/status", "GET, POST"),
    ("admin-cancel-job", "POST"),
    ("cleanup-stale-jobs", "GET, POST"),
    ("create-generation-job-banana", "GET, POST"),
    ("process-generation-tasks-banana", "GET, POST"),
];

/// Functions that the contract does not name.
const UNNAMED: [&str; 3] = ["gateway", "panicking", "placed-run"];

const REQUEST_HEADERS: &str = "authorization, apikey, content-type, x-client-info, \
    x-retry-count, x-region, idempotency-key, x-request-id, traceparent, tracestate, baggage, \
    sentry-trace";

async fn health(world: &World) -> (u16, Value) {
    let answer = world.get("health").send().await;
    (answer.status, answer.json)
}

/// Waits for an answer of health that is so. The gateway keeps an answer for some seconds.
async fn until_health(world: &World, what: &str, is_so: impl Fn(u16, &Value) -> bool) -> Value {
    let look = async || {
        Some(health(world).await)
            .filter(|(status, body)| is_so(*status, body))
            .map(|(_, body)| body)
    };
    world.until(&format!("health tells: {what}"), look).await
}

#[test]
fn health_is_what_the_last_sweep_stored() {
    e2e::run(async |world| {
        let good = |status, body: &Value| {
            let age = body["lastSweepSeconds"].as_i64();
            let none = body["stuck"] == 0 && body["violations"] == 0;
            status == 200 && body["ok"] == true && none && age.is_some_and(|age| age < 120)
        };
        until_health(world, "all is well", good).await;

        for (change, field, value) in [
            ("finished_at = clock_timestamp() - interval '125 seconds'", "stuck", json!(0)),
            ("finished_at = clock_timestamp(), stuck = 1", "stuck", json!(1)),
            ("stuck = 0, violations = 2", "violations", json!(2)),
        ] {
            world.db().exec(&format!("update unstuck.sweeps set {change}")).await;
            let told =
                |status, body: &Value| status == 503 && body["ok"] == false && body[field] == value;
            until_health(world, change, told).await;
        }
        world.db().exec("update unstuck.sweeps set finished_at = null").await;
        let never = |status, body: &Value| {
            status == 503 && body["ok"] == false && body["lastSweepSeconds"].is_null()
        };
        until_health(world, "no sweep has ended", never).await;

        world.sweep().await;
        until_health(world, "all is well again", good).await;
    });
}

#[test]
fn health_is_asked_of_the_database_every_five_seconds_and_no_more() {
    e2e::run(async |world| {
        // Each answer contains the number of its call, and the database keeps the time of each
        // call.
        let recorder = "
            create table unstuck.asked (
              number int generated always as identity,
              at timestamptz default clock_timestamp()
            );
            alter function unstuck.health_v2() rename to health_before;
            create function unstuck.health_v2()
            returns table (
              last_sweep_seconds int, stuck int, violations int, edge_seconds int,
              sql_seconds int, queues_seconds int, degraded jsonb, wrong_deployment boolean
            )
            language plpgsql security definer set search_path = '' as $$
            begin
              insert into unstuck.asked default values returning 1, number, 0, false
              into last_sweep_seconds, stuck, violations, wrong_deployment;
              perform pg_sleep(0.3);
              return next;
            end $$;
            grant execute on function unstuck.health_v2() to service_role";
        world.db().exec(recorder).await;
        let mut told = std::collections::BTreeSet::new();
        let twice = async || {
            let all = join_all((0..40).map(|_| health(world))).await;
            told.extend(all.into_iter().filter_map(|(_, body)| body["stuck"].as_i64()));
            Some(world.count("asked").await).filter(|n| *n >= 2)
        };
        let times = world.until("the database is asked a second time", twice).await;
        let apart = "select min(extract(epoch from apart))::float8 from
            (select at - lag(at) over (order by at) as apart from unstuck.asked) questions";
        let apart = world.db().value(apart).await.as_f64().expect("seconds");
        assert!(apart >= 5.0, "asked {times} times, {apart} s apart: {told:?}");
        // The gateway may still give the answer that it kept from before.
        assert!(told.len() as i64 <= times + 1, "asked {times} times: {told:?}");
        let usual = "drop function unstuck.health_v2();
            alter function unstuck.health_before() rename to health_v2;
            drop table unstuck.asked";
        world.db().exec(usual).await;
    });
}

#[test]
fn health_shows_what_a_sweep_found() {
    e2e::run(async |world| {
        world.expect_violations();
        let user = world.user(1).await;
        until_health(world, "all is well", |status, _| status == 200).await;
        world
            .db()
            .exec(&format!(
                "update unstuck.credit_accounts set balance = balance + 5 where user_id = '{}'",
                user.id
            ))
            .await;
        let (status, _) = health(world).await;
        assert_eq!(status, 200, "it never scans");
        world.sweep().await;
        until_health(world, "one violation", |status, body| {
            status == 503 && body["violations"] == 1
        })
        .await;
    });
}

#[test]
fn options_come_before_everything() {
    e2e::run(async |world| {
        let others = ["no-such-function", "runninghub-upscaler/no-such-op", "provider-webhook/x"];
        for target in TARGETS.iter().map(|(target, _)| *target).chain(others) {
            let preflight =
                world.call_with("OPTIONS", target).header("access-control-request-method", "POST");
            let answer = preflight.header("authorization", "Bearer garbage").send().await;
            assert_eq!(answer.status, 204, "{target}");
            assert!(answer.text.is_empty(), "{target}");
            let allowed = answer.header("access-control-allow-headers").to_lowercase();
            for name in REQUEST_HEADERS.split(", ") {
                assert!(
                    allowed.split(',').any(|found| found.trim() == name),
                    "{target}: {name} in {allowed}"
                );
            }
            let methods = answer.header("access-control-allow-methods");
            assert!(methods.contains("GET") && methods.contains("POST"), "{target}: {methods}");
        }
    });
}

#[test]
fn what_is_not_there_is_not_found() {
    e2e::run(async |world| {
        let user = world.user(1).await;
        for target in [
            "no-such-function",
            "",
            "ASSETS",
            "assets",
            "RUNNINGHUB_UPSCALER",
            "runninghub-upscaler",
            "runninghub-upscaler/no-such-op",
            "runninghub-upscaler/run/more",
            "runninghub-queue-manager/",
            "admin-cancel-job/more",
            "supabase-url",
        ] {
            world.call(target).by(&user).json(&json!({})).refused(404, "not_found").await;
        }
    });
}

#[test]
fn what_lies_outside_the_functions_answers_alike() {
    e2e::run(async |world| {
        let ask = async |method: &str, path: &str| {
            let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
            let request =
                world.http().request(method, format!("{}{path}", world.stack().info().url));
            request.header("x-request-id", "page-1").send().await.unwrap()
        };
        for (method, path, status, code) in [
            ("GET", "/", 200, None),
            ("GET", "/no-such-page", 404, Some("not_found")),
            ("GET", "/functions/v1", 404, Some("not_found")),
            ("POST", "/", 405, Some("method_not_allowed")),
        ] {
            let answer = ask(method, path).await;
            let what = format!("{method} {path}");
            assert_eq!(answer.status().as_u16(), status, "{what}");
            let header =
                |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok());
            assert_eq!(header("access-control-allow-origin"), Some("*"), "{what}");
            assert_eq!(header("x-request-id"), Some("page-1"), "{what}");
            assert_eq!(header("allow"), (status == 405).then_some("GET, HEAD, OPTIONS"), "{what}");
            let text = answer.text().await.unwrap();
            match code {
                None => assert!(text.contains("<html"), "{what}: {text}"),
                Some(code) => {
                    let body: Value = serde_json::from_str(&text).unwrap();
                    assert_has!(body, { "code": code, "request_id": "page-1" }, "{what}: {text}");
                }
            }
        }
    });
}

#[test]
fn a_wrong_method_is_told_the_right_ones() {
    e2e::run(async |world| {
        for (target, methods) in TARGETS {
            for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
                if methods.contains(method) {
                    continue;
                }
                let answer = world.call_with(method, target).send().await;
                let allow = answer.header("allow").to_owned();
                answer.expect_refusal(405, "method_not_allowed");
                for right in methods.split(", ") {
                    assert!(allow.split(", ").any(|found| found == right), "{target}: {allow}");
                }
            }
        }
    });
}

#[test]
fn bodies_that_cannot_be_meant() {
    e2e::run(async |world| {
        let user = world.user(1).await;
        let run = || {
            world
                .call("runninghub-upscaler/run")
                .by(&user)
                .header("content-type", "application/json")
        };
        for body in [
            "{",
            "nonsense",
            "[]",
            "\"text\"",
            "7",
            "null",
            "{\"imageUrl\": \"\\u0000\"}",
            "\u{feff}x",
        ] {
            run().body(body).refused(400, "bad_request").await;
        }
        run().body(&[0xff_u8, 0xfe][..]).refused(400, "bad_request").await;
        for (field, value) in
            [("imageUrl", json!(7)), ("jobId", json!({})), ("resolution", json!("big"))]
        {
            let mut body = json!({ "imageUrl": "https://example.com/a.png" });
            body[field] = value;
            let refusal = run().json(&body).refused(400, "bad_request").await;
            assert!(
                refusal["message"].as_str().is_some_and(|text| text.contains(field)),
                "{field}: {refusal}"
            );
        }
        assert_eq!(world.count("jobs").await, 0);
    });
}

#[test]
fn too_large_is_refused_whether_the_length_is_told_or_not() {
    e2e::run(async |world| {
        let user = world.user(1).await;
        let text = format!("{{\"prompt\": \"{}\"}}", "x".repeat(256 * 1024));
        let run = || world.call("runninghub-upscaler/run").by(&user);
        run().body(text.clone()).refused(413, "payload_too_large").await;
        let chunks: Vec<Result<String, std::io::Error>> = text
            .as_bytes()
            .chunks(4096)
            .map(|chunk| Ok(String::from_utf8_lossy(chunk).into_owned()))
            .collect();
        let stream = reqwest::Body::wrap_stream(futures::stream::iter(chunks));
        run().body(stream).refused(413, "payload_too_large").await;
        let just_right = format!("{{\"unknown\": \"{}\"}}", "x".repeat(256 * 1024 - 15));
        assert_eq!(just_right.len(), 256 * 1024);
        run().body(just_right).refused(400, "bad_request").await;
    });
}

#[test]
fn an_empty_body_is_an_empty_object_and_the_unknown_is_ignored() {
    e2e::run(async |world| {
        let user = world.user(1).await;
        let check = || world.call("runninghub-queue-manager/check-user-active").by(&user);
        assert_eq!(check().ok().await["hasActiveJob"], false);
        assert_eq!(check().body("").ok().await["hasActiveJob"], false);
        assert_eq!(
            check().json(&json!({ "unknown": [1], "userId": "x" })).ok().await["hasActiveJob"],
            false
        );
        let odd = world
            .call("runninghub-queue-manager/check-user-active?unknown=1&forceFunctionRegion=eu")
            .by(&user);
        assert_eq!(odd.ok().await["hasActiveJob"], false);
        let refusal =
            world.call("runninghub-upscaler/run").by(&user).refused(400, "bad_request").await;
        assert!(
            refusal["message"].as_str().is_some_and(|text| text.contains("imageUrl")),
            "{refusal}"
        );
    });
}

#[test]
fn a_request_id_is_echoed_if_sane_and_else_made() {
    e2e::run(async |world| {
        let targets = [
            "health",
            "runninghub-queue-manager/check",
            "no-such-function",
            "runninghub-upscaler/no-such-op",
        ];
        for target in targets {
            let sane = world.get(target).header("x-request-id", "req-1.a:B_2").send().await;
            assert_eq!(sane.header("x-request-id"), "req-1.a:B_2", "{target}");
            let odd = world.get(target).header("x-request-id", "a b<script>").send().await;
            assert!(
                odd.header("x-request-id").parse::<Uuid>().is_ok(),
                "{target}: {}",
                odd.header("x-request-id")
            );
            let (one, two) = (world.get(target).send().await, world.get(target).send().await);
            assert_ne!(one.header("x-request-id"), two.header("x-request-id"), "{target}");
        }
    });
}

/// The named variables, each taken from one function.
fn without(missing: &[(&str, &str)]) -> e2e::world::Overrides {
    let mut overrides = BTreeMap::<_, BTreeMap<_, _>>::new();
    for (function, name) in missing {
        overrides.entry((*function).to_owned()).or_default().insert((*name).to_owned(), None);
    }
    overrides
}

#[test]
fn a_missing_secret_is_said_so_and_nothing_is_charged() {
    e2e::run(async |world| {
        let missing = [
            ("gateway", "SUPABASE_URL"),
            ("runninghub-upscaler", "WEBHOOK_SECRET"),
            ("runninghub-queue-manager", "RUNNINGHUB_API_KEY"),
            ("admin-cancel-job", "SUPABASE_SERVICE_ROLE_KEY"),
            ("cleanup-stale-jobs", "SUPABASE_URL"),
        ];
        world.restart_workers(without(&missing)).await;
        let user = world.user(1).await;
        let body = world.order_body(&user, Uuid::new_v4(), json!({})).await;
        let calls = [
            world.get("health"),
            world.call("runninghub-upscaler/run").by(&user).json(&body),
            world.call("runninghub-queue-manager/check").by(&user),
            world.call("admin-cancel-job").by(&user),
            world.call("cleanup-stale-jobs").by_service(),
        ];
        for (call, (function, name)) in calls.into_iter().zip(missing) {
            let answer = call.send().await;
            assert_eq!(
                (answer.status, answer.json["code"].as_str()),
                (500, Some("misconfigured")),
                "{function}: {}",
                answer.text
            );
            assert!(answer.text.contains(name), "{function}: {}", answer.text);
        }
        assert_eq!(world.balance(&user).await, 1000);
        assert_eq!(world.count("jobs").await, 0);
    });
}

#[test]
fn a_database_that_does_not_answer_is_a_503() {
    e2e::run(async |world| {
        let elsewhere = Some("http://127.0.0.1:9".to_owned());
        let vars = |function: &str| {
            (function.to_owned(), BTreeMap::from([("SUPABASE_URL".to_owned(), elsewhere.clone())]))
        };
        world
            .restart_workers(BTreeMap::from([vars("gateway"), vars("runninghub-queue-manager")]))
            .await;
        let user = world.user(1).await;
        let health = world.get("health").send().await;
        assert_eq!(health.status, 503, "{}", health.text);
        world
            .call("runninghub-queue-manager/check")
            .by(&user)
            .refused(503, "upstream_unavailable")
            .await;
    });
}

#[test]
fn a_panic_is_an_answer_and_the_next_request_works() {
    e2e::run(async |world| {
        for _ in 0..3 {
            let panics = world.call("panicking").json(&json!({ "panic": true }));
            // The platform may also cancel the request, and then there is no answer.
            if let Some(answer) = panics.try_send().await {
                answer.expect_refusal(500, "internal");
            }
            assert_eq!(world.call("panicking").ok().await["ok"], true);
        }
        let requests = (0..8).map(|number| {
            world.call("panicking").json(&json!({ "panic": number == 3 })).try_send()
        });
        for answer in join_all(requests).await.into_iter().flatten() {
            assert!(
                answer.status == 200 || answer.json["code"] == "internal",
                "{} {}",
                answer.status,
                answer.text
            );
        }
        assert_eq!(world.call("panicking").ok().await["ok"], true);
    });
}

#[test]
fn one_user_too_fast_is_told_when_to_come_back_and_no_other_is() {
    e2e::run(async |world| {
        let (fast, other) = (world.new_user(60).await, world.new_user(60).await);
        // The input is not an input of ours: it is refused with 400 until the rate limit refuses
        // it.
        let body = json!({ "imageUrl": "https://example.com/a.png" });
        let run = |user| world.call("runninghub-upscaler/run").by(user).json(&body).send();
        let look = async || Some(run(&fast).await).filter(|answer| answer.status != 400);
        let answer = world.until("too many", look).await;
        assert_eq!(answer.header("retry-after"), "60");
        answer.expect_refusal(429, "rate_limited");
        run(&other).await.expect_refusal(400, "bad_request");
        assert_eq!(world.get("runninghub-queue-manager/check").by(&fast).send().await.status, 200);
        assert_eq!(world.balance(&fast).await, 60);
    });
}

/// How many of these calls pass before the first is refused, within one minute of the limiter.
#[expect(clippy::disallowed_methods, reason = "the limiter counts by the clock's minutes")]
async fn let_through<'w>(
    world: &'w World,
    call: impl Fn(TestUser) -> FunctionCall<'w>,
) -> (TestUser, usize) {
    let minute = || {
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() / 60
    };
    loop {
        let (user, began, mut passed) = (world.new_user(60).await, minute(), 0);
        loop {
            let answers = join_all((0..20).map(|_| call(user.clone()).send())).await;
            let good = answers.iter().filter(|answer| answer.status == 200).count();
            passed += good;
            if good < answers.len() {
                for refused in answers.into_iter().filter(|answer| answer.status != 200) {
                    assert_eq!(refused.header("retry-after"), "60");
                    refused.expect_refusal(429, "rate_limited");
                }
                break;
            }
        }
        if minute() == began {
            return (user, passed);
        }
    }
}

#[test]
fn what_costs_nothing_is_limited_too_and_looking_is_counted_apart() {
    e2e::run(async |world| {
        let close = json!({ "sessionId": "a page" });
        let cancel = |user: TestUser| {
            world.call("runninghub-queue-manager/cancel-session").by(&user).json(&close)
        };
        let (user, passed) = let_through(world, cancel).await;
        assert_eq!(passed, 240);
        // The limit is one count over all functions, and over all ways to fail.
        let named = json!({ "table": "upscaler_jobs", "jobId": Uuid::new_v4() });
        for other in [
            "runninghub-queue-manager/cancel",
            "runninghub-queue-manager/check-user-active",
            "admin-cancel-job",
            "admin-retry-job",
        ] {
            world.call(other).by(&user).json(&named).refused(429, "rate_limited").await;
        }
        let zip = format!("generate-website?id={}&format=zip", Uuid::new_v4());
        world.get(&zip).by(&user).refused(429, "rate_limited").await;
        // Queries and orders go on, and so do other users.
        world.get("runninghub-queue-manager/check").by(&user).ok().await;
        world
            .get(&format!("generate-website?id={}", Uuid::new_v4()))
            .by(&user)
            .refused(404, "not_found")
            .await;
        world.order(&user).await;
        let other = world.user(1).await;
        world.call("runninghub-queue-manager/cancel-session").by(&other).json(&close).ok().await;
        let body = json!({ "userId": user.id });
        for _ in 0..10 {
            world
                .call("runninghub-queue-manager/check-user-active")
                .by_service()
                .json(&body)
                .ok()
                .await;
        }
    });
}

#[test]
fn looks_are_limited_over_all_functions() {
    e2e::run(async |world| {
        let look = |user: TestUser| world.get("runninghub-queue-manager/check").by(&user);
        let (user, passed) = let_through(world, look).await;
        assert_eq!(passed, 600);
        let job = json!({ "jobId": Uuid::new_v4() });
        world
            .call("runninghub-upscaler/queue-status")
            .by(&user)
            .json(&job)
            .refused(429, "rate_limited")
            .await;
        world
            .get(&format!("replicate-async-status?task_id={}", Uuid::new_v4()))
            .by(&user)
            .refused(429, "rate_limited")
            .await;
        world
            .get(&format!("create-generation-job-banana?jobId={}", Uuid::new_v4()))
            .by(&user)
            .refused(429, "rate_limited")
            .await;
        world.call("runninghub-queue-manager/check-user-active").by(&user).ok().await;
    });
}

#[test]
fn a_body_of_nothing_but_fields_costs_no_more_than_one_of_text() {
    e2e::run(async |world| {
        let user = world.user(1).await;
        let fields: Vec<String> = (0..23_700).map(|number| format!("\"f{number}\":1")).collect();
        let flat = format!("{{{}}}", fields.join(","));
        assert!((240 * 1024..256 * 1024).contains(&flat.len()), "{}", flat.len());
        let nested = format!("{{\"table\":\"upscaler_jobs\",\"x\":[[{flat}]]}}");
        for target in
            ["runninghub-queue-manager/cancel", "runninghub-upscaler/run", "replicate-async-start"]
        {
            for body in [&flat, &nested] {
                let within = async || {
                    let began = tokio::time::Instant::now();
                    let answer = world.call(target).by(&user).body(body.clone()).send().await;
                    let took = began.elapsed();
                    assert_eq!(
                        answer.expect_refusal(400, "bad_request")["message"]
                            .as_str()
                            .map(|text| text.contains("100 fields")),
                        Some(true)
                    );
                    (took < std::time::Duration::from_millis(50)).then_some(())
                };
                // On an idle machine it takes 10 ms; work that grows with the square of the number
                // of fields would take a minute.
                world.until("it is refused within 50 ms", within).await;
            }
        }
    });
}

#[test]
fn the_contract_is_served_valid_and_names_every_function() {
    e2e::run(async |world| {
        let served = world.get("openapi.json").ok().await;
        assert_eq!(served["openapi"], "3.1.0");
        let verdict = world.node("client/contract.mjs", &served);
        assert_eq!(verdict, json!({ "valid": true, "errors": [] }));
        let named: Vec<&str> = e2e::openapi::paths()
            .filter_map(|(path, _)| path.trim_start_matches('/').split('/').next())
            .collect();
        for dir in xtask::build::all().unwrap() {
            let name = dir.file_name().unwrap().to_string_lossy().into_owned();
            assert!(
                UNNAMED.contains(&name.as_str()) || named.contains(&name.as_str()),
                "openapi.yaml lacks {name}"
            );
        }
        // This tests the checker itself: it reports an answer that only resembles the right one.
        let stuck = json!({ "success": true, "jobId": Uuid::new_v4(), "status": "stuck",
            "creditsCharged": 60, "balance": 1 });
        assert!(
            e2e::openapi::contract_breach("POST", "runninghub-upscaler/run", 200, &stuck).is_some()
        );
        assert!(
            e2e::openapi::contract_breach("POST", "runninghub-upscaler/run", 201, &json!({}))
                .is_some()
        );
        assert!(
            e2e::openapi::contract_breach("POST", "runninghub-upscaler/walk", 200, &json!({}))
                .is_some()
        );
    });
}

#[test]
fn pages_are_confined_to_this_origin_and_the_project() {
    e2e::run(async |world| {
        let info = world.stack().info();
        for path in
            ["/tsconfig.json", "/.assetsignore", "/build/../tsconfig.json", "/%74sconfig.json"]
        {
            let answer = world.http().get(format!("{}{path}", info.url)).send().await.unwrap();
            assert_eq!(answer.status(), 404, "{path} is for no page");
        }
        for path in ["/", "/admin", "/studio.js", "/style.css", "/build/supabase.js"] {
            let answer = world.http().get(format!("{}{path}", info.url)).send().await.unwrap();
            assert_eq!(answer.status(), 200, "{path}");
            let header =
                |name: &str| answer.headers()[name].to_str().unwrap_or_default().to_owned();
            let policy = header("content-security-policy");
            for part in [
                "default-src 'none'",
                "script-src 'self';",
                "style-src 'self';",
                "frame-ancestors 'none'",
                "frame-src 'self';",
                "require-trusted-types-for 'script'",
                &format!("connect-src 'self' {} {};", info.url, info.url.replacen("http", "ws", 1)),
            ] {
                assert!(policy.contains(part), "{path}: {part} in {policy}");
            }
            assert!(!policy.contains("unsafe") && !policy.contains('*'), "{path}: {policy}");
            assert_eq!(
                (header("x-content-type-options"), header("referrer-policy")),
                ("nosniff".into(), "no-referrer".into())
            );
        }
        let preview = format!("{}/studio/preview", info.url);
        let answer = world.http().get(&preview).send().await.unwrap();
        let policy = answer.headers()["content-security-policy"].to_str().unwrap();
        for part in ["sandbox allow-scripts;", "default-src 'none'", "frame-ancestors 'self'"] {
            assert!(policy.contains(part), "{part} in {policy}");
        }
        assert!(!policy.contains("connect-src") && !policy.contains("http"), "{policy}");
        let settings = world.http().get(format!("{}/config.json", info.url)).send().await.unwrap();
        let settings: Value = settings.json().await.unwrap();
        assert_eq!(
            settings,
            json!({
                "supabaseUrl": info.url,
                "supabaseKey": info.anon_key,
                "uploadsBucket": "uploads",
                "buyUrl": null,
                "logsUrl": null,
            }),
            "public, and nothing else"
        );
    });
}
