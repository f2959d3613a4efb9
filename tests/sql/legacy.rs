//! Older clients: they insert their own row through an old table's name, `/run` adopts it, and they
//! may cancel it while it waits. Nothing else that they write is read.

use serde_json::{Value, json};
use unstuck_tests::assert_has;
use unstuck_tests::shop::{CARDS, UPSCALER, VIDEO, enqueue_args};
use unstuck_tests::{Database, Session, SqlError};
use uuid::Uuid;

const VIEWS: [&str; 8] = [
    "upscaler_jobs",
    "video_upscaler_jobs",
    "pose_changer_jobs",
    "veste_ai_jobs",
    "generation_jobs",
    "generation_tasks",
    "replicate_tasks",
    "generation_history",
];

/// The insert of an older client's page before it uploads a file.
const INSERT: &str = "insert into upscaler_jobs (status) values ('queued')";

/// Inserts a row as an older client's page does, with further columns.
async fn insert(
    page: &Session,
    user: Uuid,
    job: Uuid,
    more: &[(&str, &str)],
) -> Result<Value, SqlError> {
    let columns: String = more.iter().map(|(name, _)| format!(", {name}")).collect();
    let values: String = more.iter().map(|(_, value)| format!(", {value}")).collect();
    let sql = format!(
        "insert into upscaler_jobs (id, user_id, status{columns})
            values ('{job}', '{user}', 'queued'{values})"
    );
    page.try_exec(&sql).await?;
    Ok(page.row(&format!("select * from upscaler_jobs where id = '{job}'")).await)
}

#[tokio::test]
async fn an_old_clients_row_costs_nothing_until_its_run() {
    let db = Database::fresh().await;
    let (user, job) = (db.user(100).await, Uuid::new_v4());
    let page = db.page(user).await;
    let row = insert(
        &page,
        user,
        job,
        &[("input_file_name", "'in.png'"), ("session_id", "'s1'"), ("resolution", "1024")],
    )
    .await
    .unwrap();
    assert_has!(row, { "status": "queued", "position": null, "user_credit_cost": 0 });
    assert_has!(row, { "input_file_name": "in.png", "resolution": 1024 });
    let stored = db.job(job).await;
    assert_has!(stored, { "status": "pending", "request_hash": null, "session_id": "s1" });
    assert_eq!(db.active(user).await["has_active_job"], false);
    assert!(db.claim("runninghub", 3).await.is_empty());

    // The upload took a while; `/run` adopts the row, and its deadlines start anew.
    db.age(job, "90 seconds").await;
    let answer = db.enqueue(user, job, UPSCALER, 1).await.unwrap();
    assert_has!(answer, { "status": "queued", "replayed": false, "balance": 40 });
    let adopted = db.job(job).await;
    let fresh = db
        .row(&format!(
            "select clock_timestamp() - created_at < interval '10 seconds' as
        fresh, expires_at - queued_at as span from jobs where id = '{job}'"
        ))
        .await;
    assert_has!(fresh, { "fresh": true, "span": "00:20:00" });
    assert_has!(adopted, { "credits_charged": 60, "total_steps": 1 });
    db.assert_healthy().await;
}

#[tokio::test]
async fn forged_columns_are_not_read() {
    let db = Database::fresh().await;
    let (user, job) = (db.user(0).await, Uuid::new_v4());
    let page = db.page(user).await;
    let forged = [
        ("user_credit_cost", "1000"),
        ("credits_refunded", "1000"),
        ("output_url", "'https://evil.invalid/x'"),
        ("task_id", "'t1'"),
        ("started_at", "now() - interval '1 day'"),
        ("created_at", "now() - interval '1 day'"),
        ("completed_at", "now()"),
        ("position", "1"),
        ("error_code", "'TIMEOUT'"),
        ("waited_in_queue", "true"),
    ];
    insert(&page, user, job, &forged).await.unwrap();
    let row = db.job(job).await;
    for column in ["credits_charged", "credits_refunded"] {
        assert_eq!(row[column], 0, "{column}");
    }
    for column in ["output_url", "started_at", "completed_at", "error_code", "exclusive_key"] {
        assert!(row[column].is_null(), "{column}: {}", row[column]);
    }
    assert_eq!(row["status"], "pending");
    assert_eq!(
        db.value(&format!(
            "select created_at > now() - interval '1 minute' from jobs where id = '{job}'"
        ))
        .await,
        true
    );
    assert_eq!(db.balance(user).await, 0);
    for status in ["completed", "running", "cancelled", "failed"] {
        let other = Uuid::new_v4();
        page.exec(&format!(
            "insert into upscaler_jobs (id, status) values ('{other}', '{status}')"
        ))
        .await;
        assert_eq!(db.job(other).await["status"], "pending", "{status}");
    }
    // An update that does not cancel changes nothing.
    page.exec(&format!(
        "update upscaler_jobs
        set status = 'completed', output_url = 'x', user_credit_cost = 5
        where id = '{job}'"
    ))
    .await;
    let after = db.job(job).await;
    assert_has!(after, { "status": "pending", "output_url": null, "credits_charged": 0 });
}

#[tokio::test]
async fn returning_shows_the_row_as_it_is_stored() {
    let db = Database::fresh().await;
    let (user, job) = (db.user(60).await, Uuid::new_v4());
    let page = db.page(user).await;
    let forged =
        "status = 'cancelled', user_credit_cost = 1000, output_url = 'https://evil.invalid/x',
        task_id = 't1', started_at = now(), completed_at = now() - interval '1 year',
        created_at = now() - interval '1 year'";
    let (names, values): (Vec<&str>, Vec<&str>) =
        forged.split(',').map(|set| set.trim().split_once(" = ").unwrap()).unzip();
    let inserted = page
        .returned(&format!(
            "insert into upscaler_jobs (id, {}) values ('{job}', {}) returning *",
            names.join(", "),
            values.join(", ")
        ))
        .await;
    let seen = async || page.row(&format!("select * from upscaler_jobs where id = '{job}'")).await;
    assert_eq!(inserted, seen().await);
    assert_has!(inserted, { "status": "queued", "user_credit_cost": 0 });
    let ended = page
        .returned(&format!("update upscaler_jobs set {forged} where id = '{job}' returning *"))
        .await;
    assert_eq!(ended, seen().await);
    assert_has!(ended, {
        "status": "cancelled",
        "error_code": "CANCELLED",
        "output_url": null,
        "user_credit_cost": 0,
    });
}

#[tokio::test]
async fn an_order_replaces_the_file_name_of_a_video_by_its_address() {
    let db = Database::fresh().await;
    db.exec("update tools set enabled = true").await;
    let (user, job) = (db.user(1000).await, Uuid::new_v4());
    let page = db.page(user).await;
    page.exec(&format!(
        "insert into video_upscaler_jobs (id, status, input_file_name, width)
            values ('{job}', 'queued', 'clip.mp4', 640)"
    ))
    .await;
    let columns = "input_file_name, input_url, video_url, width";
    let shown = format!("select {columns} from video_upscaler_jobs where id = '{job}'");
    let shown = async || page.row(&shown).await;
    let not_urls = "select video_input_not_a_url from job_health
        where table_name = 'video_upscaler_jobs'";
    let audit = async || db.int(not_urls).await;
    assert_eq!(
        shown().await,
        json!({ "input_file_name": "clip.mp4", "input_url": null, "video_url": null, "width": 640 })
    );
    assert_eq!(audit().await, 1);
    let url = "https://files.invalid/clip.mp4";
    let mut args = enqueue_args(user, job, VIDEO, 1);
    args["p_input"] = json!({ "videoUrl": url, "width": 640 });
    db.call("job_enqueue_v1", args).await;
    assert_eq!(
        shown().await,
        json!({ "input_file_name": url, "input_url": url, "video_url": url, "width": 640 })
    );
    assert_eq!((audit().await, &db.job(job).await["status"]), (0, &json!("queued")));

    // A client that writes both sees the address at once.
    let both = Uuid::new_v4();
    page.exec(&format!(
        "insert into video_upscaler_jobs (id, input_file_name, video_url)
            values ('{both}', 'clip.mp4', '{url}')"
    ))
    .await;
    assert_eq!(
        page.value(&format!("select input_file_name from video_upscaler_jobs where id = '{both}'"))
            .await,
        url
    );
    assert_eq!(audit().await, 0);
}

#[tokio::test]
async fn a_page_that_sends_a_header_of_ours_is_still_told_as_the_user() {
    let db = Database::fresh().await;
    let (user, job) = db.upscale().await;
    let page = db.page(user).await;
    page.exec(r#"set request.headers = '{"x-unstuck-caller": "service"}'"#).await;
    page.exec(&format!("update upscaler_jobs set status = 'cancelled' where id = '{job}'")).await;
    assert_eq!(db.job(job).await["status"], "cancelled");
    let actors = format!("select distinct actor from job_events where job_id = '{job}'");
    assert_eq!(db.texts(&actors).await, ["user"]);
}

#[tokio::test]
async fn nobody_writes_for_another_user_or_without_a_signed_in_user() {
    let db = Database::fresh().await;
    let user = db.user(60).await;
    let (other, job) = db.upscale().await;
    let (page, anon) = (db.page(user).await, db.connect().await);
    anon.become_caller("anon", None).await;
    for view in [
        "generation_jobs",
        "replicate_tasks",
        "generation_history",
        "generation_tasks",
        "job_receipts",
    ] {
        let sql = format!("insert into public.{view} (user_id) values ('{user}')");
        assert!(page.try_exec(&sql).await.is_err(), "{view}");
    }
    // A user sees no row of another user, so nothing is updated or deleted.
    let cancel = format!("update upscaler_jobs set status = 'cancelled' where id = '{job}'");
    page.exec(&cancel).await;
    page.exec(&format!("delete from upscaler_jobs where id = '{job}'")).await;
    assert_eq!(db.job(job).await["status"], "queued");
    let mine = Uuid::new_v4();
    insert(&page, user, mine, &[]).await.unwrap();
    let for_user = |user: Uuid| {
        format!("insert into upscaler_jobs (user_id, status) values ('{user}', 'queued')")
    };
    // The service and the owner, who have no `auth.uid()`, do not write through the views.
    for (session, sql) in [
        (&page, for_user(other)),
        (&page, format!("delete from upscaler_jobs where id = '{mine}'")),
        (&page, format!("update upscaler_jobs set user_id = '{other}' where id = '{mine}'")),
        (&*db, for_user(user)),
        (&*db, cancel),
        (&anon, "insert into unstuck.upscaler_jobs (status) values ('queued')".to_owned()),
    ] {
        assert_eq!(session.try_exec(&sql).await.expect_err(&sql).state, "42501", "{sql}");
    }
    let taken = insert(&page, user, job, &[]).await.unwrap_err();
    assert_eq!(taken.reason(), ("PT409", "idempotency_conflict"));
}

#[tokio::test]
async fn a_user_has_at_most_twenty_unordered_rows() {
    let db = Database::fresh().await;
    let (user, other) = (Uuid::new_v4(), db.user(60).await);
    let page = db.page(user).await;
    for _ in 0..20 {
        page.exec(INSERT).await;
    }
    let error = page.try_exec(INSERT).await.unwrap_err();
    assert_eq!(error.reason(), ("PT429", "rate_limited"));
    db.page(other).await.exec("insert into veste_ai_jobs (status) values ('queued')").await;
    db.age_all("3 minutes").await;
    assert_eq!(db.sweep().await["cleaned"], 21);
    page.exec(INSERT).await;
}

#[tokio::test]
async fn rows_that_are_never_ordered_are_limited_by_the_hour() {
    let db = Database::fresh().await;
    let user = db.user(60).await;
    let page = db.page(user).await;
    for round in 0..10 {
        for _ in 0..20 {
            page.exec("insert into veste_ai_jobs (status) values ('queued')").await;
        }
        page.exec("update veste_ai_jobs set status = 'cancelled' where status = 'queued'").await;
        assert_eq!(db.count("jobs where status = 'cancelled'").await, 20 * (round + 1));
    }
    assert_eq!(page.try_exec(INSERT).await.unwrap_err().message, "rate_limited");
    // An order of the function does not count as such a row.
    db.order(user, UPSCALER, 1).await;
    db.age_all("1 hour").await;
    page.exec(INSERT).await;
}

#[tokio::test]
async fn a_row_larger_than_a_request_is_refused() {
    let db = Database::fresh().await;
    let page = db.page(Uuid::new_v4()).await;
    let insert = |letters: usize| {
        format!("insert into upscaler_jobs (prompt) values (repeat('x', {letters}))")
    };
    assert_eq!(page.try_exec(&insert(20_000)).await.unwrap_err().message, "payload_too_large");
    page.exec(&insert(2_000)).await;
}

#[tokio::test]
async fn a_thousand_rows_in_one_statement_are_refused() {
    let db = Database::fresh().await;
    let page = db.page(Uuid::new_v4()).await;
    let sql = "insert into upscaler_jobs (status) select 'queued' from generate_series(1, 1000)";
    assert_eq!(page.try_exec(sql).await.unwrap_err().message, "rate_limited");
    assert_eq!(db.count("jobs").await, 0);
}

#[tokio::test]
async fn the_limit_of_rows_holds_under_concurrency_without_an_account() {
    let db = Database::fresh().await;
    let user = Uuid::new_v4();
    let pages = futures::future::join_all((0..8).map(|_| db.page(user))).await;
    let inserts = pages.iter().map(async |page| {
        for _ in 0..5 {
            let _ = page.try_exec(INSERT).await;
        }
    });
    futures::future::join_all(inserts).await;
    assert_eq!(db.count("jobs").await, 20);
}

#[tokio::test]
async fn a_users_update_cancels_a_waiting_row_and_refunds_it() {
    let db = Database::fresh().await;
    for status in ["failed", "cancelled"] {
        let user = db.user(60).await;
        let page = db.page(user).await;
        let unpaid = Uuid::new_v4();
        insert(&page, user, unpaid, &[]).await.unwrap();
        let end = |job: Uuid| {
            format!(
                "update upscaler_jobs set status = '{status}', error_message = 'bye'
                    where id = '{job}'"
            )
        };
        page.exec(&end(unpaid)).await;
        assert_eq!(db.job(unpaid).await["status"], "cancelled");

        let paid = db.order(user, UPSCALER, 1).await;
        page.exec(&end(paid)).await;
        db.assert_cancelled(paid, 60).await;
        assert_eq!(
            page.value(&format!("select status from upscaler_jobs where id = '{paid}'")).await,
            "cancelled"
        );

        let running = db.order(user, UPSCALER, 1).await;
        let attempt = db.claim_one("runninghub").await;
        assert_eq!(page.try_exec(&end(running)).await.unwrap_err().message, "in_progress");
        db.fail(attempt, "PROVIDER_FAILED").await;
        assert_eq!(db.balance(user).await, 60);
    }
}

/// Makes every row three minutes older and runs a sweep.
const SWEPT: &str = "update jobs set created_at = created_at - interval '3 minutes',
    deadline_at = deadline_at - interval '3 minutes';
    select unstuck_private.sweep(clock_timestamp(), null, 10, '5 s')";
const CANCELLED: &str = "select job_cancel_v1('{user}', 'upscaler_jobs', '{job}')";
const LEFT: &str = "select session_cancel_v1('{user}', 'session', array['{job}'::uuid])";

/// What happened to a row before its user orders with its id: statements, and the refusal of the
/// order.
const ADOPTED: [(&[&str], Option<&str>); 6] = [
    (&[], None),
    (&[SWEPT], None),
    (&[LEFT], Some("already_final")),
    (&[CANCELLED], Some("already_final")),
    (&[SWEPT, CANCELLED], Some("already_final")),
    (&[SWEPT, LEFT], Some("already_final")),
];

#[tokio::test]
async fn a_row_is_adopted_unless_its_user_cancelled_it() {
    let db = Database::fresh().await;
    for (statements, refusal) in ADOPTED {
        let (user, job) = (db.user(60).await, Uuid::new_v4());
        let page = db.page(user).await;
        insert(&page, user, job, &[]).await.unwrap();
        let what = statements.join("; ");
        let sql = what.replace("{job}", &job.to_string()).replace("{user}", &user.to_string());
        db.exec(&sql).await;
        let before = db.job(job).await;
        match (db.enqueue(user, job, UPSCALER, 1).await, refusal) {
            (Ok(answer), None) => {
                assert_has!(answer, { "status": "queued", "replayed": false }, "{what}");
                let row = db.job(job).await;
                assert!(
                    row["completed_at"].is_null() && row["error_code"].is_null(),
                    "{what}: {row:#}"
                );
                assert_eq!(db.claim("runninghub", 1).await.len(), 1, "{what}");
                db.cancel_by_admin(job).await;
            }
            (Err(error), Some(refusal)) => {
                assert_eq!(error.message, refusal, "{what}");
                assert_eq!(db.job(job).await, before, "{what}: a refusal leaves the row as it was");
            }
            (answer, _) => panic!("{what}: {answer:?}"),
        }
        assert_eq!(db.balance(user).await, 60, "{what}");
    }
    db.assert_healthy().await;
}

#[tokio::test]
async fn a_user_may_still_cancel_a_row_that_a_sweep_cancelled() {
    let db = Database::fresh().await;
    for word in ["failed", "cancelled"] {
        let (user, job) = (db.user(60).await, Uuid::new_v4());
        let page = db.page(user).await;
        insert(&page, user, job, &[]).await.unwrap();
        db.age(job, "3 minutes").await;
        db.sweep().await;
        db.assert_closed(job, "cancelled", Some("ORPHANED"), 0).await;
        let end = format!("update upscaler_jobs set status = '{word}' where id = '{job}'");
        page.exec(&end).await;
        db.assert_cancelled(job, 0).await;
        assert_eq!(
            db.enqueue(user, job, UPSCALER, 1).await.unwrap_err().message,
            "already_final",
            "{word}"
        );
        let again = page.try_exec(&end).await;
        assert_eq!(
            again.err().map(|error| error.message),
            (word == "failed").then(|| "already_final".to_owned())
        );
        assert_eq!(db.balance(user).await, 60);
    }
}

#[tokio::test]
async fn an_unpaid_row_by_hand_is_adopted_like_any_other() {
    let db = Database::fresh().await;
    for word in ["pending", "queued"] {
        let (user, job) = (db.user(60).await, Uuid::new_v4());
        db.exec(&format!(
            "insert into jobs (id, tool, user_id, status)
                values ('{job}', '{UPSCALER}', '{user}', '{word}')"
        ))
        .await;
        assert_eq!(db.enqueue(user, job, UPSCALER, 1).await.unwrap()["replayed"], false, "{word}");
        assert_eq!((db.balance(user).await, db.entries(job).await), (0, vec![-60]), "{word}");
        assert_eq!(db.claim_one("runninghub").await.job, job, "{word}");
        db.exec("update providers set max_concurrent = max_concurrent + 1").await;
    }
    db.assert_healthy().await;
}

#[tokio::test]
async fn another_users_or_another_tools_row_is_not_adopted() {
    let db = Database::fresh().await;
    db.exec("update tools set enabled = true").await;
    let (user, other, poor) = (db.user(1000).await, db.user(1000).await, db.user(10).await);
    let job = Uuid::new_v4();
    insert(&db.page(user).await, user, job, &[]).await.unwrap();
    assert_eq!(
        db.enqueue(other, job, UPSCALER, 1).await.unwrap_err().message,
        "idempotency_conflict"
    );
    assert_eq!(db.enqueue(user, job, VIDEO, 1).await.unwrap_err().message, "idempotency_conflict");
    assert_eq!(db.job(job).await["status"], "pending");
    let theirs = Uuid::new_v4();
    insert(&db.page(poor).await, poor, theirs, &[]).await.unwrap();
    assert_eq!(
        db.enqueue(poor, theirs, UPSCALER, 1).await.unwrap_err().message,
        "insufficient_credits"
    );
    assert_eq!(db.job(theirs).await["status"], "pending", "a refused adoption leaves the row");
    db.assert_healthy().await;
}

#[tokio::test]
async fn each_view_shows_the_status_words_of_its_front_end() {
    let db = Database::open().await;
    let user = db.user(1000).await;
    let page = db.page(user).await;
    let words = async |view: &str, key: &str, job: Uuid| {
        page.value(&format!("select status from public.{view} where {key} = '{job}' limit 1")).await
    };
    let job = db.order(user, UPSCALER, 1).await;
    assert_eq!(words("upscaler_jobs", "id", job).await, "queued");
    db.run("runninghub", "t1").await;
    assert_eq!(words("upscaler_jobs", "id", job).await, "running");
    let row = page
        .row(&format!(
            "select task_id, user_credit_cost, input_url, position from upscaler_jobs
                where id = '{job}'"
        ))
        .await;
    assert_eq!(
        row,
        json!({ "task_id": "t1", "user_credit_cost": 60,
            "input_url": "https://files.invalid/in.png", "position": null })
    );
    let cards = db.order(user, CARDS, 2).await;
    for (view, key) in [("generation_jobs", "id"), ("generation_tasks", "job_id")] {
        assert_eq!(words(view, key, cards).await, "pending", "{view}");
    }
    let attempt = db.claim_one("gemini").await;
    for (view, key) in [("generation_jobs", "id"), ("generation_tasks", "job_id")] {
        assert_eq!(words(view, key, cards).await, "processing", "{view}");
    }
    db.requeue(attempt, "transient", 60_000).await;
    let task = page
        .row(&format!(
            "select status, task_index from generation_tasks where job_id = '{cards}'
                and step = {}",
            attempt.step
        ))
        .await;
    assert_eq!(task, json!({ "status": "retrying", "task_index": attempt.step - 1 }));
    let site = db.order(user, "generate-website", 1).await;
    assert_eq!(words("generation_history", "id", site).await, "pending");
    db.claim_one("llm").await;
    let row = page
        .row(&format!("select status, admin_note from generation_history where id = '{site}'"))
        .await;
    assert_eq!(row, json!({ "status": "generating", "admin_note": "retry:0" }));
}

#[tokio::test]
async fn every_old_table_has_the_columns_its_queries_name() {
    let db = Database::fresh().await;
    for view in VIEWS {
        db.rows(&format!(
            "select id, user_id, session_id, status, position, task_id, input_file_name,
                input_url, output_url, user_credit_cost,
               error_message, created_at, queued_at, started_at, completed_at, updated_at,
               waited_in_queue from public.{view}"
        ))
        .await;
    }
}

#[tokio::test]
async fn no_view_is_written_without_a_signed_in_user() {
    let db = Database::open().await;
    let user = db.user(1000).await;
    for tool in [UPSCALER, CARDS] {
        db.order(user, tool, 1).await;
    }
    for view in VIEWS {
        let insert = format!("insert into public.{view} (session_id) values ('s')");
        assert_eq!(db.try_exec(&insert).await.unwrap_err().state, "42501", "{insert}");
    }
    for view in ["upscaler_jobs", "generation_jobs", "generation_tasks"] {
        for sql in [
            format!("update public.{view} set status = 'cancelled'"),
            format!("delete from public.{view}"),
        ] {
            assert_eq!(db.try_exec(&sql).await.unwrap_err().state, "42501", "{sql}");
        }
    }
}

#[tokio::test]
async fn a_view_stays_readable_whatever_a_request_holds() {
    let db = Database::fresh().await;
    let user = Uuid::new_v4();
    let cards = "generation_tasks";
    let images = json!({ "productImages": [{ "url": "https://a" }] });
    for (tool, view, column, input, shown) in [
        (UPSCALER, "upscaler_jobs", "resolution", json!({ "resolution": "4k" }), json!(null)),
        (UPSCALER, "upscaler_jobs", "resolution", json!({ "resolution": 2048 }), json!(2048)),
        (VIDEO, "video_upscaler_jobs", "width", json!({ "width": 1e30 }), json!(null)),
        (CARDS, cards, "card_index", json!({ "selectedCards": ["cover"] }), json!(null)),
        (CARDS, cards, "card_index", json!({ "selectedCards": [4] }), json!(4)),
        (CARDS, cards, "input_url", images, json!("https://a")),
    ] {
        db.exec(&format!(
            "with job as (insert into jobs (tool, user_id, input)
                values ('{tool}', '{user}', '{input}') returning id)
             insert into job_steps (job_id, step) select id, 1 from job"
        ))
        .await;
        let last = format!("select {column} from public.{view} order by created_at desc limit 1");
        assert_eq!(db.value(&last).await, shown, "{input}");
    }
}
