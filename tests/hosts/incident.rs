//! The incident in the apps' own tables: 72 jobs have been stuck since before our installation, 33
//! of them without a start. Healing closes each once and refunds what the app's own columns say was
//! charged.

use std::collections::BTreeMap;

use unstuck_tests::hosts::{App, Host};

struct Tables {
    app: App,
    /// What each payer is owed before healing, in credits, by the app's columns: `payer`, `owed`.
    owed: &'static str,
    /// The balance of each payer: `payer`, `balance`.
    balances: &'static str,
    /// The sum of the app's own records of its balances.
    moved: &'static str,
    /// The stuck rows.
    stuck: &'static str,
    /// All other rows of jobs, as text.
    others: &'static str,
    /// How many stuck rows are left to an admin.
    left: usize,
    /// Our tool, and a stuck row of the app's for which an order of ours was never placed.
    orphan: &'static str,
}

const LIVE: &str = "status in ('pending', 'queued', 'starting', 'running')
    and coalesce(started_at, created_at) < now() - interval '1 hour' and user_id is not null";

fn tools() -> Tables {
    Tables {
        app: App::Tools,
        owed: "select user_id as payer, sum(user_credit_cost)::int as owed from (
                select user_id, user_credit_cost, status, credits_charged, credits_refunded,
                    created_at, started_at from upscaler_jobs
                union all
                select user_id, user_credit_cost, status, credits_charged, credits_refunded,
                    created_at, started_at from pose_changer_jobs
                union all
                select user_id, user_credit_cost, status, credits_charged, credits_refunded,
                    created_at, started_at from video_upscaler_jobs) j
            where $live and credits_charged and not coalesce(credits_refunded, false) group by 1",
        balances: "select user_id as payer, balance from upscaler_credits",
        moved: "select coalesce(sum(amount), 0)::int from upscaler_credit_transactions",
        stuck: "(select status, created_at, started_at, user_id from upscaler_jobs
            union all select status, created_at, started_at, user_id from pose_changer_jobs
            union all select status, created_at, started_at, user_id from video_upscaler_jobs) j
            where $live",
        others: "select to_jsonb(j)::text from upscaler_jobs j
            where not ($live) and status <> 'failed' or id = md5('ended')::uuid order by 1",
        left: 1,
        orphan: "'runninghub-upscaler' from upscaler_jobs where id = md5('stuck2')::uuid",
    }
}

const CARDS: Tables = Tables {
    app: App::Cards,
    owed: "select user_id as payer, sum(tokens_cost - round(tokens_cost::numeric * (
                select count(*) from generation_tasks t
                where t.job_id = j.id and t.status in ('completed', 'failed')) / total_cards)
            )::int as owed
        from generation_jobs j where $live and total_cards > 0 and description <> 'unclear'
        group by 1",
    balances: "select id as payer, tokens_balance as balance from profiles",
    moved: "select coalesce(sum(amount), 0)::int from token_transactions",
    stuck: "generation_jobs where $live and total_cards > 0 and description <> 'unclear'",
    others: "select to_jsonb(j)::text from generation_jobs j
        where not (status in ('pending', 'processing')
            and coalesce(started_at, created_at) < now() - interval '1 hour'
            and total_cards > 0 and description <> 'unclear')
        and coalesce(error_message, '') not like 'It hung%' order by 1",
    left: 5,
    orphan: "'create-generation-job-banana' from generation_jobs where id = md5('stuck2')::uuid",
};

const SITES: Tables = Tables {
    app: App::Sites,
    owed: "select team_id as payer, sum(round(100 * coalesce(
                (select -sum(amount) from credit_transactions c where c.generation_id = j.id),
                sale_price, 0)))::int as owed
        from generation_history j where $live and team_id is not null group by 1",
    balances: "select id as payer, (100 * balance)::int as balance from teams",
    moved: "select coalesce(sum(100 * amount), 0)::int from credit_transactions",
    stuck: "generation_history where $live and team_id is not null",
    others: "select to_jsonb(j)::text from generation_history j
        where coalesce(error_message, '') not like 'It hung%'
        and not (status in ('pending', 'generating') and created_at < now() - interval '1 hour'
            and team_id is not null) order by 1",
    left: 1,
    orphan: "'generate-website' from generation_history where id = md5('stuck2')::uuid",
};

/// Replaces `$live` in the query by the app's own condition for a stuck row.
fn query(sql: &str, app: App) -> String {
    let live = match app {
        App::Tools => LIVE,
        App::Cards => {
            "status in ('pending', 'processing')
            and coalesce(started_at, created_at) < now() - interval '1 hour'"
        }
        _ => "status in ('pending', 'generating') and created_at < now() - interval '1 hour'",
    };
    sql.replace("$live", live)
}

async fn by_payer(host: &Host, sql: &str, column: &str) -> BTreeMap<String, i64> {
    let rows = host.rows(sql).await;
    rows.iter()
        .map(|row| (row["payer"].as_str().unwrap().to_owned(), row[column].as_i64().unwrap()))
        .collect()
}

const HEAL: &str = "select * from unstuck_private.host_heal()";

#[tokio::test(flavor = "multi_thread")]
async fn each_job_that_hangs_is_closed_once_with_exactly_what_it_took() {
    for tables in [tools(), CARDS, SITES] {
        let app = tables.app;
        let host = Host::with_the_incident(app).await;
        let owed = by_payer(&host, &query(tables.owed, app), "owed").await;
        let before = by_payer(&host, tables.balances, "balance").await;
        let (moved, others) =
            (host.int(tables.moved).await, host.texts(&query(tables.others, app)).await);
        let stuck = host.count(&query(tables.stuck, app)).await;
        assert!(stuck >= 72 && owed.len() >= 5 && owed.values().sum::<i64>() > 500, "{owed:?}");

        // An older page's row that was never ordered is no job of ours.
        host.exec(&format!(
            "insert into unstuck.jobs (id, user_id, status, input, tool)
            select id, user_id, 'pending', '{{}}', {}",
            tables.orphan
        ))
        .await;

        // Nor is it one of ours if another user has a job with the id of such a row.
        host.exec(&format!(
            "insert into unstuck.jobs
                (id, user_id, status, input, request_hash, completed_at, tool)
            select id, gen_random_uuid(), 'cancelled', '{{}}', 'x', now(), {}",
            tables.orphan.replace("stuck2", "stuck4")
        ))
        .await;

        // Rolled back, it only shows what it would do.
        host.exec("begin").await;
        let shown = host.rows(HEAL).await;
        host.exec("rollback").await;
        assert_eq!(host.count(&query(tables.stuck, app)).await, stuck, "{app:?}");
        assert_eq!(by_payer(&host, tables.balances, "balance").await, before, "{app:?}");

        let healed = host.rows(HEAL).await;
        assert_eq!(healed, shown, "{app:?}");
        let left: Vec<_> =
            healed.iter().filter(|row| row["note"].as_str().unwrap().starts_with("left")).collect();
        assert_eq!(healed.len(), stuck as usize + tables.left, "{app:?}");
        assert_eq!(left.len(), tables.left, "{app:?}: {left:?}");
        let sum: i64 = healed.iter().map(|row| row["returned"].as_i64().unwrap()).sum();
        assert_eq!(sum, owed.values().sum::<i64>(), "{app:?}");
        let mut expected = before.clone();
        for (payer, owed) in &owed {
            *expected.get_mut(payer).expect("who is owed has a wallet") += owed;
        }
        assert_eq!(by_payer(&host, tables.balances, "balance").await, expected, "{app:?}");
        assert_eq!(host.int(tables.moved).await, moved + sum, "{app:?}: the app's own rows");
        assert_eq!(host.count(&query(tables.stuck, app)).await, 0, "{app:?}");
        assert_eq!(host.texts(&query(tables.others, app)).await, others, "{app:?}");

        // A second run closes and refunds nothing, and names once more what is left.
        let again = host.rows(HEAL).await;
        assert_eq!(again.len(), tables.left, "{app:?}: {again:?}");
        assert_eq!(by_payer(&host, tables.balances, "balance").await, expected, "{app:?}");
        host.assert_healthy().await;
    }
}

#[tokio::test]
async fn what_one_row_says_came_from_the_lifetime_part_goes_back_there() {
    let host = Host::with_the_incident(App::Tools).await;
    let from = "select sum(-t.amount)::int from upscaler_credit_transactions t
        join (select id, user_id, user_credit_cost, created_at, credits_charged, credits_refunded
                from upscaler_jobs
            union all select id, user_id, user_credit_cost, created_at, credits_charged,
                credits_refunded from pose_changer_jobs
            union all select id, user_id, user_credit_cost, created_at, credits_charged,
                credits_refunded from video_upscaler_jobs) j
            on j.user_id = t.user_id and j.user_credit_cost = -t.amount
            and j.created_at = t.created_at
        where t.credit_type = 'lifetime' and j.credits_charged
            and not coalesce(j.credits_refunded, false)";
    let owed = host.int(from).await;
    assert!(owed > 100, "{owed}");
    let lifetime = "select sum(lifetime_balance)::int from upscaler_credits";
    let before = host.int(lifetime).await;
    let healed = host.rows(HEAL).await;
    assert_eq!(host.int(lifetime).await, before + owed);
    let told: i64 = healed
        .iter()
        .filter(|row| row["note"] == "to the lifetime part it came from")
        .map(|row| row["returned"].as_i64().unwrap())
        .sum();
    assert_eq!(told, owed);
}

#[tokio::test]
async fn one_row_that_cannot_be_closed_stops_no_other() {
    let host = Host::with_the_incident(App::Cards).await;
    host.exec(
        "create function public.refuses() returns trigger language plpgsql as
        'begin raise exception ''never''; end';
        create trigger refuses before update on public.generation_jobs
        for each row when (old.tokens_cost = 20) execute function public.refuses()",
    )
    .await;
    let healed = host.rows(HEAL).await;
    let left: Vec<_> = healed
        .iter()
        .filter_map(|row| row["note"].as_str().filter(|note| note.starts_with("left: never")))
        .collect();
    assert_eq!(left.len(), 1, "{left:?}");
    let stuck = query(CARDS.stuck, App::Cards);
    assert_eq!(host.count(&stuck).await, 1);
    host.exec("drop trigger refuses on public.generation_jobs").await;
    host.rows(HEAL).await;
    assert_eq!(host.count(&stuck).await, 0);
}

#[tokio::test]
async fn who_has_no_wallet_in_the_app_is_named_and_left() {
    let host = Host::with_the_incident(App::Tools).await;
    let lifetime = "from upscaler_credit_transactions where credit_type = 'lifetime'";
    let user = host.texts(&format!("select user_id::text {lifetime} limit 1")).await.remove(0);
    host.exec(&format!(
        "update upscaler_credit_transactions set credit_type = 'lifetime' where user_id = '{user}';
        delete from upscaler_credits where user_id = '{user}'"
    ))
    .await;
    let healed = host.rows(HEAL).await;
    let returned = healed.iter().filter(|row| row["user_id"] == user.as_str());
    assert_eq!(returned.map(|row| row["returned"].as_i64().unwrap()).sum::<i64>(), 0);
    let marks = format!(
        "upscaler_jobs where user_id = '{user}' and credits_refunded
        and error_message like 'It hung%' and error_message not like '% 0 credits%'"
    );
    assert_eq!(host.count(&marks).await, 0, "no column says that it was refunded");
}
