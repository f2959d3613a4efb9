//! Who may call what: each caller of the contract's table with each operation, through the public
//! origin; and whose signing keys the functions accept.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::future::join_all;
use serde_json::{Value, json};
use unstuck_tests::e2e::keys::{Es256Key, hs256_token, new_key, unsigned_token, with_claims};
use unstuck_tests::e2e::proxy::FrontDoorProxy;
use unstuck_tests::e2e::user::{now_s, user_claims};
use unstuck_tests::e2e::world::Overrides;
use unstuck_tests::e2e::{self, TestUser, World};
use uuid::Uuid;
use xtask::stack::Signing;

/// Who the credentials say that the caller is: the columns of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    Nobody,
    User,
    Other,
    Anonymous,
    Admin,
    Service,
    Scheduler,
}

/// The headers that one kind of caller sends.
struct Presented {
    name: &'static str,
    who: Who,
    authorization: Option<String>,
    apikey: Option<String>,
}

/// One operation, its body, and the answer to each kind of caller from `Nobody` to `Scheduler`.
struct AccessCase {
    target: String,
    body: Value,
    answers: [&'static str; 7],
}

/// The rows of the table. The job belongs to `Who::User` and runs.
fn table(user: &TestUser, job: Uuid) -> Vec<AccessCase> {
    let row = |target: &str, body: Value, answers| AccessCase {
        target: target.to_owned(),
        body,
        answers,
    };
    let named = json!({ "table": "upscaler_jobs", "jobId": job });
    let unknown = json!({ "table": "upscaler_jobs", "jobId": Uuid::new_v4() });
    let queue = |op: &str| format!("runninghub-queue-manager/{op}");
    let webhook = format!("provider-webhook/runninghub/{job}/1/1/{}", "0".repeat(32));
    const NO: &str = "401 unauthorized";
    const NOT_YOU: &str = "403 forbidden";
    const NONE: &str = "404 not_found";
    const BAD: &str = "400 bad_request";
    vec![
        // The order is empty, so a caller who may order is told which field is missing.
        row("runninghub-upscaler/run", json!({}), [NO, BAD, BAD, NOT_YOU, BAD, NOT_YOU, NO]),
        row(
            "runninghub-upscaler/queue-status",
            json!({ "jobId": job }),
            [NO, "200", NONE, NONE, NONE, NOT_YOU, NO],
        ),
        row("runninghub-video-upscaler/run", json!({}), [NO, BAD, BAD, NOT_YOU, BAD, NOT_YOU, NO]),
        row("runninghub-pose-changer/run", json!({}), [NO, BAD, BAD, NOT_YOU, BAD, NOT_YOU, NO]),
        row("runninghub-veste-ai/run", json!({}), [NO, BAD, BAD, NOT_YOU, BAD, NOT_YOU, NO]),
        // The job is one of another tool, so its owner finds no job here either.
        row(
            "runninghub-video-upscaler/queue-status",
            json!({ "jobId": job }),
            [NO, NONE, NONE, NONE, NONE, NOT_YOU, NO],
        ),
        row(
            "runninghub-pose-changer/queue-status",
            json!({ "jobId": job }),
            [NO, NONE, NONE, NONE, NONE, NOT_YOU, NO],
        ),
        row(
            "runninghub-veste-ai/queue-status",
            json!({ "jobId": job }),
            [NO, NONE, NONE, NONE, NONE, NOT_YOU, NO],
        ),
        row(&queue("check"), json!({}), [NO, "200", "200", "200", "200", NOT_YOU, NO]),
        row(&queue("check-user-active"), json!({}), [NO, "200", "200", "200", "200", BAD, NO]),
        row(
            &queue("check-user-active"),
            json!({ "userId": user.id }),
            [NO, "200", "200", "200", "200", "200", NO],
        ),
        row(
            &queue("cancel"),
            named.clone(),
            [NO, "409 in_progress", NONE, NONE, NONE, NOT_YOU, NO],
        ),
        row(
            &queue("cancel-session"),
            json!({ "sessionId": "none" }),
            [NO, "200", "200", "200", "200", NOT_YOU, NO],
        ),
        row(
            &queue("leave-session"),
            json!({ "sessionId": "none" }),
            [NO, "200", "200", "200", "200", NOT_YOU, NO],
        ),
        row(
            &queue("stay"),
            json!({ "sessionId": "none" }),
            [NO, "200", "200", "200", "200", NOT_YOU, NO],
        ),
        row(&queue("process-next"), json!({}), [NO, NOT_YOU, NOT_YOU, NOT_YOU, NOT_YOU, "200", NO]),
        row(&queue("reconcile"), named, [NO, NOT_YOU, NOT_YOU, NOT_YOU, "200", "200", NO]),
        row(&queue("status"), json!({}), [NO, NOT_YOU, NOT_YOU, NOT_YOU, "200", "200", NO]),
        row(
            "admin-cancel-job",
            unknown.clone(),
            [NO, NOT_YOU, NOT_YOU, NOT_YOU, NONE, NOT_YOU, NO],
        ),
        row(
            "cleanup-stale-jobs",
            json!({}),
            [NO, NOT_YOU, NOT_YOU, NOT_YOU, NOT_YOU, "200", "200"],
        ),
        row("create-generation-job-banana", json!({}), [NO, BAD, BAD, NOT_YOU, BAD, NOT_YOU, NO]),
        row(
            "process-generation-tasks-banana",
            json!({}),
            [NO, NOT_YOU, NOT_YOU, NOT_YOU, NOT_YOU, "200", "200"],
        ),
        row(
            "cleanup-stale-generations",
            json!({}),
            [NO, NOT_YOU, NOT_YOU, NOT_YOU, NOT_YOU, "200", "200"],
        ),
        row(
            "replicate-async-worker",
            json!({}),
            [NO, NOT_YOU, NOT_YOU, NOT_YOU, NOT_YOU, "200", "200"],
        ),
        row(
            "replicate-prediction-checker",
            json!({}),
            [NO, NOT_YOU, NOT_YOU, NOT_YOU, NOT_YOU, "200", "200"],
        ),
        row("admin-retry-job", unknown, [NO, NOT_YOU, NOT_YOU, NOT_YOU, NONE, NOT_YOU, NO]),
        // Without a record to retry the service has nothing to order. `generation_retry` tests the
        // whole table of retries.
        row("generate-website", json!({}), [NO, BAD, BAD, NOT_YOU, BAD, BAD, NO]),
        // The token in the address decides alone.
        row(&webhook, json!({}), [NO; 7]),
    ]
}

fn bearer(name: &'static str, who: Who, credential: &str) -> Presented {
    Presented { name, who, authorization: Some(format!("Bearer {credential}")), apikey: None }
}

/// The credentials of a monitor that has one field for a user and one for a password.
fn basic(name: &'static str, who: Who, user: &str, password: &str) -> Presented {
    let pair = STANDARD.encode(format!("{user}:{password}"));
    Presented { name, who, authorization: Some(format!("Basic {pair}")), apikey: None }
}

fn apikey(name: &'static str, who: Who, key: &str) -> Presented {
    Presented { name, who, authorization: None, apikey: Some(key.to_owned()) }
}

impl Presented {
    fn and_apikey(mut self, key: &str) -> Self {
        self.apikey = Some(key.to_owned());
        self
    }
}

/// The users of a test.
struct AccessPeople {
    user: TestUser,
    other: TestUser,
    anonymous: TestUser,
    admin: TestUser,
}

impl AccessPeople {
    async fn of(world: &World) -> Self {
        Self {
            user: world.user(1).await,
            other: world.user(2).await,
            anonymous: world.anonymous().await,
            admin: world.admin(1).await,
        }
    }
}

fn good(world: &World, people: &AccessPeople) -> Vec<Presented> {
    let (info, keys) = (world.stack().info(), world.stack().keys());
    let token = &people.user.token;
    let claims = |change: Value| {
        let mut claims = user_claims(people.user.id);
        merge(&mut claims, change);
        world.token(&claims)
    };
    let service_token = world.token(&json!({ "role": "service_role", "exp": now_s() + 60 }));
    let mut lower = bearer("user, scheme in lower case", Who::User, token);
    lower.authorization = Some(format!("bearer {token}"));
    vec![
        bearer("user", Who::User, token),
        lower,
        bearer("user and anon key", Who::User, token).and_apikey(&info.anon_key),
        bearer("user and publishable key", Who::User, token).and_apikey(&keys.publishable_key),
        bearer("user and service key", Who::User, token).and_apikey(&info.service_role_key),
        bearer("user and secret key", Who::User, token).and_apikey(&keys.secret_key),
        bearer(
            "user, audience in a list",
            Who::User,
            &claims(json!({ "aud": ["other", "authenticated"] })),
        ),
        bearer(
            "user, expired within the leeway",
            Who::User,
            &claims(json!({ "exp": now_s() - 20 })),
        ),
        bearer(
            "user who claims to be an admin",
            Who::User,
            &claims(json!({ "user_metadata": { "role": "admin" }, "app_role": "admin" })),
        ),
        bearer("other user", Who::Other, &people.other.token),
        bearer("anonymous user", Who::Anonymous, &people.anonymous.token),
        bearer("admin", Who::Admin, &people.admin.token),
        bearer("admin and service key", Who::Admin, &people.admin.token)
            .and_apikey(&info.service_role_key),
        bearer("service key as bearer", Who::Service, &info.service_role_key),
        apikey("service key as apikey", Who::Service, &info.service_role_key),
        bearer("service key twice", Who::Service, &info.service_role_key)
            .and_apikey(&info.service_role_key),
        bearer("service key and anon key", Who::Service, &info.service_role_key)
            .and_apikey(&info.anon_key),
        bearer("secret key as bearer", Who::Service, &keys.secret_key),
        apikey("secret key as apikey", Who::Service, &keys.secret_key),
        // A platform's own trigger sends this where a setting is empty.
        Presented {
            name: "service key as apikey and an empty authorization",
            who: Who::Service,
            authorization: Some(String::new()),
            apikey: Some(info.service_role_key.clone()),
        },
        bearer("service token", Who::Service, &service_token),
        bearer("scheduler", Who::Scheduler, &info.cron_secret),
        bearer("scheduler and anon key", Who::Scheduler, &info.cron_secret)
            .and_apikey(&info.anon_key),
        basic("scheduler by password", Who::Scheduler, "any", &info.cron_secret),
        basic("scheduler by password alone", Who::Scheduler, "", &info.cron_secret),
        basic("scheduler by password and service key", Who::Scheduler, "any", &info.cron_secret)
            .and_apikey(&info.service_role_key),
    ]
}

/// Credentials that name no caller by themselves.
fn nobody(world: &World, people: &AccessPeople) -> Vec<Presented> {
    let (info, keys) = (world.stack().info(), world.stack().keys());
    let credentials = [
        ("anon key", info.anon_key.clone()),
        ("publishable key", keys.publishable_key.clone()),
        ("longer than the service key", format!("{}x", info.service_role_key)),
        ("longer than the secret key", format!("{}x", keys.secret_key)),
        ("a secret key's beginning", "sb_secret_".to_owned()),
        ("the project's secret itself", info.jwt_secret.clone()),
    ];
    let mut all = vec![
        Presented { name: "nothing", who: Who::Nobody, authorization: None, apikey: None },
        apikey("empty apikey", Who::Nobody, ""),
        // The platform hides a header without a value from a function, so this caller sends none.
        Presented {
            name: "empty authorization",
            who: Who::Nobody,
            authorization: Some(String::new()),
            apikey: None,
        },
        apikey("user's token as apikey", Who::Nobody, &people.user.token),
        apikey("scheduler as apikey", Who::Nobody, &info.cron_secret),
    ];
    for (name, credential) in credentials {
        all.push(bearer(name, Who::Nobody, &credential));
        all.push(apikey(name, Who::Nobody, &credential));
    }
    all
}

/// Bad credentials. Each is sent alone, and once more beside a good `apikey`, which must not help.
fn bad(world: &World, people: &AccessPeople) -> Vec<Presented> {
    let info = world.stack().info();
    let secret = info.jwt_secret.as_bytes();
    let claims = user_claims(people.user.id);
    let changed = |change: Value| {
        let mut claims = claims.clone();
        merge(&mut claims, change);
        world.token(&claims)
    };
    let service = |exp: i64| json!({ "role": "service_role", "exp": now_s() + exp });
    let header = json!({ "alg": "HS256", "typ": "JWT" });
    let tokens = [
        ("garbage", "garbage".to_owned()),
        ("garbage in three parts", "a.b.c".to_owned()),
        ("empty", String::new()),
        ("a list", format!("{}, Bearer {}", people.user.token, people.user.token)),
        ("expired", changed(json!({ "exp": now_s() - 120 }))),
        ("without an end", changed(json!({ "exp": null }))),
        ("not yet valid", changed(json!({ "nbf": now_s() + 600 }))),
        ("alg none", unsigned_token("none", &claims)),
        ("alg NONE", unsigned_token("NONE", &claims)),
        ("service, alg none", unsigned_token("none", &service(60))),
        (
            "forged with a kid",
            hs256_token(
                b"guessed",
                &json!({ "alg": "HS256", "typ": "JWT", "kid": "known" }),
                &claims,
            ),
        ),
        ("forged with an empty secret", hs256_token(b"", &header, &claims)),
        (
            "another project's",
            hs256_token(b"another-projects-secret-of-32-bytes", &header, &claims),
        ),
        (
            "another project's service",
            hs256_token(b"another-projects-secret-of-32-bytes", &header, &service(60)),
        ),
        (
            "good signature, other algorithm named",
            hs256_token(secret, &json!({ "alg": "HS512", "typ": "JWT" }), &claims),
        ),
        (
            "good signature, extension demanded",
            hs256_token(secret, &json!({ "alg": "HS256", "crit": ["x"], "x": 1 }), &claims),
        ),
        (
            "other claims under a good signature",
            with_claims(&people.user.token, &user_claims(people.admin.id)),
        ),
        ("wrong audience", changed(json!({ "aud": "anon" }))),
        ("wrong audiences", changed(json!({ "aud": ["a", "b"] }))),
        ("no audience", changed(json!({ "aud": null }))),
        ("role anon", changed(json!({ "role": "anon" }))),
        ("role postgres", changed(json!({ "role": "postgres" }))),
        ("no role", changed(json!({ "role": null }))),
        ("no subject", changed(json!({ "sub": null }))),
        ("subject is no UUID", changed(json!({ "sub": "admin" }))),
        ("expired service", world.token(&service(-120))),
    ];
    let mut all: Vec<Presented> =
        tokens.iter().map(|(name, token)| bearer(name, Who::Nobody, token)).collect();
    for (name, authorization) in [
        ("password not encoded", format!("Basic any:{}", info.cron_secret)),
        ("no scheme", people.user.token.clone()),
        ("scheme alone", "Bearer".to_owned()),
        ("scheme and blanks", "Bearer   ".to_owned()),
        ("another scheme alone", "Basic".to_owned()),
        ("a scheme and nothing", "Basic ".to_owned()),
        ("a comma", ",".to_owned()),
    ] {
        all.push(Presented {
            name,
            who: Who::Nobody,
            authorization: Some(authorization),
            apikey: None,
        });
    }
    for (name, user, password) in [
        ("password", "user", "password"),
        ("password and a letter", "any", &*format!("{}x", info.cron_secret)),
        ("scheduler as user name", &*info.cron_secret, ""),
        ("service key as password", "any", &*info.service_role_key),
        ("secret key as password", "any", &*world.stack().keys().secret_key),
        ("user's token as password", "any", &*people.user.token),
    ] {
        all.push(basic(name, Who::Nobody, user, password));
    }
    all
}

fn merge(claims: &mut Value, change: Value) {
    let (Some(claims), Value::Object(change)) = (claims.as_object_mut(), change) else {
        panic!("claims are an object")
    };
    for (name, value) in change {
        match value {
            Value::Null => drop(claims.remove(&name)),
            value => drop(claims.insert(name, value)),
        }
    }
}

/// Checks the answer to one caller of one operation.
async fn check(world: &World, row: &AccessCase, presented: &Presented) {
    let mut call = world.call(&row.target).json(&row.body);
    if let Some(authorization) = &presented.authorization {
        call = call.header("authorization", authorization);
    }
    if let Some(key) = &presented.apikey {
        call = call.apikey(key);
    }
    let answer = call.send().await;
    let found = match answer.json["code"].as_str() {
        Some(code) => format!("{} {code}", answer.status),
        None => answer.status.to_string(),
    };
    let expected = row.answers[presented.who as usize];
    assert_eq!(
        found, expected,
        "{} × {} ({:?}): {}",
        row.target, presented.name, presented.who, answer.text
    );
    for secret in [&presented.authorization, &presented.apikey]
        .into_iter()
        .flatten()
        .filter(|secret| secret.len() > 20)
    {
        let secret = secret.split_once(' ').map_or(&**secret, |(_, value)| value);
        assert!(
            !answer.text.contains(secret),
            "{} × {} tells the credential",
            row.target,
            presented.name
        );
    }
}

async fn check_all(world: &World, rows: &[AccessCase], all: &[Presented]) {
    for presented in all {
        join_all(rows.iter().map(|row| check(world, row, presented))).await;
    }
}

/// Orders a job that runs and never ends.
async fn running_job(world: &World, user: &TestUser) -> Uuid {
    world.script(json!({ "runninghub": { "all": true, "hang": true } })).await;
    let (job, _) = world.order(user).await;
    world.until_status(job, "running").await;
    job
}

/// Asserts that no call has changed anything.
async fn assert_untouched(world: &World, people: &AccessPeople, job: Uuid) {
    assert_eq!(world.job(job).await["status"], "running");
    assert_eq!(world.count("jobs").await, 1);
    assert_eq!(world.count("webhook_inbox").await, 0);
    assert_eq!(
        (world.balance(&people.user).await, world.balance(&people.other).await),
        (940, 1000)
    );
    assert_eq!(world.submits_of(job).await.len(), 1);
}

#[test]
fn good_credentials_cell_by_cell() {
    e2e::run(async |world| {
        let people = AccessPeople::of(world).await;
        let job = running_job(world, &people.user).await;
        check_all(world, &table(&people.user, job), &good(world, &people)).await;
        assert_untouched(world, &people, job).await;
    });
}

#[test]
fn what_proves_nobody_cell_by_cell() {
    e2e::run(async |world| {
        let people = AccessPeople::of(world).await;
        let job = running_job(world, &people.user).await;
        check_all(world, &table(&people.user, job), &nobody(world, &people)).await;
        assert_untouched(world, &people, job).await;
    });
}

#[test]
fn bad_credentials_cell_by_cell_and_no_good_apikey_helps() {
    e2e::run(async |world| {
        let people = AccessPeople::of(world).await;
        let job = running_job(world, &people.user).await;
        let rows = table(&people.user, job);
        let service_key = world.stack().info().service_role_key.clone();
        check_all(world, &rows, &bad(world, &people)).await;
        let beside: Vec<Presented> =
            bad(world, &people).into_iter().map(|bad| bad.and_apikey(&service_key)).collect();
        check_all(world, &rows, &beside).await;
        let anon = world.stack().info().anon_key.clone();
        let beside =
            bearer("anon key beside the service key", Who::Nobody, &anon).and_apikey(&service_key);
        check_all(world, &rows, &[beside]).await;
        assert_untouched(world, &people, job).await;
    });
}

#[test]
fn health_and_preflight_look_at_no_credential() {
    e2e::run(async |world| {
        let people = AccessPeople::of(world).await;
        for presented in good(world, &people).into_iter().chain(bad(world, &people)) {
            let Some(authorization) = presented.authorization else { continue };
            // Health may report the faults of an earlier test for some more seconds.
            let look = async || {
                let answer =
                    world.get("health").header("authorization", &authorization).send().await;
                (answer.status == 200).then_some(())
            };
            world.until(&format!("health is told to {}", presented.name), look).await;
            let answer = world
                .call_with("OPTIONS", "admin-cancel-job")
                .header("authorization", &authorization)
                .send()
                .await;
            assert_eq!(answer.status, 204, "{}", presented.name);
        }
    });
}

#[test]
fn a_service_may_call_by_get_where_a_scheduler_may() {
    e2e::run(async |world| {
        let cron = world.stack().info().cron_secret.clone();
        let report = world.get("cleanup-stale-jobs").bearer(&cron).ok().await;
        assert_eq!(report["success"], true, "{report}");
        // curl and monitors send the credentials of a URL like this.
        let url = world.stack().info().functions_url.clone() + "/cleanup-stale-jobs";
        let by_password =
            world.http().get(url).basic_auth("any", Some(&cron)).send().await.unwrap();
        assert_eq!(by_password.status(), 200);
        world.get("cleanup-stale-jobs").refused(401, "unauthorized").await;
        world.get("cleanup-stale-jobs").by(&world.admin(1).await).refused(403, "forbidden").await;
    });
}

fn vars(functions: &[&str], vars: &[(&str, Option<&str>)]) -> Overrides {
    let values: BTreeMap<String, Option<String>> =
        vars.iter().map(|(name, value)| ((*name).to_owned(), value.map(str::to_owned))).collect();
    functions.iter().map(|function| ((*function).to_owned(), values.clone())).collect()
}

#[test]
fn anonymous_users_are_charged_only_where_allowed_and_an_issuer_is_demanded_where_set() {
    e2e::run(async |world| {
        let issuer = "https://project.example/auth/v1";
        let set = [("ALLOW_ANONYMOUS_USERS", Some("true")), ("SUPABASE_JWT_ISSUER", Some(issuer))];
        world.restart_workers(vars(&["runninghub-upscaler"], &set)).await;
        let id = Uuid::new_v4();
        world.db().grant(id, 60).await;
        let signed = |change: Value| {
            let mut claims = user_claims(id);
            merge(&mut claims, change);
            TestUser { id, token: world.token(&claims) }
        };
        let anonymous = signed(json!({ "is_anonymous": true, "iss": issuer }));
        let (job, answer) = world.order(&anonymous).await;
        assert_eq!(answer["creditsCharged"], 60, "{answer}");
        world.until_status(job, "completed").await;
        for other in [json!({}), json!({ "iss": "https://another.example/auth/v1" })] {
            world
                .call("runninghub-upscaler/run")
                .by(&signed(other))
                .refused(401, "unauthorized")
                .await;
        }
        let service = world.token(&json!({ "role": "service_role", "exp": now_s() + 60 }));
        world.call("runninghub-upscaler/run").bearer(&service).refused(403, "forbidden").await;
    });
}

#[test]
fn an_empty_secret_lets_nobody_in() {
    e2e::run(async |world| {
        let empty = [
            ("CRON_SECRET", Some("")),
            ("SUPABASE_JWT_SECRET", Some("")),
            ("SUPABASE_SECRET_KEYS", Some("{\"default\":\"\"}")),
        ];
        world.restart_workers(vars(&["cleanup-stale-jobs"], &empty)).await;
        let header = json!({ "alg": "HS256", "typ": "JWT" });
        let token =
            hs256_token(b"", &header, &json!({ "role": "service_role", "exp": now_s() + 60 }));
        for authorization in
            ["Bearer ".to_owned(), "Bearer".to_owned(), String::new(), format!("Bearer {token}")]
        {
            world
                .call("cleanup-stale-jobs")
                .header("authorization", &authorization)
                .refused(401, "unauthorized")
                .await;
        }
        world.call("cleanup-stale-jobs").apikey("").refused(401, "unauthorized").await;
        world.sweep().await;
    });
}

/// Restarts the functions with a key set that the test serves and that they have not fetched yet.
async fn with_key_server(world: &mut World) -> FrontDoorProxy {
    let server = FrontDoorProxy::start(world).await;
    let overrides = vars(&["runninghub-queue-manager"], &[("SUPABASE_URL", Some(&server.url))]);
    world.restart_workers(overrides).await;
    server
}

/// Calls `check` with that token.
async fn asked_with(world: &World, token: &str) -> (u16, String) {
    let answer = world.call("runninghub-queue-manager/check").bearer(token).send().await;
    (answer.status, answer.json["code"].as_str().unwrap_or_default().to_owned())
}

fn is(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

#[test]
fn a_published_key_is_fetched_once_and_a_new_one_found_after_a_while() {
    e2e::run(async |world| {
        let server = with_key_server(world).await;
        let (key, rotated) = (new_key("one"), new_key("two"));
        server.publish(&[&key]);
        let tokens: Vec<String> =
            (0..20).map(|_| key.token(&user_claims(Uuid::new_v4()))).collect();
        for answer in join_all(tokens.iter().map(|token| asked_with(world, token))).await {
            assert_eq!(answer, is(200, ""));
        }
        assert_eq!(server.fetches(), 1, "concurrent calls share one fetch of the key set");

        let claims = user_claims(Uuid::new_v4());
        let forged = [
            new_key("one").token(&claims),
            hs256_token(&key.public_bytes(), &json!({ "alg": "HS256", "kid": "one" }), &claims),
            hs256_token(&key.public_bytes(), &json!({ "alg": "ES256", "kid": "one" }), &claims),
            with_claims(&tokens[0], &claims),
        ];
        for token in &forged {
            assert_eq!(asked_with(world, token).await, is(401, "unauthorized"));
        }
        for number in 0..20 {
            let unknown = new_key(&format!("unknown-{number}")).token(&claims);
            assert_eq!(asked_with(world, &unknown).await, is(401, "unauthorized"));
        }
        assert_eq!(server.fetches(), 1, "a bad token does not fetch the key set");
        assert_eq!(
            asked_with(world, &world.user(1).await.token).await,
            is(200, ""),
            "the project's secret stays good"
        );

        server.publish(&[&rotated]);
        let fresh = rotated.token(&claims);
        let found = async || (asked_with(world, &fresh).await.0 == 200).then_some(());
        world.until("the new key is found", found).await;
        assert_eq!(server.fetches(), 2);
        let old = key.token(&user_claims(Uuid::new_v4()));
        assert_eq!(
            asked_with(world, &old).await,
            is(401, "unauthorized"),
            "a key that is no longer published is refused"
        );
    });
}

#[test]
fn a_key_set_that_cannot_be_had_is_nobodys_fault() {
    e2e::run(async |world| {
        let server = with_key_server(world).await;
        server.fail();
        let token = new_key("one").token(&user_claims(Uuid::new_v4()));
        assert_eq!(asked_with(world, &token).await, is(503, "upstream_unavailable"));
        let user = world.user(1).await;
        assert_eq!(asked_with(world, &user.token).await, is(200, ""));
        world.call("runninghub-queue-manager/status").by_service().ok().await;
        assert_eq!(server.fetches(), 1);
    });
}

#[test]
fn a_project_that_publishes_no_key_is_not_asked_again() {
    e2e::run(async |world| {
        let server = with_key_server(world).await;
        let key = new_key("one");
        for _ in 0..5 {
            assert_eq!(
                asked_with(world, &key.token(&user_claims(Uuid::new_v4()))).await,
                is(401, "unauthorized")
            );
        }
        assert_eq!(server.fetches(), 1);
        assert_eq!(asked_with(world, &world.user(1).await.token).await, is(200, ""));
    });
}

/// Makes a key pair and signs a token with Node's own cryptography: `{jwk, token}`.
fn rs256(kid: &str, claims: &Value) -> Value {
    let script = "const { generateKeyPairSync, createSign } = require('node:crypto');
        const [kid, claims] = process.argv.slice(1);
        const pair = generateKeyPairSync('rsa', { modulusLength: 2048 });
        const part = (value) => Buffer.from(value).toString('base64url');
        const head = part(JSON.stringify({ alg: 'RS256', typ: 'JWT', kid })) + '.' + part(claims);
        const token = head + '.' + createSign('RSA-SHA256').update(head).sign(pair.privateKey,
        'base64url');
        console.log(JSON.stringify({ jwk: { ...pair.publicKey.export({ format: 'jwk' }), kid, alg:
        'RS256', use: 'sig' }, token }));";
    let mut node = std::process::Command::new(xtask::paths::node_bin("node"));
    let output = node.args(["-e", script, kid, &claims.to_string()]).output();
    let output = output.expect("node runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("a key and a token")
}

#[test]
fn an_inline_key_set_is_used_without_asking_anybody() {
    e2e::run(async |world| {
        let (key, other) = (new_key("ec"), new_key("other"));
        let claims = user_claims(Uuid::new_v4());
        let rsa = rs256("rsa", &claims);
        let set = json!({ "keys": [key.jwk(), rsa["jwk"]] }).to_string();
        let server = FrontDoorProxy::start(world).await;
        let set =
            [("SUPABASE_JWKS", Some(set.as_str())), ("SUPABASE_URL", Some(server.url.as_str()))];
        world.restart_workers(vars(&["runninghub-queue-manager"], &set)).await;
        let rsa = rsa["token"].as_str().expect("a token");
        assert_eq!(asked_with(world, rsa).await, is(200, ""));
        assert_eq!(
            asked_with(world, &with_claims(rsa, &user_claims(Uuid::new_v4()))).await,
            is(401, "unauthorized")
        );
        assert_eq!(asked_with(world, &key.token(&claims)).await, is(200, ""));
        assert_eq!(asked_with(world, &other.token(&claims)).await, is(401, "unauthorized"));
        assert_eq!(server.fetches(), 0);
    });
}

#[test]
fn a_project_with_asymmetric_keys() {
    let es256 = |options: &mut xtask::stack::StackOptions| options.signing = Signing::Es256;
    e2e::run_apart(es256, async |world| {
        let people = AccessPeople::of(world).await;
        let url = format!("{}/auth/v1/.well-known/jwks.json", world.stack().info().url);
        let keys: Value = world
            .http()
            .get(url)
            .send()
            .await
            .expect("the front door answers")
            .json()
            .await
            .expect("a key set");
        let kid = keys["keys"][0]["kid"].as_str().expect("a published key").to_owned();

        let (job, _) = world.order(&people.user).await;
        world.until_status(job, "completed").await;
        let job = running_job(world, &people.user).await;
        let rows = table(&people.user, job);
        check_all(world, &rows, &good(world, &people)).await;

        let claims = user_claims(people.user.id);
        let own = Es256Key::from_pem(&kid, &world.stack().keys().es256_private_pem)
            .expect("the stack's key");
        check_all(
            world,
            &rows,
            &[bearer("signed with the published key", Who::User, &own.token(&claims))],
        )
        .await;
        let header = |alg: &str| json!({ "alg": alg, "typ": "JWT", "kid": kid });
        let mut expired = claims.clone();
        expired["exp"] = (now_s() - 120).into();
        let forged = [
            ("another key under its name", new_key(&kid).token(&claims)),
            ("an unknown key", new_key("unknown").token(&claims)),
            (
                "the public key as a secret",
                hs256_token(&own.public_bytes(), &header("HS256"), &claims),
            ),
            (
                "the key set as a secret",
                hs256_token(keys["keys"][0].to_string().as_bytes(), &header("HS256"), &claims),
            ),
            (
                "the secret under another name",
                hs256_token(world.stack().info().jwt_secret.as_bytes(), &header("ES256"), &claims),
            ),
            ("alg none", unsigned_token("none", &claims)),
            ("expired", own.token(&expired)),
            ("other claims", with_claims(&people.user.token, &user_claims(people.admin.id))),
        ];
        let forged: Vec<Presented> =
            forged.iter().map(|(name, token)| bearer(name, Who::Nobody, token)).collect();
        check_all(world, &rows, &forged).await;
    });
}
