//! The app keeps its balances: orders and refunds move them, through the app's own functions, and
//! the app's own rows of them add up to the credit.

use futures::future::join_all;
use serde_json::{Value, json};
use unstuck_tests::assert_has;
use unstuck_tests::hosts::{App, Host, Rights};
use unstuck_tests::shop::{CARDS, UPSCALER, WEBSITE, enqueue_args, id, requeue_args, with};
use uuid::{Uuid, uuid};

const OWNER: Uuid = uuid!("00000000-0000-4000-8000-000000000001");
const ADMIN: Uuid = uuid!("00000000-0000-4000-8000-000000000002");
const THIRD: Uuid = uuid!("00000000-0000-4000-8000-000000000003");
const LAPSED: Uuid = uuid!("00000000-0000-4000-8000-000000000004");
const TEAM: Uuid = uuid!("00000000-0000-4000-8000-0000000000f1");

/// What the owner may spend in the app, and the sum of the app's rows of movements, in credits.
async fn purse(host: &Host, app: App) -> (i64, i64) {
    let (balance, moved) = match app {
        App::Tools => (
            format!("select balance from public.upscaler_credits where user_id = '{OWNER}'"),
            format!(
                "select coalesce(sum(amount), 0) from public.upscaler_credit_transactions
                where user_id = '{OWNER}'"
            ),
        ),
        App::Cards => (
            format!("select tokens_balance from public.profiles where id = '{OWNER}'"),
            format!(
                "select coalesce(sum(amount), 0) from public.token_transactions
                where user_id = '{OWNER}'"
            ),
        ),
        App::Sites => (
            format!("select (100 * balance)::bigint from public.teams where id = '{TEAM}'"),
            format!(
                "select coalesce(sum(100 * amount), 0)::bigint from public.credit_transactions
                where team_id = '{TEAM}'"
            ),
        ),
        App::Small => (
            format!("select balance from public.balances where user_id = '{OWNER}'"),
            // It writes no movements of its own.
            "select coalesce(sum(amount), 0)::bigint from unstuck.credit_entries".to_owned(),
        ),
    };
    (host.int(&balance).await, host.int(&moved).await)
}

async fn ours(host: &Host) -> i64 {
    host.int("select coalesce(sum(amount), 0)::bigint from unstuck.credit_entries").await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_and_all_that_becomes_of_it_move_the_apps_own_balance() {
    for (app, tool, provider, price) in [
        (App::Tools, UPSCALER, "runninghub", 60),
        (App::Cards, CARDS, "gemini", 20),
        (App::Sites, WEBSITE, "llm", 350),
        (App::Small, UPSCALER, "runninghub", 60),
    ] {
        let host = Host::with_its_wallet(app).await;
        let at = format!("{app:?}");
        host.set_tool(CARDS, "credit_cost = 20").await;
        if app == App::Small {
            host.grant(OWNER, 1000).await;
            host.exec(&format!("insert into unstuck.user_roles values ('{ADMIN}', 'admin')")).await;
        }
        let start = purse(&host, app).await;
        let holds = async |spent: i64| {
            let (balance, moved) = purse(&host, app).await;
            assert_eq!(balance, start.0 - spent, "{at}: the balance");
            assert_eq!(moved, start.1 - spent, "{at}: the app's rows");
        };

        let cancelled = host.order(OWNER, tool, 1).await;
        holds(price).await;
        assert_eq!(host.job(cancelled).await["credits_charged"], price, "{at}");
        host.cancel(OWNER, cancelled).await.unwrap();
        host.assert_cancelled(cancelled, price).await;
        holds(0).await;

        let failed = host.order(OWNER, tool, 1).await;
        let attempt = host.claim_one(provider).await;
        host.fail(attempt, "PROVIDER_REJECTED").await;
        host.assert_failed(failed, "PROVIDER_REJECTED", price).await;
        holds(0).await;

        let stale = host.order(OWNER, tool, 1).await;
        host.age(stale, "2 hours").await;
        assert_eq!(host.sweep().await["refunded_credits"], price, "{at}");
        host.assert_failed(stale, "QUEUE_TIMEOUT", price).await;
        holds(0).await;

        let by_admin = host.order(OWNER, tool, 1).await;
        host.cancel_as_admin(ADMIN, by_admin).await.unwrap();
        holds(0).await;
        // An admin's retry, at the user's expense, is carried out.
        let table = format!("select table_name from unstuck.tools where tool = '{tool}'");
        let table = host.texts(&table).await.remove(0);
        let again = Uuid::new_v4();
        host.ask("job_requeue_v1", requeue_args(ADMIN, &table, by_admin, true, again)).await;
        holds(price).await;
        assert_eq!(host.job(again).await["credits_charged"], price, "{at}");
        host.cancel_as_admin(ADMIN, again).await.unwrap();
        holds(0).await;

        // Replay charges once; more than there is is refused and takes nothing.
        let job = host.order(OWNER, tool, 1).await;
        let replay = host.enqueue(OWNER, job, tool, 1).await.unwrap();
        assert_has!(replay, { "replayed": true, "credits_charged": price });
        holds(price).await;
        host.set_tool(tool, "credit_cost = 100000").await;
        if app == App::Small || app == App::Cards {
            let refused = host.enqueue(OWNER, Uuid::new_v4(), tool, 1).await.unwrap_err();
            assert_eq!(refused.reason(), ("PT402", "insufficient_credits"), "{at}");
            holds(price).await;
        }
        host.assert_healthy().await;
    }
}

#[tokio::test]
async fn a_partial_refund_gives_back_exactly_the_shares_of_what_failed() {
    for (app, tool) in [(App::Tools, CARDS), (App::Cards, CARDS), (App::Small, CARDS)] {
        let host = Host::with_its_wallet(app).await;
        host.set_tool(tool, "credit_cost = 10").await;
        if app == App::Small {
            host.grant(OWNER, 1000).await;
        }
        let start = purse(&host, app).await;
        let job = host.order(OWNER, tool, 3).await;
        let attempts = host.claim("gemini", 3).await;
        host.fail(attempts[0], "CONTENT_REFUSED").await;
        assert_eq!(purse(&host, app).await.0, start.0 - 20, "{app:?}");
        host.complete(attempts[1]).await;
        host.fail(attempts[2], "CONTENT_REFUSED").await;
        host.assert_completed(job, 20).await;
        let end = purse(&host, app).await;
        assert_eq!((end.0, end.1), (start.0 - 10, start.1 - 10), "{app:?}");
    }
}

/// The monthly and the lifetime part of a user's credits.
async fn parts(host: &Host, user: Uuid) -> (i64, i64) {
    let row =
        host.row(&format!("select * from public.upscaler_credits where user_id = '{user}'")).await;
    assert_eq!(
        row["balance"].as_i64(),
        Some(row["monthly_balance"].as_i64().unwrap() + row["lifetime_balance"].as_i64().unwrap())
    );
    (row["monthly_balance"].as_i64().unwrap(), row["lifetime_balance"].as_i64().unwrap())
}

#[tokio::test]
async fn credits_go_back_to_the_part_they_came_from() {
    let host = Host::with_its_wallet(App::Tools).await;
    host.exec("update public.ai_tool_settings set credit_cost = 120 where tool_name = 'upscaler'")
        .await;
    let job = host.order(OWNER, UPSCALER, 1).await;
    assert_eq!(parts(&host, OWNER).await, (0, 30));
    host.cancel(OWNER, job).await.unwrap();
    assert_eq!(parts(&host, OWNER).await, (100, 50));

    // Of three shares of 40, the one that was taken last is the first to go back.
    host.set_tool(CARDS, "credit_cost = 40").await;
    host.order(OWNER, CARDS, 3).await;
    assert_eq!(parts(&host, OWNER).await, (0, 30));
    let attempts = host.claim("gemini", 3).await;
    host.fail(attempts[0], "CONTENT_REFUSED").await;
    assert_eq!(parts(&host, OWNER).await, (20, 50));
    host.fail(attempts[1], "CONTENT_REFUSED").await;
    assert_eq!(parts(&host, OWNER).await, (60, 50));
    host.complete(attempts[2]).await;
    host.assert_healthy().await;

    // What is bought lasts; what older code gives is monthly, and nothing is taken below zero.
    host.grant(OWNER, 7).await;
    assert_eq!(parts(&host, OWNER).await, (60, 57));
    let given = host.adjust("refund", OWNER, 5, "older code").await;
    assert_has!(given, { "success": true, "new_balance": 122 });
    assert_eq!(parts(&host, OWNER).await, (65, 57));
    let taken = host.adjust("consume", OWNER, 70, "older code").await;
    assert_has!(taken, { "success": true, "new_balance": 52 });
    assert_eq!(parts(&host, OWNER).await, (0, 52));
    assert_eq!(host.adjust("consume", OWNER, 53, "older code").await["success"], false);
    assert_eq!(parts(&host, OWNER).await, (0, 52));
}

#[tokio::test]
async fn an_unlimited_subscriber_is_charged_and_refunded_nothing() {
    let host = Host::with_its_wallet(App::Tools).await;
    let job = Uuid::new_v4();
    let ordered = host.enqueue(THIRD, job, UPSCALER, 1).await.unwrap();
    assert_has!(ordered, { "credits_charged": 0, "balance": 20 });
    assert_has!(host.job(job).await, { "credits_charged": 0, "credits_refunded": 0 });
    host.cancel(THIRD, job).await.unwrap();
    host.assert_cancelled(job, 0).await;
    let job = host.order(THIRD, CARDS, 3).await;
    let attempts = host.claim("gemini", 3).await;
    host.fail(attempts[0], "CONTENT_REFUSED").await;
    host.complete(attempts[1]).await;
    host.complete(attempts[2]).await;
    host.assert_completed(job, 0).await;
    assert_eq!(parts(&host, THIRD).await, (20, 0));
    assert_eq!(host.count("unstuck.credit_entries").await, 0);
    assert_eq!(host.count("public.upscaler_credit_transactions").await, 0);
}

#[tokio::test]
async fn a_lapsed_subscriber_has_the_lifetime_part_only() {
    let host = Host::with_its_wallet(App::Tools).await;
    let refused = host.enqueue(LAPSED, Uuid::new_v4(), UPSCALER, 1).await.unwrap_err();
    assert_eq!(refused.reason(), ("PT402", "insufficient_credits"));
    assert_has!(refused.detail, { "balance": 30, "required": 60 });
    assert_eq!(parts(&host, LAPSED).await, (60, 30), "a refusal leaves nothing behind");
    host.exec("update public.ai_tool_settings set credit_cost = 20").await;
    let job = host.order(LAPSED, UPSCALER, 1).await;
    assert_eq!(parts(&host, LAPSED).await, (0, 10));
    host.cancel(LAPSED, job).await.unwrap();
    assert_eq!(parts(&host, LAPSED).await, (0, 30));
    host.assert_healthy().await;
}

#[tokio::test]
async fn the_guard_of_the_balance_stays_up_around_our_calls() {
    let host = Host::with_its_wallet(App::Cards).await;
    host.set_tool(CARDS, "credit_cost = 20").await;
    let args = enqueue_args(OWNER, Uuid::new_v4(), CARDS, 1);
    host.exec(
        "begin; select set_config('request.jwt.claims', '{\"role\":\"authenticated\"}', true)",
    )
    .await;
    host.ask("job_enqueue_v1", args).await;
    let settings = host
        .row(
            "select current_setting('request.jwt.claims') as claims,
                coalesce(current_setting('app.bypass_token_protection', true), '') as bypass,
                current_setting('search_path') as path",
        )
        .await;
    assert_has!(settings, { "claims": "{\"role\":\"authenticated\"}", "bypass": "" });
    assert!(settings["path"].as_str().unwrap().contains("$user"), "{settings}");
    host.exec("update public.profiles set tokens_balance = 1000000; commit").await;
    assert_eq!(purse(&host, App::Cards).await.0, 80, "the guard put the old balance back");
    let refused = "public.security_events where event_type = 'token_balance_change_refused'";
    assert_eq!(host.count(refused).await, 2, "of two profiles, and of none of our calls");
    // And the rows of the app's own trigger are the app's own.
    let direct = "public.token_transactions where transaction_type = 'direct_sql_update'";
    assert_eq!(host.count(direct).await, 0);
}

/// An order of a website that names its team.
async fn order_for(
    host: &Host,
    user: Uuid,
    team: Option<Uuid>,
) -> Result<Value, (String, String, Value)> {
    let mut args = enqueue_args(user, Uuid::new_v4(), WEBSITE, 1);
    if let Some(team) = team {
        args = with(args, json!({ "p_input": { "prompt": "A bakery", "teamId": team } }));
    }
    let rows = host.try_call("job_enqueue_v1", args).await;
    rows.map(|rows| rows[0].clone()).map_err(|error| (error.state, error.message, error.detail))
}

#[tokio::test]
async fn a_team_pays_down_to_its_credit_limit() {
    let host = Host::with_its_wallet(App::Sites).await;
    // 10.00 and a limit of 5.50, at 3.50 each.
    for left in [1200, 850, 500, 150] {
        let ordered = order_for(&host, OWNER, None).await.unwrap();
        assert_has!(ordered, { "credits_charged": 350, "balance": left });
    }
    let (state, code, detail) = order_for(&host, OWNER, None).await.unwrap_err();
    assert_eq!((&*state, &*code), ("PT402", "insufficient_credits"));
    assert_has!(detail, { "balance": 150, "required": 350 });
    assert_eq!(purse(&host, App::Sites).await, (-400, -1400));
    let on_credit = "public.credit_transactions where is_on_credit and balance_after < 0";
    assert_eq!(host.count(on_credit).await, 2);
    host.age_all("1 day").await;
    host.sweep().await;
    assert_eq!(purse(&host, App::Sites).await, (1000, 0));
    host.assert_healthy().await;
}

#[tokio::test]
async fn an_order_names_its_team_where_several_may_pay() {
    let host = Host::with_its_wallet(App::Sites).await;
    let other = uuid!("00000000-0000-4000-8000-0000000000f2");
    let refused = async |user: Uuid, team: Option<Uuid>| {
        let (state, code, _) = order_for(&host, user, team).await.unwrap_err();
        (state, code)
    };
    let forbidden = ("PT403".to_owned(), "forbidden".to_owned());
    assert_eq!(refused(THIRD, None).await, forbidden, "who waits to be let in");
    assert_eq!(refused(THIRD, Some(TEAM)).await, forbidden);
    assert_eq!(refused(OWNER, Some(other)).await, forbidden);
    host.exec(&format!(
        "insert into public.teams (id, name, created_by, balance)
            values ('{other}', 'Two', '{ADMIN}', 100);
        insert into public.team_members (team_id, user_id, role, status)
            values ('{other}', '{OWNER}', 'buyer', 'approved')"
    ))
    .await;
    assert_eq!(refused(OWNER, None).await, ("PT400".to_owned(), "bad_request".to_owned()));
    let ordered = order_for(&host, OWNER, Some(other)).await.unwrap();
    // Without prices of its own a team pays ours.
    let price =
        host.int(&format!("select credit_cost from unstuck.tools where tool = '{WEBSITE}'")).await;
    assert_has!(ordered, { "credits_charged": price, "balance": 10_000 - price });
    assert_eq!(purse(&host, App::Sites).await.0, 1000, "the other team pays");
    // Whoever has left since: the team that paid gets it back.
    host.exec(&format!(
        "delete from public.team_members where team_id = '{other}' and user_id = '{OWNER}'"
    ))
    .await;
    host.cancel(OWNER, id(&ordered["job_id"])).await.unwrap();
    let balance = format!("select balance::int from public.teams where id = '{other}'");
    assert_eq!(host.int(&balance).await, 100);
    assert_eq!(purse(&host, App::Sites).await.0, 1000);
    host.assert_healthy().await;
}

const REFUSES: &str = "
    create function public.no_refunds() returns trigger language plpgsql as
    'begin raise exception ''no refunds today''; end';
    create trigger no_refunds before insert on public.token_transactions
    for each row when (new.transaction_type = 'refund') execute function public.no_refunds()";

#[tokio::test]
async fn a_refund_that_the_app_refuses_is_owed_and_paid_by_a_later_pass() {
    let host = Host::with_its_wallet(App::Cards).await;
    host.set_tool(CARDS, "credit_cost = 10").await;
    host.exec(REFUSES).await;
    let cancelled = host.order(OWNER, CARDS, 1).await;
    let answer = host.cancel(OWNER, cancelled).await.unwrap();
    assert_has!(answer, { "status": "cancelled", "refunded_credits": 0 });
    // A share that is owed while the job goes on, and the next one, are owed once.
    let cards = host.order(OWNER, CARDS, 3).await;
    let attempts = host.claim("gemini", 3).await;
    host.fail(attempts[0], "CONTENT_REFUSED").await;
    host.complete(attempts[1]).await;
    host.fail(attempts[2], "CONTENT_REFUSED").await;
    assert_eq!(host.job(cards).await["status"], "completed");
    let owed = "select job_id, step, amount, error from unstuck.refunds_owed";
    let mut rows = host.rows(owed).await;
    rows.sort_by_key(|row| row["step"].as_i64());
    let row = |job: Uuid, step: Option<i64>| {
        json!({ "job_id": job, "step": step, "amount": 10,
        "error": "no refunds today" })
    };
    // The steps of a job that is cancelled end with it: its one share is a step's.
    assert_eq!(rows.len(), 3, "{rows:?}");
    for expected in [row(cancelled, Some(1)), row(cards, Some(1)), row(cards, Some(3))] {
        assert!(rows.contains(&expected), "{expected} in {rows:?}");
    }
    host.assert_healthy().await;

    // A pass tries again in vain; after an hour everybody sees it.
    host.sweep().await;
    assert_eq!(
        host.rows("select tries from unstuck.refunds_owed").await,
        vec![json!({ "tries": 2 }); 3]
    );
    host.assert_healthy().await;
    host.exec("update unstuck.refunds_owed set at = at - interval '61 minutes'").await;
    assert_eq!(host.violated().await, ["refund_owed"; 3]);
    let cards_before = purse(&host, App::Cards).await.0;
    host.exec("drop trigger no_refunds on public.token_transactions").await;
    host.sweep().await;
    assert_eq!(host.count("unstuck.refunds_owed").await, 0);
    assert_eq!(purse(&host, App::Cards).await.0, cards_before + 30);
    host.assert_cancelled(cancelled, 10).await;
    host.assert_completed(cards, 20).await;
    host.sweep().await;
    assert_eq!(purse(&host, App::Cards).await.0, cards_before + 30, "once");
}

#[tokio::test]
async fn healers_wait_for_no_wallet_and_stop_for_none() {
    let host = Host::with_its_wallet(App::Cards).await;
    host.set_tool(CARDS, "credit_cost = 10").await;
    let (held, free) = (host.order(OWNER, CARDS, 1).await, host.order(ADMIN, CARDS, 1).await);
    host.age_all("1 day").await;
    let app = host.connect("postgres").await;
    app.exec(&format!("begin; update public.profiles set full_name = 'held' where id = '{OWNER}'"))
        .await;
    host.sweep().await;
    host.assert_failed(free, "QUEUE_TIMEOUT", 10).await;
    assert_eq!(host.job(held).await["status"], "queued");
    // Reads wait for nobody either.
    let shown = host.ask("job_get_v1", json!({ "p_job_id": free })).await;
    assert_eq!(shown["balance"], 100);
    let shown = host.ask("job_get_v1", json!({ "p_job_id": held })).await;
    assert_eq!(shown["balance"], 90, "what the last entry says");
    app.exec("commit").await;
    host.sweep().await;
    host.assert_failed(held, "QUEUE_TIMEOUT", 10).await;
    assert_eq!(purse(&host, App::Cards).await.0, 100);
}

/// Fifty users with 1,000 credits each; in the app of websites they share one team.
async fn fifty_users(host: &Host, app: App) -> Vec<Uuid> {
    let users: Vec<Uuid> = (0..50).map(|_| Uuid::new_v4()).collect();
    let rows: Vec<String> = users.iter().map(|user| format!("('{user}', '{user}@x')")).collect();
    host.exec(&format!("insert into auth.users (id, email) values {}", rows.join(", "))).await;
    let ids: Vec<String> = users.iter().map(|user| format!("('{user}'::uuid)")).collect();
    let ids = format!("(values {}) as n (id)", ids.join(", "));
    host.exec(&match app {
        App::Tools => format!(
            "insert into public.profiles (id, name, email) select id, 'x', id || '@x' from {ids};
            insert into public.upscaler_credits (user_id, balance, monthly_balance)
            select id, 1000, 1000 from {ids};
            update public.ai_tool_settings set credit_cost = 3"
        ),
        App::Cards => "begin; set local app.bypass_token_protection = 'true';
            update public.profiles set tokens_balance = 1000; commit"
            .to_owned(),
        _ => format!(
            "insert into public.team_members (team_id, user_id, role, status)
            select '{TEAM}', id, 'buyer', 'approved' from {ids};
            update public.teams set balance = 500;
            update public.team_pricing set html_price = 0.03"
        ),
    })
    .await;
    users
}

/// What the app itself does with a user's wallet: it spends 2 and gives back 1.
fn of_the_app(app: App, user: Uuid) -> String {
    match app {
        App::Tools => format!(
            "select set_config('request.jwt.claims', '{{\"role\":\"service_role\"}}', false),
                consume_upscaler_credits('{user}', 2, 'x'),
                refund_upscaler_credits('{user}', 1, 'x')"
        ),
        App::Cards => format!("select spend_tokens('{user}', 2), refund_tokens('{user}', 1)"),
        _ => format!("update public.teams set balance = balance - 0.01 where id = '{TEAM}'"),
    }
}

/// The app's table of jobs, and a column of it that we leave alone.
fn rows_of(app: App) -> (&'static str, &'static str) {
    match app {
        App::Tools => ("upscaler_jobs", "prompt"),
        App::Cards => ("generation_jobs", "style_description"),
        _ => ("generation_history", "admin_note"),
    }
}

/// The app's own transaction: rows of jobs first, then the wallet, against our order of locks.
fn rows_and_wallet(app: App, user: Uuid) -> String {
    let (table, column) = rows_of(app);
    format!(
        "begin; update public.{table} set {column} = 'x' where user_id = '{user}'; {}; commit",
        of_the_app(app, user)
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_beside_the_apps_own_functions_lose_and_double_nothing() {
    for (app, tool) in [(App::Tools, UPSCALER), (App::Cards, CARDS), (App::Sites, WEBSITE)] {
        let host = Host::with_its_tables(app).await;
        host.set_tool(CARDS, "credit_cost = 3").await;
        let users = fifty_users(&host, app).await;
        let total = match app {
            App::Tools => "select sum(balance) from public.upscaler_credits",
            App::Cards => "select sum(tokens_balance) from public.profiles",
            _ => "select (100 * sum(balance))::bigint from public.teams",
        };
        let before = host.int(total).await;
        let half = users.chunks(2).map(async |users| {
            let ours = host.connect("postgres").await;
            for user in [users[0], users[1], users[0], users[1]] {
                let (kept, back) = (Uuid::new_v4(), Uuid::new_v4());
                for job in [kept, back] {
                    ours.enqueue(user, job, tool, 1).await.unwrap();
                }
                ours.cancel(user, back).await.unwrap();
            }
        });
        let other_half = users.chunks(2).map(async |users| {
            let app_session = host.connect("postgres").await;
            for user in [users[0], users[1], users[1], users[0]] {
                app_session.exec(&of_the_app(app, user)).await;
                // And its rows of jobs, held until it has the wallet too.
                app_session.exec(&rows_and_wallet(app, user)).await;
            }
        });
        let healer = async {
            let healer = host.connect("postgres").await;
            for _ in 0..5 {
                healer.sweep().await;
            }
        };
        tokio::join!(join_all(half), join_all(other_half), healer);
        // Of each user two orders of 3 stay, and four times 1 of the app's own.
        assert_eq!(host.int(total).await, before - 50 * (2 * 3 + 4), "{app:?}");
        assert_eq!(ours(&host).await, -50 * 6, "{app:?}");
        host.age_all("1 day").await;
        for _ in 0..10 {
            host.sweep().await;
        }
        assert_eq!(host.int(total).await, before - 50 * 4, "{app:?}");
        assert_eq!(host.count("unstuck.projection_errors where mended_at is null").await, 0);
        let (table, _) = rows_of(app);
        let ended = format!(
            "unstuck.jobs j join public.{table} t using (id, user_id)
            where t.status::text in ('failed', 'cancelled') and j.completed_at is not null"
        );
        assert_eq!(host.count(&ended).await, 200, "{app:?}: every job shows its end");
        host.assert_healthy().await;
    }
}

#[tokio::test]
async fn a_wallet_is_attached_once_and_only_where_nothing_is_lost() {
    let host = Host::installed(App::Cards, Rights::Closed).await;
    host.open_all_tools().await;
    host.grant(OWNER, 100).await;
    let job = host.order(OWNER, CARDS, 1).await;
    let refused = host.try_attach_wallet("cards-app").await.unwrap_err();
    assert_eq!(refused.message, "1 users have credits in the built-in wallet");
    let rest = host.int("select balance from unstuck.credit_accounts").await;
    host.insert_entry(OWNER, None, "adjustment", -rest).await;
    let refused = host.try_attach_wallet("cards-app").await.unwrap_err();
    assert_eq!(refused.message, "1 jobs live that were paid from the built-in wallet");
    host.cancel(OWNER, job).await.unwrap();
    let rest = host.int("select balance from unstuck.credit_accounts").await;
    host.insert_entry(OWNER, None, "adjustment", -rest).await;
    host.try_attach_wallet("cards-app").await.unwrap();
    host.try_attach_wallet("cards-app").await.unwrap();
    assert_eq!(host.texts("select adapter from unstuck_private.installed").await, ["cards-app"]);
    let refused = host.try_attach_wallet("sites-app").await.unwrap_err();
    assert_eq!(refused.message, "the adapter cards-app holds the balances");
    host.assert_healthy().await;
}

/// Every call of the wallet's lock fails, as in an app that lost a column.
const BROKEN_LOCK: &str = "
    create or replace function unstuck_private.wallet_lock(uuid, text, boolean)
    returns table (balance bigint, unlimited boolean) language plpgsql as
    'begin raise exception ''no such column''; end'";

#[tokio::test]
async fn a_wallet_that_fails_stops_no_end_of_a_job_and_no_answer() {
    let host = Host::with_its_wallet(App::Cards).await;
    host.set_tool(CARDS, "credit_cost = 10").await;
    let (cancelled, left, erased) = (
        host.order(OWNER, CARDS, 1).await,
        host.order(OWNER, CARDS, 1).await,
        host.order(OWNER, CARDS, 1).await,
    );
    let parameters = "p_user_id uuid, p_tool text, p_wait boolean";
    host.exec(&BROKEN_LOCK.replace("uuid, text, boolean", parameters)).await;
    let shown = host.ask("job_get_v1", json!({ "p_job_id": left })).await;
    assert_has!(shown, { "status": "queued", "balance": 70 });
    host.cancel(OWNER, cancelled).await.unwrap();
    host.assert_cancelled(cancelled, 10).await;
    let closed = json!({ "p_user_id": OWNER, "p_session_id": "other", "p_job_ids": [left] });
    host.ask("session_cancel_v1", closed).await;
    host.assert_cancelled(left, 10).await;
    let erase = json!({ "p_actor": ADMIN, "p_user_id": OWNER, "p_reason": "asked" });
    assert_has!(host.ask("user_erase_v1", erase).await, { "jobs": 3 });
    assert_eq!(host.count(&format!("unstuck.jobs where id = '{erased}'")).await, 0);
    assert_eq!(purse(&host, App::Cards).await.0, 100);
}

#[tokio::test]
async fn a_user_is_erased_only_once_the_app_took_back_what_it_owes() {
    let host = Host::with_its_wallet(App::Cards).await;
    host.set_tool(CARDS, "credit_cost = 10").await;
    host.exec(REFUSES).await;
    let ended = host.order(OWNER, CARDS, 1).await;
    host.cancel(OWNER, ended).await.unwrap();
    let live = host.order(OWNER, CARDS, 1).await;
    let erase = json!({ "p_actor": ADMIN, "p_user_id": OWNER, "p_reason": "asked" });
    let refused = host.try_call("user_erase_v1", erase.clone()).await.unwrap_err();
    assert_eq!(refused.reason(), ("PT409", "in_progress"));
    assert_has!(refused.detail, { "refunds_owed": 20 });
    assert_eq!(host.job(live).await["status"], "queued", "all or nothing");
    assert_eq!(host.count("unstuck.refunds_owed").await, 1);
    host.exec("drop trigger no_refunds on public.token_transactions").await;
    host.ask("user_erase_v1", erase).await;
    assert_eq!(purse(&host, App::Cards).await.0, 100);
    assert_eq!(host.count("unstuck.refunds_owed").await, 0);
    assert_eq!(host.count(&format!("unstuck.jobs where user_id = '{OWNER}'")).await, 0);
}

/// The wallet gives at most this much at a time, or refuses.
async fn give_at_most(host: &Host, most: Option<i64>) {
    let body = match most {
        Some(most) => format!(
            "given := unstuck_private.gives(
                p_user_id, least(p_amount, {most}), p_job_id, p_reason, p_receipt)"
        ),
        None => "raise exception ''not now''".to_owned(),
    };
    host.exec(&format!(
        "create or replace function unstuck_private.wallet_refund(p_user_id uuid, p_amount bigint,
            p_job_id uuid, p_reason text, p_receipt jsonb, out given bigint) language plpgsql as
        'begin {body}; end'"
    ))
    .await;
}

#[tokio::test]
async fn two_refunds_of_one_job_that_are_owed_in_part_hold_up_no_other() {
    let host = Host::with_its_wallet(App::Cards).await;
    host.set_tool(CARDS, "credit_cost = 30").await;
    host.exec("alter function unstuck_private.wallet_refund rename to gives").await;
    give_at_most(&host, Some(4)).await;
    let cards = host.order(OWNER, CARDS, 3).await;
    let attempts = host.claim("gemini", 3).await;
    host.fail(attempts[0], "CONTENT_REFUSED").await;
    host.fail(attempts[1], "CONTENT_REFUSED").await;
    assert_eq!(host.count(&format!("unstuck.refunds_owed where job_id = '{cards}'")).await, 2);
    give_at_most(&host, None).await;
    let other = host.order(ADMIN, CARDS, 1).await;
    host.cancel(ADMIN, other).await.unwrap();
    let owed = "select coalesce(sum(amount), 0)::bigint from unstuck.refunds_owed";
    let before = host.int(owed).await;
    host.sweep().await;
    assert_eq!(host.int(owed).await, before);
    assert_eq!(host.count("unstuck.refunds_owed where tries < 2").await, 0, "each was tried");
    give_at_most(&host, Some(1000)).await;
    host.sweep().await;
    assert_eq!(host.int(owed).await, 0);
    host.complete(attempts[2]).await;
    host.assert_completed(cards, 60).await;
    host.assert_cancelled(other, 30).await;
    assert_eq!(purse(&host, App::Cards).await.0, 70);
    host.assert_healthy().await;
}

#[tokio::test]
async fn a_wallet_is_shared_with_rows_that_name_its_user() {
    for (app, tool, row, held) in [
        (
            App::Cards,
            CARDS,
            format!("insert into public.user_roles (user_id, role) values ('{OWNER}', 'admin')"),
            format!("select from public.profiles where id = '{OWNER}' for update nowait"),
        ),
        (
            App::Sites,
            WEBSITE,
            format!(
                "insert into public.generation_history (prompt, user_id, team_id)
                values ('x', '{OWNER}', '{TEAM}')"
            ),
            format!("select from public.teams where id = '{TEAM}' for update nowait"),
        ),
    ] {
        let host = Host::with_its_wallet(app).await;
        host.set_tool(CARDS, "credit_cost = 10").await;
        let job = host.order(OWNER, tool, 1).await;
        let other = host.connect("postgres").await;
        // Whoever reads the state of a job holds nothing.
        host.exec("begin").await;
        host.ask("job_get_v1", json!({ "p_job_id": job })).await;
        other.exec(&held).await;
        host.exec("commit").await;
        host.age(job, "1 day").await;
        // And a row that names the wallet by a foreign key holds up no healer.
        other.exec(&format!("begin; {row}")).await;
        host.sweep().await;
        assert!(host.job(job).await["credits_refunded"].as_i64() > Some(0), "{app:?}");
        other.exec("rollback").await;
    }
}
