//! The app of websites: `generation_history`, and a team that pays in money down to its credit
//! limit.
//!
//! A website is one step with one price, so nothing is refunded in part.

use serde_json::{Value, json};
use unstuck_tests::assert_has;
use unstuck_tests::e2e::website::{TABLE, TOOL, Website, clean_up};
use unstuck_tests::e2e::{self, FunctionCall, HostWorld, TestUser};
use unstuck_tests::hosts::App;
use unstuck_tests::shop;
use uuid::Uuid;

/// The columns that a page of this app reads.
const SHOWN: [&str; 2] = ["status", "sale_price"];

#[test]
fn the_app_of_websites_sees_each_step_of_a_website() {
    e2e::run_in(App::Sites, async |home| {
        a_website_is_delivered(home).await;
        a_failed_website_is_returned_and_retried(home).await;
        a_website_whose_worker_died_is_retried(home).await;
        a_waiting_website_is_cancelled_by_its_user_and_by_an_admin(home).await;
        a_trigger_that_raises_stops_no_website(home).await;
    });
}

#[test]
fn a_team_pays_down_to_its_limit_and_only_for_its_members() {
    e2e::run_in(App::Sites, async |home| {
        a_team_at_its_limit_is_refused(home).await;
        a_member_of_several_teams_names_one(home).await;
        a_paid_retry_is_of_the_team_that_paid_before(home).await;
    });
}

/// The owner of a website, and the team that pays for it.
struct TeamMember {
    user: TestUser,
    team: Uuid,
}

/// A new user, owner of a new team with that balance and limit, to whom a website costs 3.50.
async fn member(home: &HostWorld<'_>, balance: &str, limit: &str) -> TeamMember {
    let user = home.newcomer().await;
    let team = new_team(home, &user, balance, limit).await;
    TeamMember { user, team }
}

async fn new_team(home: &HostWorld<'_>, owner: &TestUser, balance: &str, limit: &str) -> Uuid {
    let team = Uuid::new_v4();
    home.db()
        .exec(&format!(
            "insert into public.teams (id, name, created_by, balance, credit_limit)
            values ('{team}', 'Team', '{0}', {balance}, {limit});
            insert into public.team_pricing (team_id, html_price) values ('{team}', 3.50);
            insert into public.team_members (team_id, user_id, role, status)
            values ('{team}', '{0}', 'owner', 'approved')",
            owner.id
        ))
        .await;
    team
}

/// A request for a website.
fn request<'a>(home: &'a HostWorld<'_>, user: &TestUser, body: &Value) -> FunctionCall<'a> {
    home.call(TOOL).by(user).json(body)
}

/// Orders a website. The prompt contains the job's id, so that a test finds the calls of the model.
async fn ordered(home: &HostWorld<'_>, who: &TeamMember) -> Uuid {
    let job = Uuid::new_v4();
    let body = json!({ "prompt": format!("a bakery {job}"), "siteName": "Brot", "jobId": job });
    request(home, &who.user, &body).send().await.expect(202);
    job
}

/// A team's balance, and then the app's own records of its payments, oldest first.
async fn money(home: &HostWorld<'_>, team: Uuid) -> String {
    home.line(&format!(
        "select balance::text from public.teams where id = '{team}'
        union all
        (select format('%s %s to %s%s', type, amount, balance_after,
            case when is_on_credit then ' on credit' end)
        from public.credit_transactions where team_id = '{team}' order by created_at)"
    ))
    .await
}

/// The number and the sum of the payments that name this website.
async fn paid_for(home: &HostWorld<'_>, job: Uuid) -> String {
    home.line(&format!(
        "select format('%s: %s', count(*), sum(amount)) from public.credit_transactions
        where generation_id = '{job}'"
    ))
    .await
}

/// Asserts that every column of a website that we write equals our job. Its price is written at its
/// end only.
async fn assert_shown(home: &HostWorld<'_>, who: &TeamMember, job: Uuid, status: &str) -> Value {
    let (row, ours) = (home.row(TABLE, job).await, home.job(job).await);
    let number = |name: &str| ours[name].as_f64().expect("a number");
    let price = (number("credits_charged") - number("credits_refunded")) / 100.0;
    let price = if ours["completed_at"].is_null() { Value::Null } else { json!(price) };
    assert_has!(row, {
        "user_id": who.user.id,
        "team_id": who.team,
        "prompt": ours["input"]["prompt"],
        "language": ours["input"]["language"].as_str().unwrap_or("en"),
        "site_name": "Brot",
        "website_type": "html",
        "created_at": ours["created_at"],
        "status": status,
        "error_message": ours["error_message"],
        "completed_at": ours["completed_at"],
        "retry_count": ours["retries"],
        "download_url": ours["output_url"],
        "sale_price": price,
    });
    row
}

async fn a_website_is_delivered(home: &mut HostWorld<'_>) {
    let who = member(home, "10", "5.5").await;
    let job = ordered(home, &who).await;
    home.until_status(job, "completed").await;
    home.db().assert_completed(job, 0).await;
    let row = assert_shown(home, &who, job, "completed").await;
    assert!(row["download_url"].is_string(), "{row}");
    assert_has!(row, { "sale_price": 3.5, "retry_count": 0, "ai_model": "junior" });
    assert_eq!(money(home, who.team).await, "6.50, generation -3.50 to 6.50");
    assert_eq!(paid_for(home, job).await, "1: -3.50");
    assert_eq!(
        home.told(TABLE, job, &SHOWN).await,
        ["INSERT pending null", "UPDATE generating null", "UPDATE completed 3.50"]
    );
    assert_eq!(home.told("teams", who.team, &["balance"]).await, ["INSERT 10", "UPDATE 6.50"]);

    // The app's page reads the user's own website, and no other user's.
    let query = format!("{TABLE}?id=eq.{job}");
    assert_eq!(home.read_by(&who.user, &query).await, json!([row]));
    assert_eq!(home.read_by(&home.newcomer().await, &query).await, json!([]));
    let active = json!({ "p_user_id": who.user.id });
    let active = home.call_by(&who.user, "get_user_active_generations", active).await;
    assert_eq!(active, Ok(json!(0)));
}

async fn a_failed_website_is_returned_and_retried(home: &mut HostWorld<'_>) {
    let who = member(home, "10", "5.5").await;
    home.script(json!({ "llm": { "times": 1, "status": 401 } })).await;
    let job = ordered(home, &who).await;
    home.until_status(job, "failed").await;
    home.db().assert_failed(job, "PROVIDER_REJECTED", 350).await;
    let row = assert_shown(home, &who, job, "failed").await;
    assert_has!(row, { "sale_price": 0.0 });
    assert_eq!(
        money(home, who.team).await,
        "10.00, generation -3.50 to 6.50, refund 3.50 to 10.00"
    );
    assert_eq!(paid_for(home, job).await, "2: 0.00");
    assert_eq!(
        home.told(TABLE, job, &SHOWN).await,
        ["INSERT pending null", "UPDATE generating null", "UPDATE failed 0.00"]
    );
    assert_eq!(
        home.told("teams", who.team, &["balance"]).await,
        ["INSERT 10", "UPDATE 6.50", "UPDATE 10.00"]
    );

    for (charge, price, left) in [(false, 0.0, "10.00"), (true, 3.5, "6.50")] {
        let again = home.host_admin_retries(TABLE, job, charge).await;
        home.until_status(again, "completed").await;
        let row = assert_shown(home, &who, again, "completed").await;
        assert_has!(row, { "sale_price": price });
        assert!(money(home, who.team).await.starts_with(&format!("{left}, ")));
        let last = home.told(TABLE, again, &SHOWN).await.pop();
        assert_eq!(last, Some(format!("UPDATE completed {price:.2}")));
    }
    assert_eq!(home.row(TABLE, job).await, row, "the failed one stays as it was");
}

async fn a_website_whose_worker_died_is_retried(home: &mut HostWorld<'_>) {
    let who = member(home, "10", "5.5").await;
    home.script(json!({ "reset": true, "llm": { "times": 1, "hang": true } })).await;
    let job = ordered(home, &who).await;
    let prompt = job.to_string();
    let asked = async || (!Website::asked(home, &prompt).await.is_empty()).then_some(());
    home.until("the model is asked", asked).await;
    assert_shown(home, &who, job, "generating").await;
    home.kill_workerd().await;
    let past = "lease_until = clock_timestamp() - interval '1 second'";
    home.db().set_steps(job, past).await;
    clean_up(home).await;
    home.until_status(job, "completed").await;
    let row = assert_shown(home, &who, job, "completed").await;
    assert_has!(row, { "retry_count": 1, "sale_price": 3.5 });
    assert_eq!(money(home, who.team).await, "6.50, generation -3.50 to 6.50");
    assert_eq!(home.told(TABLE, job, &SHOWN).await.last().unwrap(), "UPDATE completed 3.50");
}

async fn a_waiting_website_is_cancelled_by_its_user_and_by_an_admin(home: &mut HostWorld<'_>) {
    home.set_provider("llm", "enabled = false").await;
    for by_admin in [false, true] {
        let who = member(home, "10", "5.5").await;
        let job = ordered(home, &who).await;
        assert_shown(home, &who, job, "pending").await;
        let answer = if by_admin {
            home.host_admin_cancels(TABLE, job).await
        } else {
            home.user_cancels(&who.user, TABLE, job).await
        };
        assert_has!(answer, { "status": "cancelled", "refundedCredits": 350 });
        home.db().assert_cancelled(job, 350).await;
        assert_shown(home, &who, job, "failed").await;
        assert_eq!(
            money(home, who.team).await,
            "10.00, generation -3.50 to 6.50, refund 3.50 to 10.00"
        );
        assert_eq!(
            home.told(TABLE, job, &SHOWN).await,
            ["INSERT pending null", "UPDATE failed 0.00"]
        );
    }
    home.set_provider("llm", "enabled = true").await;
}

async fn a_trigger_that_raises_stops_no_website(home: &mut HostWorld<'_>) {
    let who = member(home, "10", "5.5").await;
    home.break_trigger(TABLE).await;
    let job = ordered(home, &who).await;
    home.until_status(job, "completed").await;
    home.db().assert_completed(job, 0).await;
    home.sweep().await;
    let error = "select format('%s %s', host_table, error) from unstuck.projection_errors
        where mended_at is null";
    assert_eq!(home.line(error).await, "generation_history not in this app");
    assert_eq!(home.told(TABLE, job, &SHOWN).await, [""; 0]);
    assert_eq!(paid_for(home, job).await, "0: ", "the app has no such website yet");

    home.mend_trigger(TABLE).await;
    home.sweep().await;
    assert_shown(home, &who, job, "completed").await;
    assert_eq!(home.told(TABLE, job, &SHOWN).await, ["INSERT completed 3.50"]);
    assert_eq!(money(home, who.team).await, "6.50, generation -3.50 to 6.50");
}

async fn a_team_at_its_limit_is_refused(home: &mut HostWorld<'_>) {
    let who = member(home, "1.5", "2").await;
    let job = ordered(home, &who).await;
    home.until_status(job, "completed").await;
    let there = "-2.00, generation -3.50 to -2.00 on credit";
    assert_eq!(money(home, who.team).await, there);
    let order = json!({ "prompt": "one more", "jobId": Uuid::new_v4() });
    let refusal = request(home, &who.user, &order).refused(402, "insufficient_credits").await;
    assert_has!(refusal, { "balance": 0, "required": 350 });
    assert_eq!(money(home, who.team).await, there, "nothing was taken");
    let rows = format!("public.{TABLE} where user_id = '{}'", who.user.id);
    assert_eq!(home.db().count(&rows).await, 1, "and there is no row of it");
    home.told("teams", who.team, &["balance"]).await;
    let paid = format!("update public.teams set balance = 1.5 where id = '{}'", who.team);
    home.db().exec(&paid).await;
    let job = ordered(home, &who).await;
    home.until_status(job, "completed").await;
    assert_eq!(
        home.told("teams", who.team, &["balance"]).await,
        ["UPDATE 1.5", "UPDATE -2.00"],
        "the team paid its debt and orders to its limit"
    );
}

async fn a_member_of_several_teams_names_one(home: &mut HostWorld<'_>) {
    let one = member(home, "10", "0").await;
    let second = new_team(home, &one.user, "20", "0").await;
    let others = member(home, "30", "0").await;
    let waits = format!(
        "insert into public.team_members (team_id, user_id, role, status)
        values ('{}', '{}', 'buyer', 'pending')",
        others.team, one.user.id
    );
    home.db().exec(&waits).await;

    let body = json!({ "prompt": "whose?" });
    let refusal = request(home, &one.user, &body).refused(400, "bad_request").await;
    assert_eq!(refusal["field"], "teamId", "{refusal}");
    let alone = home.newcomer().await;
    request(home, &alone, &body).refused(403, "forbidden").await;
    for team in [others.team, Uuid::new_v4()] {
        let body = json!({ "prompt": "theirs", "teamId": team });
        let refusal = request(home, &one.user, &body).refused(403, "forbidden").await;
        assert_eq!(refusal["field"], "teamId", "{refusal}");
    }
    assert_eq!(money(home, others.team).await, "30");
    assert_eq!(home.count(&format!("jobs where user_id = '{}'", one.user.id)).await, 0);

    let body = json!({ "prompt": "a bakery", "siteName": "Brot", "teamId": second });
    let answer = request(home, &one.user, &body).send().await.expect(202);
    let job = shop::id(&answer["historyId"]);
    home.until_status(job, "completed").await;
    let who = TeamMember { user: one.user, team: second };
    assert_shown(home, &who, job, "completed").await;
    assert_eq!(money(home, second).await, "16.50, generation -3.50 to 16.50");
    assert_eq!(money(home, one.team).await, "10");
}

/// It holds also if the user is a member of more teams by now.
async fn a_paid_retry_is_of_the_team_that_paid_before(home: &mut HostWorld<'_>) {
    let who = member(home, "10", "0").await;
    let job = ordered(home, &who).await;
    home.until_status(job, "completed").await;
    let second = new_team(home, &who.user, "20", "0").await;
    let again = home.host_admin_retries(TABLE, job, true).await;
    home.until_status(again, "completed").await;
    assert_shown(home, &who, again, "completed").await;
    assert_eq!(
        money(home, who.team).await,
        "3.00, generation -3.50 to 6.50, generation -3.50 to 3.00"
    );
    assert_eq!(money(home, second).await, "20");
}
