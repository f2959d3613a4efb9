//! The app keeps the balances: orders and refunds move them through the app's own functions, and
//! the app's own records of them add up to the credits.

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

/// What the owner may spend in the app, and the sum of the app's records, in credits.
pub async fn purse(host: &Host, app: App) -> (i64, i64) {
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
            // The app writes no records of these movements.
            "select coalesce(sum(amount), 0)::bigint from unstuck.credit_entries".to_owned(),
        ),
    };
    (host.int(&balance).await, host.int(&moved).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_and_all_that_becomes_of_it_move_the_apps_own_balance() {
    for (app, price) in [(App::Tools, 60), (App::Cards, 20), (App::Sites, 350), (App::Small, 60)] {
        let (tool, provider) = (app.tool(), app.provider());
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
        // An admin's retry that charges the user is accepted.
        let table = format!("select table_name from unstuck.tools where tool = '{tool}'");
        let table = host.texts(&table).await.remove(0);
        let again = Uuid::new_v4();
        host.ask("job_requeue_v1", requeue_args(ADMIN, &table, by_admin, true, again)).await;
        holds(price).await;
        assert_eq!(host.job(again).await["credits_charged"], price, "{at}");
        host.cancel_as_admin(ADMIN, again).await.unwrap();
        holds(0).await;

        // A replay charges nothing more. An order above the balance is refused and takes nothing.
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

#[tokio::test(flavor = "multi_thread")]
async fn purchases_and_debts_move_the_apps_own_balance_under_kinds_that_it_knows() {
    let by_owner = format!("where user_id = '{OWNER}' order by created_at");
    let of_cards = ["purchase", "bonus", "bonus", "direct_sql_update"];
    let of_sites = ["purchase", "goodwill", "bonus", "chargeback"];
    for (app, tool, types, kinds) in [
        (
            App::Tools,
            UPSCALER,
            format!("transaction_type from public.upscaler_credit_transactions {by_owner}"),
            ["credit", "credit", "credit", "chargeback"],
        ),
        (
            App::Cards,
            CARDS,
            format!("transaction_type from public.token_transactions {by_owner}"),
            of_cards,
        ),
        (
            App::Sites,
            WEBSITE,
            format!(
                "type from public.credit_transactions where team_id = '{TEAM}' order by created_at"
            ),
            of_sites,
        ),
        (App::Small, UPSCALER, format!("kind from unstuck.credit_entries {by_owner}"), of_sites),
    ] {
        let host = Host::with_its_wallet(app).await;
        let at = format!("{app:?}");
        let types = format!("select {types}");
        if app == App::Small {
            host.grant(OWNER, 20).await;
        }
        let (start, before) = (purse(&host, app).await, host.texts(&types).await.len());
        let holds = async |credits: i64| {
            let (balance, moved) = purse(&host, app).await;
            assert_eq!((balance, moved - start.1 + start.0), (credits, credits), "{at}");
        };
        let tell = async |more: Value| {
            let fact = with(json!({ "keys": ["pi_1"], "amount": 1000 }), more);
            host.ask("purchase_record_v1", json!({ "p_seller": "shop", "p_fact": fact })).await
        };
        let refunded = |amount: i64| json!({ "refundTotal": { "amount": amount, "at": amount } });
        tell(json!({ "paid": true, "userId": OWNER, "credits": 100 })).await;
        holds(start.0 + 100).await;
        host.insert_entry(OWNER, None, "goodwill", 5).await;
        host.insert_entry(OWNER, None, "bonus", 7).await;
        assert_has!(tell(refunded(400)).await, { "granted": 0, "taken": 40 });
        holds(start.0 + 72).await;
        assert_eq!(host.texts(&types).await[before..], kinds, "{at}");

        // Credits that are spent already become a debt, which stops orders until other credits
        // settle it.
        host.adjust("consume", OWNER, start.0 + 72, "spent").await;
        holds(0).await;
        assert_has!(tell(refunded(1000)).await, { "granted": 0, "taken": 60 });
        let refused = host.enqueue(OWNER, Uuid::new_v4(), tool, 1).await.unwrap_err();
        assert_eq!(refused.reason(), ("PT402", "insufficient_credits"), "{at}");
        assert_eq!(refused.detail["debt"], 60, "{at}");
        host.grant(OWNER, 70).await;
        holds(10).await;
        assert_eq!(host.count("unstuck.credit_debts where amount > settled").await, 0, "{at}");
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

    // Of three shares of 40, the share that was taken last is refunded first.
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

    // Bought credits go to the lifetime part, those of older code to the monthly part, and nothing
    // is taken below zero.
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
    // The app's own trigger has recorded none of our calls.
    let direct = "public.token_transactions where transaction_type = 'direct_sql_update'";
    assert_eq!(host.count(direct).await, 0);
}

/// Orders a website; the order may name the team that pays.
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
    // The team has 10.00 and a credit limit of 5.50, and a website costs 3.50.
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

/// A payment names no team, so a member of two has no wallet that could take it.
#[tokio::test]
async fn a_purchase_that_the_wallet_refuses_waits_until_it_is_taken() {
    let host = Host::with_its_wallet(App::Sites).await;
    let other = uuid!("00000000-0000-4000-8000-0000000000f2");
    host.exec(&format!(
        "insert into public.teams (id, name, created_by) values ('{other}', 'Two', '{ADMIN}');
        insert into public.team_members (team_id, user_id, role, status)
            values ('{other}', '{OWNER}', 'buyer', 'approved')"
    ))
    .await;
    let before = purse(&host, App::Sites).await.0;
    let fact = json!({ "keys": ["pi_1"], "paid": true, "userId": OWNER, "credits": 100 });
    let args = json!({ "p_seller": "shop", "p_fact": fact });
    let told = host.ask("purchase_record_v1", args.clone()).await;
    assert_has!(told, { "granted": 0, "user_id": OWNER, "reason": "waits_for_user" });
    host.assert_healthy().await;
    host.exec(&format!("delete from public.team_members where team_id = '{other}'")).await;
    let told = host.ask("purchase_record_v1", args).await;
    assert_has!(told, { "granted": 100, "reason": null });
    assert_eq!(purse(&host, App::Sites).await.0, before + 100);
    assert_eq!(host.count("unstuck.purchases where waits").await, 0);
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
    assert_eq!(refused(THIRD, None).await, forbidden, "a member who is not approved yet");
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
    // A team without prices of its own pays our price.
    let price =
        host.int(&format!("select credit_cost from unstuck.tools where tool = '{WEBSITE}'")).await;
    assert_has!(ordered, { "credits_charged": price, "balance": 10_000 - price });
    assert_eq!(purse(&host, App::Sites).await.0, 1000, "the other team pays");
    // The user has left the team since then: the team that paid is refunded.
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
