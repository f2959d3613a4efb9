//! Who may retry which website: the contract's table, each caller with each record; and what stays
//! unchanged after a refusal.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use unstuck_tests::assert_has;
use unstuck_tests::e2e::user::now_s;
use unstuck_tests::e2e::{self, TestUser, World};
use uuid::Uuid;

use unstuck_tests::e2e::website::{CREDITS, PRICE, TOOL, Website};

/// The record that the body names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Record {
    None,
    Live,
    Stale,
    Final,
    Others,
    Unknown,
    NotAnId,
}

const RECORDS: [Record; 7] = [
    Record::None,
    Record::Live,
    Record::Stale,
    Record::Final,
    Record::Others,
    Record::Unknown,
    Record::NotAnId,
];

const NO: [&str; 7] = ["401 unauthorized"; 7];
const LIVE: &str = "409 in_progress";
const FINAL: &str = "409 already_final";
const NONE: &str = "404 not_found";
const BAD: &str = "400 bad_request";

/// A caller: its name, its headers, the answer for each record.
type RetryCase = (&'static str, Vec<(&'static str, String)>, [&'static str; 7]);

/// The callers. "Others" is a stale website of a user who is none of them.
fn table(world: &World, people: &RetryPeople) -> Vec<RetryCase> {
    let (info, keys) = (world.stack().info(), world.stack().keys());
    let bearer = |credential: &str| vec![("authorization", format!("Bearer {credential}"))];
    let password = |secret: &str| {
        vec![("authorization", format!("Basic {}", STANDARD.encode(format!("any:{secret}"))))]
    };
    let apikey = |key: &str| vec![("apikey", key.to_owned())];
    let service_token = world.token(&json!({ "role": "service_role", "exp": now_s() + 60 }));
    let forged = xtask::keys::sign_hs256(
        "another-projects-secret-of-32-bytes",
        &json!({ "role": "service_role", "exp": now_s() + 60 }),
    );
    // The body names no record and has no prompt, so a caller who may order is told which field is
    // missing.
    let owner = [BAD, LIVE, "202", FINAL, NONE, NONE, BAD];
    let stranger = [BAD, NONE, NONE, NONE, NONE, NONE, BAD];
    let service = [BAD, LIVE, "202", FINAL, "202", NONE, BAD];
    let mut with_key = bearer(&people.owner.token);
    with_key.extend(apikey(&info.service_role_key));
    let mut bad_with_key = bearer("garbage");
    bad_with_key.extend(apikey(&info.service_role_key));
    vec![
        ("user", bearer(&people.owner.token), owner),
        ("user and service key", with_key, owner),
        ("other user", bearer(&people.other.token), stranger),
        ("admin", bearer(&people.admin.token), stranger),
        ("service key", bearer(&info.service_role_key), service),
        ("service key as apikey", apikey(&info.service_role_key), service),
        ("secret key", bearer(&keys.secret_key), service),
        ("service token", bearer(&service_token), service),
        ("another project's service token", bearer(&forged), NO),
        ("scheduler", bearer(&info.cron_secret), NO),
        ("scheduler by password", password(&info.cron_secret), NO),
        ("anon key", bearer(&info.anon_key), NO),
        ("publishable key", apikey(&keys.publishable_key), NO),
        ("nothing", Vec::new(), NO),
        ("garbage", bearer("garbage"), NO),
        ("garbage and service key", bad_with_key, NO),
    ]
}

struct RetryPeople {
    owner: TestUser,
    other: TestUser,
    admin: TestUser,
}

/// The records that each row of the table is tried with.
struct Records {
    live: Website,
    stale: Website,
    others: Website,
    done: Website,
}

impl Records {
    async fn of(world: &World, owner: &TestUser) -> Self {
        let stranger = world.new_user(CREDITS).await;
        let running = async |user: &TestUser| {
            let website = Website::of(world, user.clone(), TOOL, "hangs").await;
            website.until_running(world, 1).await;
            website
        };
        let records = Self {
            done: Website::of(world, owner.clone(), TOOL, "done").await,
            live: running(owner).await,
            stale: running(owner).await,
            others: running(&stranger).await,
        };
        records.done.until(world, "completed").await;
        // No worker runs any more, so only the callers below change anything.
        world.kill_workerd().await;
        records.lease_is_over(world).await;
        records
    }

    async fn lease_is_over(&self, world: &World) {
        self.stale.lease_is_over(world).await;
        self.others.lease_is_over(world).await;
    }

    /// Undoes the retries of a row of the table: both websites are stale first attempts again.
    async fn again(&self, world: &World) {
        world
            .db()
            .exec(&format!(
                "update unstuck.jobs set retries = 0, status = 'running' where id in ('{0}', '{1}');
                 update unstuck.job_steps
                 set status = 'running', attempts = 1, not_before = null, deadline_at =
                 clock_timestamp() + interval '5 minutes',
                   lease_until = clock_timestamp() - interval '1 second'
                   where job_id in ('{0}', '{1}');
                 update unstuck.job_steps
                 set lease_until = clock_timestamp() + interval '80 seconds' where job_id = '{2}'",
                self.stale.id, self.others.id, self.live.id
            ))
            .await;
    }

    fn id(&self, record: Record) -> Value {
        match record {
            Record::None => Value::Null,
            Record::Live => json!(self.live.id),
            Record::Stale => json!(self.stale.id),
            Record::Final => json!(self.done.id),
            Record::Others => json!(self.others.id),
            Record::Unknown => json!(Uuid::new_v4()),
            Record::NotAnId => json!("history-7"),
        }
    }
}

#[test]
fn every_caller_with_every_record() {
    e2e::run(async |world| {
        let people = RetryPeople {
            owner: world.new_user(CREDITS).await,
            other: world.new_user(CREDITS).await,
            admin: world.admin(1).await,
        };
        world.script(json!({ "llm": { "match": "hangs", "hang": true } })).await;
        let records = Records::of(world, &people.owner).await;
        // The provider is disabled, so a requeued step stays queued.
        world.set_provider("llm", "enabled = false").await;
        let (files, row) = (records.done.get(world).await, world.job(records.done.id).await);
        let spent = world.balance(&people.owner).await;
        for (name, headers, expected) in table(world, &people) {
            for (record, expected) in RECORDS.into_iter().zip(expected) {
                let body = match record {
                    Record::None => json!({}),
                    // No other field of the body counts.
                    _ => {
                        json!({ "retryHistoryId": records.id(record), "userId": people.other.id,
                            "prompt": 7, "jobId": "x" })
                    }
                };
                let mut call = world.call(TOOL).json(&body);
                for (header, value) in &headers {
                    call = call.header(header, value);
                }
                let answer = call.send().await;
                let found = match answer.json["code"].as_str() {
                    Some(code) => format!("{} {code}", answer.status),
                    None => answer.status.to_string(),
                };
                assert_eq!(found, expected, "{name} × {record:?}: {}", answer.text);
                if answer.status == 202 {
                    let seen = json!([
                        answer.json["creditsCharged"],
                        answer.json["retried"],
                        answer.json["status"],
                        answer.json["retries"]
                    ]);
                    assert_eq!(seen, json!([0, true, "pending", 1]), "{name} × {record:?}");
                }
            }
            records.again(world).await;
        }
        assert_eq!(
            (records.done.get(world).await, world.job(records.done.id).await),
            (files, row),
            "the finished one is untouched"
        );
        assert_eq!(world.balance(&people.owner).await, spent, "no retry is charged");
        assert_eq!(spent, CREDITS - 3 * PRICE);
        for website in [&records.live, &records.stale, &records.others] {
            assert_eq!(world.db().entries(website.id).await, [-PRICE]);
        }
        world.set_provider("llm", "enabled = true").await;
    });
}

#[test]
fn an_owner_retries_a_stale_one_for_free_and_another_tool_does_not_know_it() {
    e2e::run(async |world| {
        world.script(json!({ "llm": { "times": 1, "hang": true } })).await;
        let website = Website::order(world, "mine to retry").await;
        website.until_running(world, 1).await;
        world.kill_workerd().await;
        website.lease_is_over(world).await;
        let body = json!({ "retryHistoryId": website.id });
        world
            .call("generate-php-website")
            .by(&website.user)
            .json(&body)
            .refused(404, "not_found")
            .await;
        let answer = website.retry(world).by(&website.user).send().await.expect(202);
        assert_has!(answer, { "historyId": website.id, "balance": CREDITS - PRICE });
        website.assert_completed(world, 1).await;
        let refused = website.retry(world).by(&website.user).refused(409, "already_final").await;
        assert_has!(refused, { "status": "completed", "refundedCredits": 0 });
    });
}

#[test]
fn a_stale_one_without_retries_left_is_closed() {
    e2e::run(async |world| {
        world.script(json!({ "llm": { "all": true, "hang": true } })).await;
        let website = Website::order(world, "used up").await;
        website.until_running(world, 1).await;
        world.kill_workerd().await;
        world.db().exec("update unstuck.job_steps set attempts = 3").await;
        website.lease_is_over(world).await;
        let refused = website.retry(world).by_service().refused(409, "already_final").await;
        assert_has!(refused, { "status": "failed", "refundedCredits": PRICE });
        website.assert_returned(world, "TIMEOUT").await;
        assert_eq!(world.balance(&website.user).await, CREDITS);
    });
}
