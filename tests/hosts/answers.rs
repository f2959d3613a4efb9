//! The app's own functions, policies and triggers answer as before our installation.

use serde_json::{Value, json};
use unstuck_tests::hosts::{self, App, Host, Rights};
use uuid::{Uuid, uuid};

const OWNER: Uuid = uuid!("00000000-0000-4000-8000-000000000001");
const ADMIN: Uuid = uuid!("00000000-0000-4000-8000-000000000002");
const THIRD: Uuid = uuid!("00000000-0000-4000-8000-000000000003");

use By::*;

/// The caller of a query.
#[derive(Clone, Copy)]
enum By {
    /// The app's owner without a caller's claims, as pg_cron runs its jobs.
    Postgres,
    Service,
    Anonymous,
    User(Uuid),
}

/// Replaces `#a9` by the id that ends in a9.
fn with_ids(sql: &str) -> String {
    let mut parts = sql.split('#');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|letter: char| !letter.is_ascii_hexdigit()).unwrap_or(part.len());
        let (id, rest) = part.split_at(end);
        text.push_str(&format!("'00000000-0000-4000-8000-{id:0>12}'{rest}"));
    }
    text
}

/// Runs the queries one after the other. Returns every answer and refusal.
async fn answers(host: &Host, questions: &[(By, &str)]) -> Vec<Value> {
    let mut answers = Vec::new();
    for (by, sql) in questions {
        match by {
            Postgres => host.become_owner().await,
            Service => host.become_caller("service_role", None).await,
            Anonymous => host.become_caller("anon", None).await,
            User(user) => host.become_caller("authenticated", Some(*user)).await,
        }
        let asked = with_ids(sql);
        let answer = if sql.starts_with("select") {
            host.try_rows(&asked).await.map(Value::Array)
        } else {
            host.changed(&asked).await.map(Value::from)
        };
        answers.push(match answer {
            Ok(answer) => json!({ "asked": sql, "answer": answer }),
            Err(error) => json!({ "asked": sql, "refused": error.to_string() }),
        });
    }
    host.become_owner().await;
    answers
}

async fn same_answers(app: App, questions: &[(By, &str)]) -> Vec<Value> {
    let mut first = Vec::new();
    for rights in hosts::RIGHTS {
        let before = answers(&Host::fresh(app, rights).await, questions).await;
        let after = answers(&Host::installed(app, rights).await, questions).await;
        assert_eq!(before, after, "{app:?} {rights:?}");
        first = before;
    }
    first
}

fn answer_to<'a>(answers: &'a [Value], part: &str) -> &'a Value {
    let found = answers
        .iter()
        .find(|answer| answer["asked"].as_str().is_some_and(|asked| asked.contains(part)));
    found.unwrap_or_else(|| panic!("{part} was asked"))
}

const TOOLS: [(By, &str); 29] = [
    (User(OWNER), "select public.has_role(#1, 'partner'), public.has_role(#1, 'admin')"),
    (User(ADMIN), "select public.has_role(auth.uid(), 'admin')"),
    (User(OWNER), "select id, status, user_credit_cost from upscaler_jobs order by id"),
    (User(ADMIN), "select id, status from upscaler_jobs order by id"),
    (Anonymous, "select id from upscaler_jobs"),
    (User(OWNER), "select * from get_upscaler_credits_breakdown(auth.uid())"),
    (User(OWNER), "select * from consume_upscaler_credits(auth.uid(), 120, 'Upscaler')"),
    (User(OWNER), "select * from consume_upscaler_credits(#3, 5, 'not mine')"),
    (User(THIRD), "select * from consume_upscaler_credits(auth.uid(), 500, 'Upscaler')"),
    (User(THIRD), "select * from consume_upscaler_credits(auth.uid(), 500, 'Seedance')"),
    (Service, "select * from consume_upscaler_credits(#4, 20, 'lapsed')"),
    (User(OWNER), "select * from refund_upscaler_credits(auth.uid(), 60)"),
    (Service, "select * from refund_upscaler_credits(#1, 60, 'by the service')"),
    (User(ADMIN), "select * from refund_upscaler_credits(#1, 7)"),
    (
        User(OWNER),
        "insert into upscaler_jobs (id, session_id, user_id) values
          (#a9, 's', auth.uid())",
    ),
    (
        User(OWNER),
        "select * from consume_credits_for_job(auth.uid(), 30, 'x', 'upscaler_jobs',
          #a9)",
    ),
    (
        Service,
        "select * from consume_credits_for_job(#1, 30, 'again',
          'upscaler_jobs',
          #a9)",
    ),
    (User(OWNER), "update upscaler_jobs set credits_charged = false where user_id = #1"),
    (Service, "update upscaler_jobs set task_id = 'task' where id = #a9"),
    (User(OWNER), "select * from user_cancel_ai_job('upscaler_jobs', #a1)"),
    (User(OWNER), "select * from admin_cancel_job('upscaler_jobs', #a9)"),
    (User(ADMIN), "select * from admin_cancel_job('upscaler_jobs', #a9)"),
    (Postgres, "select * from cleanup_all_stale_ai_jobs()"),
    (Postgres, "select id, status, credits_refunded from upscaler_jobs order by id"),
    (Service, "select * from get_ai_tools_cost_averages()"),
    (Service, "select job_id, tool_table, amount from collaborator_tool_earnings"),
    (
        Service,
        "insert into pose_changer_jobs (session_id, user_id, status, reference_prompt_id) values
          ('s', #1, 'completed', 'prompt-2')",
    ),
    (Service, "select prompt_id, amount from collaborator_tool_earnings order by 1"),
    (
        Service,
        "select user_id, amount, balance_after, transaction_type, credit_type
          from upscaler_credit_transactions order by user_id, balance_after, amount",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn the_app_of_tools_answers_as_before() {
    let answers = same_answers(App::Tools, &TOOLS).await;
    let taken = json!([{ "success": true, "remaining_balance": 30, "error_message": null }]);
    assert_eq!(answer_to(&answers, "120, 'Upscaler'")["answer"], taken);
    let unlimited = json!([{ "success": true, "remaining_balance": 20, "error_message": null }]);
    assert_eq!(
        answer_to(&answers, "500, 'Upscaler'")["answer"],
        unlimited,
        "an unlimited subscriber pays nothing"
    );
    assert_eq!(answer_to(&answers, "500, 'Seedance'")["answer"][0]["success"], false);
    assert_eq!(answer_to(&answers, "20, 'lapsed'")["answer"][0]["remaining_balance"], 10);
    assert_eq!(answer_to(&answers, "cleanup_all_stale")["answer"][0]["upscaler_cancelled"], 2);
    assert!(answer_to(&answers, "credits_charged = false")["refused"].as_str().is_some());
}

const CARDS: [(By, &str); 17] = [
    (
        User(OWNER),
        "select public.has_role(auth.uid(), 'admin'), public.has_role(auth.uid(), 'user')",
    ),
    (User(OWNER), "select id, status, completed_cards from generation_jobs order by id"),
    (
        User(OWNER),
        "select card_index, status, image_url from generation_tasks order by job_id, card_index",
    ),
    (Anonymous, "select id from generation_jobs"),
    (Service, "select public.spend_tokens(#1, 30)"),
    (Service, "select public.spend_tokens(#1, 300)"),
    (Service, "select public.refund_tokens(#1, 3)"),
    (Service, "update profiles set tokens_balance = 1000000"),
    (Service, "select id, tokens_balance from profiles order by id"),
    (Service, "select event_type, count(*) from security_events group by 1"),
    (Service, "update generation_tasks set status = 'completed' where status = 'processing'"),
    (Service, "select id, status, completed_cards from generation_jobs order by id"),
    (Service, "select card_type, image_url from generations order by 1"),
    (Service, "select title, message from notifications"),
    (Service, "update generation_tasks set status = 'failed' where job_id = #a2"),
    (Service, "select id, status, completed_cards from generation_jobs order by id"),
    (Service, "select user_id, amount, transaction_type from token_transactions order by amount"),
];

#[tokio::test(flavor = "multi_thread")]
async fn the_app_of_cards_answers_as_before() {
    let answers = same_answers(App::Cards, &CARDS).await;
    let balances = &answer_to(&answers, "tokens_balance from profiles")["answer"];
    assert_eq!(balances[0]["tokens_balance"], 73, "the trigger puts the old balance back");
    let jobs = &answers[15]["answer"];
    assert_eq!([&jobs[0]["status"], &jobs[1]["status"]], ["completed", "failed"]);
}

const SITES: [(By, &str); 12] = [
    (User(OWNER), "select public.has_role(auth.uid(), 'admin'), public.is_super_admin(auth.uid())"),
    (User(ADMIN), "select public.has_role(auth.uid(), 'admin'), public.is_super_admin(auth.uid())"),
    (User(OWNER), "select public.is_team_owner(auth.uid(), #f1)"),
    (User(THIRD), "select public.is_team_member(auth.uid(), #f1)"),
    (User(OWNER), "select id, number, status from generation_history order by id"),
    (User(THIRD), "select id from generation_history"),
    (User(OWNER), "select public.get_user_active_generations(auth.uid())"),
    (Service, "select public.increment_active_generations()"),
    (Postgres, "select public.cleanup_stale_generations()"),
    (Postgres, "select public.cleanup_stale_generations()"),
    (Service, "select generation_id, reason, amount_to_refund from appeals"),
    (Service, "select active_generations from system_limits"),
];

#[tokio::test(flavor = "multi_thread")]
async fn the_app_of_sites_answers_as_before() {
    let answers = same_answers(App::Sites, &SITES).await;
    assert_eq!(answer_to(&answers, "from appeals")["answer"].as_array().unwrap().len(), 1);
    assert_eq!(
        answer_to(&answers, "active_generations from")["answer"][0]["active_generations"],
        2
    );
}

const SMALL: [(By, &str); 4] = [
    (User(OWNER), "select body from notes"),
    (User(OWNER), "insert into notes (team, body) values (auth.uid(), 'mine too')"),
    (User(OWNER), "select notes_search_v2() as body order by 1"),
    (Anonymous, "select body from notes"),
];

#[tokio::test(flavor = "multi_thread")]
async fn the_small_app_answers_as_before() {
    let answers = same_answers(App::Small, &SMALL).await;
    assert_eq!(answers[0]["answer"], json!([{ "body": "mine" }]));
    assert_eq!(answers[1]["answer"], 1);
    assert_eq!(answers[2]["answer"], json!([{ "body": "mine" }, { "body": "mine too" }]));
}

/// A policy's helper, an extension's function and an RPC of the app keep their rights.
#[tokio::test]
async fn functions_with_names_like_ours_keep_their_grants() {
    let host = Host::installed(App::Small, Rights::Open).await;
    let kept = "
        select proname as name, prosecdef as definer,
          has_function_privilege('authenticated', oid, 'execute') as callable
        from pg_proc where proname in ('my_teams', 'uuid_generate_v4', 'notes_search_v2')
        order by 1";
    let row = |name, definer| json!({ "name": name, "definer": definer, "callable": true });
    assert_eq!(
        host.rows(kept).await,
        [row("my_teams", true), row("notes_search_v2", false), row("uuid_generate_v4", false)]
    );
}
