//! Fifty users order in an app that goes on working: its own functions spend, refund, cancel and
//! clean up in the same wallets and rows, while jobs complete, fail and are swept.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use futures::future::join_all;
use serde_json::{Value, json};
use unstuck_tests::hosts::{App, Host};
use unstuck_tests::shop::{CARDS, StepRun, enqueue_args};
use unstuck_tests::{Session, SqlError};
use uuid::{Uuid, uuid};

const ADMIN: Uuid = uuid!("00000000-0000-4000-8000-000000000002");
const TEAM: Uuid = uuid!("00000000-0000-4000-8000-0000000000f1");

/// What differs between the apps.
struct BusyApp {
    app: App,
    steps: usize,
    /// A column of the app's table of jobs that we leave alone.
    column: &'static str,
    /// For each payer: the balance, the balance at the beginning, the sum of the app's own records,
    /// what the app's own functions spent, and the sum of our ledger.
    purses: &'static str,
    /// Makes a few live rows old that no transaction holds, and cleans up, as the app's scheduler
    /// does.
    cleanup: &'static str,
}

const TOOLS: BusyApp = BusyApp {
    app: App::Tools,
    steps: 1,
    column: "prompt",
    purses: "select c.user_id as payer, c.balance::int as balance, 1000 as began, 4 as spent,
            (select coalesce(sum(t.amount), 0)::int from public.upscaler_credit_transactions t
            where t.user_id = c.user_id) as moved,
            (select coalesce(sum(e.amount), 0)::int from unstuck.credit_entries e
            where e.user_id = c.user_id) as ledger
        from public.upscaler_credits c
        where c.user_id in (select j.user_id from unstuck.jobs j)",
    cleanup: "update public.upscaler_jobs
        set created_at = created_at - interval '1 hour',
            started_at = started_at - interval '1 hour'
        where id in (select id from public.upscaler_jobs
            where status in ('queued', 'starting', 'running') limit 3 for update skip locked);
        select public.cleanup_all_stale_ai_jobs()",
};

const CARDS_APP: BusyApp = BusyApp {
    app: App::Cards,
    steps: 3,
    column: "style_description",
    purses: "select p.id as payer, p.tokens_balance as balance, 1000 as began, 4 as spent,
            (select coalesce(sum(t.amount), 0)::int from public.token_transactions t
            where t.user_id = p.id) as moved,
            (select coalesce(sum(e.amount), 0)::int from unstuck.credit_entries e
            where e.user_id = p.id) as ledger
        from public.profiles p
        where p.id in (select j.user_id from unstuck.jobs j)",
    cleanup: "select public.cleanup_old_generations()",
};

/// The app itself takes money from the one team without a record of it.
const SITES: BusyApp = BusyApp {
    app: App::Sites,
    steps: 1,
    column: "admin_note",
    purses: "select t.id as payer, (100 * t.balance)::int as balance, 50000 as began, 200 as spent,
            (select coalesce(sum(100 * c.amount), 0)::int - 200 from public.credit_transactions c
            where c.team_id = t.id) as moved,
            (select coalesce(sum(e.amount), 0)::int from unstuck.credit_entries e) as ledger
        from public.teams t",
    cleanup: "update public.generation_history set created_at = created_at - interval '2 hours'
        where id in (select id from public.generation_history
            where status in ('pending', 'generating') limit 3 for update skip locked);
        update public.system_limits set last_cleanup_at = null;
        select public.cleanup_stale_generations()",
};

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

/// Calls as our functions do: a call that waited too long for a lock is repeated. A refusal is an
/// answer; a deadlock or a fault panics.
async fn insist(session: &Session, function: &str, args: Value) -> Result<Vec<Value>, SqlError> {
    loop {
        match session.try_call(function, args.clone()).await {
            Err(error) if error.state == "55P03" => continue,
            Err(error) if !error.state.starts_with("PT") => panic!("{function}: {error}"),
            answer => return answer,
        }
    }
}

impl BusyApp {
    /// What the app itself does with a user's wallet: it spends 2 and returns 1.
    fn spend_and_return(&self, user: Uuid) -> String {
        match self.app {
            App::Tools => format!(
                "select set_config('request.jwt.claims', '{{\"role\":\"service_role\"}}', false),
                    consume_upscaler_credits('{user}', 2, 'x'),
                    refund_upscaler_credits('{user}', 1, 'x')"
            ),
            App::Cards => format!("select spend_tokens('{user}', 2), refund_tokens('{user}', 1)"),
            _ => format!("update public.teams set balance = balance - 0.01 where id = '{TEAM}'"),
        }
    }

    /// Each user orders six jobs and cancels two of them.
    async fn orders(&self, session: Session, users: &[Uuid]) {
        for user in [users[0], users[1], users[0], users[1]] {
            let jobs = [Uuid::new_v4(), Uuid::new_v4(), Uuid::new_v4()];
            for job in jobs {
                let args = enqueue_args(user, job, self.app.tool(), self.steps);
                insist(&session, "job_enqueue_v1", args).await.unwrap();
            }
            let cancel = json!({
                "p_user_id": user, "p_table": self.app.table(), "p_job_id": jobs[2],
            });
            let _ = insist(&session, "job_cancel_v1", cancel).await;
        }
    }

    /// The app's own transactions. One locks the wallet alone; one locks rows of jobs first and
    /// then the wallet, against our lock order.
    async fn of_the_app(&self, session: Session, users: &[Uuid]) {
        let (table, column) = (self.app.table(), self.column);
        for user in [users[0], users[1], users[1], users[0]] {
            let wallet = self.spend_and_return(user);
            session.exec(&wallet).await;
            session
                .exec(&format!(
                    "begin; update public.{table} set {column} = 'x' where user_id = '{user}';
                    {wallet}; commit"
                ))
                .await;
        }
    }

    /// The app's own functions or its pages cancel jobs in any state.
    async fn cancels_of_the_app(&self, seen: &Session, page: &Session) {
        let live = "select id::text || ' ' || user_id as name from unstuck.jobs
            where completed_at is null order by random() limit 1";
        for nth in 0..12 {
            let Some(row) = seen.texts(live).await.pop() else { continue };
            let (job, user) = row.split_once(' ').expect("two ids");
            if self.app == App::Tools {
                let (function, caller) = match nth % 2 {
                    0 => ("admin_cancel_job", ADMIN),
                    _ => ("user_cancel_ai_job", user.parse().expect("an id")),
                };
                page.become_caller("authenticated", Some(caller)).await;
                page.rows(&format!(
                    "select * from public.{function}('{}', '{job}')",
                    self.app.table()
                ))
                .await;
                page.become_owner().await;
            } else {
                let table = self.app.table();
                page.exec(&format!(
                    "update public.{table} set status = 'failed' where id = '{job}'"
                ))
                .await;
            }
        }
    }

    /// Works on queued steps until all users have ordered and nothing is left. A third of the steps
    /// fails.
    async fn works(&self, session: Session, ordering: &AtomicUsize) {
        let mut nth = 0;
        loop {
            let over = ordering.load(Relaxed) == 0;
            let claimed = session.claim(self.app.provider(), 3).await;
            if over && claimed.is_empty() {
                return;
            }
            for attempt in claimed {
                nth += 1;
                let fails = nth % 3 == 0 || attempt.job.as_u128() % 5 == 0;
                self.end(&session, attempt, fails).await;
            }
        }
    }

    async fn end(&self, session: &Session, attempt: StepRun, fails: bool) {
        let task = Uuid::new_v4().to_string();
        let mut calls = vec![];
        if self.app == App::Tools {
            calls.push(("step_sent_v1", json!({})));
            calls.push(("step_started_v1", json!({ "p_task_id": task })));
            calls.push(("step_done_v2", json!({ "p_task_id": task, "p_output": {} })));
        }
        calls.push(match fails {
            true => (
                "step_fail_v1",
                json!({ "p_error_code": "CONTENT_REFUSED", "p_error_message": "no." }),
            ),
            false => ("step_complete_v2", json!({ "p_output": {}, "p_output_url": task })),
        });
        for (function, args) in calls {
            insist(session, function, attempt.with(args)).await.unwrap();
        }
    }
}

/// Jobs whose money is not exact: they must have one debit, and one refund of what was not
/// delivered.
const INEXACT: &str = "
    unstuck.jobs j
    cross join lateral (
        select count(*) filter (where e.kind = 'debit') as debits,
            coalesce(-sum(e.amount) filter (where e.kind = 'debit'), 0) as taken,
            coalesce(sum(e.amount) filter (where e.kind = 'refund'), 0) as returned
        from unstuck.credit_entries e where e.job_id = j.id
    ) e
    cross join lateral (
        select coalesce(sum(s.share) filter (where s.status <> 'completed'), 0) as undelivered
        from unstuck.job_steps s where s.job_id = j.id
    ) s
    where e.debits <> 1 or e.taken <> j.credits_charged or e.returned <> j.credits_refunded
      or e.returned <> s.undelivered or j.completed_at is null";

async fn everybody_at_once(busy: &BusyApp) {
    let host = Host::with_its_tables(busy.app).await;
    host.set_tool(CARDS, "credit_cost = 3").await;
    host.set_slots(busy.app.provider(), 20).await;
    let users = fifty_users(&host, busy.app).await;
    let connect = async || host.connect("postgres").await;
    let ordering = AtomicUsize::new(25);
    let orders = users.chunks(2).map(async |users| {
        busy.orders(connect().await, users).await;
        ordering.fetch_sub(1, Relaxed);
    });
    let of_the_app =
        users.chunks(2).map(async |users| busy.of_the_app(connect().await, users).await);
    let works = (0..3).map(async |_| busy.works(connect().await, &ordering).await);
    let cancels = (0..3).map(async |_| {
        busy.cancels_of_the_app(&connect().await, &connect().await).await;
    });
    let cleanup = async {
        let schedule = connect().await;
        while ordering.load(Relaxed) > 0 {
            schedule.exec(busy.cleanup).await;
        }
        schedule.exec(busy.cleanup).await;
    };
    let healer = async {
        let healer = connect().await;
        while ordering.load(Relaxed) > 0 {
            healer.sweep().await;
        }
    };
    tokio::join!(
        join_all(orders),
        join_all(of_the_app),
        join_all(works),
        join_all(cancels),
        cleanup,
        healer
    );
    host.age_all("1 day").await;
    for _ in 0..12 {
        host.sweep().await;
    }
    nothing_is_lost_or_doubled(&host, busy).await;
}

async fn nothing_is_lost_or_doubled(host: &Host, busy: &BusyApp) {
    let app = busy.app;
    let (table, purses) = (app.table(), busy.purses);
    assert_eq!(host.count("unstuck.jobs").await, 300, "{app:?}");
    let wrong = host
        .rows(&format!(
            "select * from ({purses}) p
            where balance <> began + moved or balance <> began - spent + ledger"
        ))
        .await;
    assert_eq!(wrong, [] as [Value; 0], "{app:?}");
    assert_eq!(host.count(&format!("({purses}) p")).await, if app == App::Sites { 1 } else { 50 });
    assert_eq!(host.count(INEXACT).await, 0, "{app:?}");
    let open = "(select 1 from unstuck.projection_errors where mended_at is null
        union all select 1 from unstuck_private.unprojected
        union all select 1 from unstuck.refunds_owed
        union all select 1 from unstuck.host_requests) o";
    assert_eq!(host.count(open).await, 0, "{app:?}");
    for status in ["completed", "failed", "cancelled"] {
        let some = host.count(&format!("unstuck.jobs where status = '{status}'")).await;
        assert!(some >= 10, "{app:?}: {some} are {status}");
        let shown = format!(
            "unstuck.jobs j join public.{table} t using (id, user_id)
            join unstuck.projections p
            on p.tool = j.tool and p.host_table = 'public.{table}'::regclass
            where j.status = '{status}' and t.completed_at is not null
              and (t.status::text = p.statuses ->> j.status
                or j.credits_refunded > 0 and t.status::text = 'failed')"
        );
        assert_eq!(host.count(&shown).await, some, "{app:?}: every job shows that it is {status}");
    }
    if app == App::Cards {
        let partly = "unstuck.jobs where status = 'completed' and credits_refunded > 0";
        assert!(host.count(partly).await >= 10);
    }
    host.assert_healthy().await;
    no_deadlock(host).await;
}

/// Postgres counts the deadlocks of a session when the session has ended.
async fn no_deadlock(host: &Host) {
    let others = "pg_stat_activity where datname = current_database()
        and backend_type = 'client backend' and pid <> pg_backend_pid()";
    let mut left = host.count(others).await;
    for _ in 0..500 {
        if left == 0 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        left = host.count(others).await;
    }
    assert_eq!(left, 0, "sessions whose deadlocks are not counted yet");
    let deadlocks = "select deadlocks from pg_stat_database where datname = current_database()";
    assert_eq!(host.int(deadlocks).await, 0);
}

/// The app holds the row of a job and waits for its wallet, while we end the job: we hold the
/// wallet and need the row. The app's transaction looks for a deadlock every 5 ms, so that it
/// notices each moment in which we wait for the lock of the row.
async fn the_app_sees_no_deadlock(busy: &BusyApp, holds: &str) {
    let host = Host::with_its_tables(busy.app).await;
    let user = fifty_users(&host, busy.app).await[0];
    let job = host.order(user, busy.app.tool(), busy.steps).await;
    let of_the_app = host.connect("supabase_admin").await;
    let begins = format!("begin; {}", holds.replace("$job", &format!("'{job}'")));
    of_the_app.exec("set deadlock_timeout = '5ms'; set role postgres").await;
    of_the_app.exec(&begins).await;
    let insists = format!(
        "do $$ begin
            for nth in 1..400 loop
                begin
                    set local lock_timeout = '15ms';
                    execute $q${}$q$;
                    return;
                exception when lock_not_available then null;
                end;
            end loop;
            raise 'the wallet was not free';
        end $$; commit",
        busy.spend_and_return(user)
    );
    let (app, cancelled) = tokio::join!(of_the_app.try_exec(&insists), host.cancel(user, job));
    assert_eq!(app.map_err(|error| error.message), Ok(()), "{:?}: {holds}", busy.app);
    cancelled.unwrap();
    for _ in 0..2 {
        host.sweep().await;
    }
    let table = busy.app.table();
    let shown = format!(
        "public.{table} t join unstuck.jobs j using (id) where t.id = '{job}'
        and j.status = 'cancelled' and t.status::text <> 'pending' and t.completed_at is not null"
    );
    assert_eq!(host.count(&shown).await, 1, "{:?}: {holds}", busy.app);
    assert_eq!(host.count(INEXACT).await, 0, "{:?}: {holds}", busy.app);
    host.assert_healthy().await;
    drop(of_the_app);
    no_deadlock(&host).await;
}

#[tokio::test]
async fn an_app_that_has_the_row_of_a_job_and_wants_its_wallet_sees_no_deadlock() {
    for busy in [&TOOLS, &CARDS_APP, &SITES] {
        let (table, column) = (busy.app.table(), busy.column);
        let locks = format!("select from public.{table} where id = $job for update");
        let writes = format!("update public.{table} set {column} = 'x' where id = $job");
        the_app_sees_no_deadlock(busy, &locks).await;
        the_app_sees_no_deadlock(busy, &writes).await;
    }
    let a_card = "select from public.generation_tasks where job_id = $job limit 1 for update";
    the_app_sees_no_deadlock(&CARDS_APP, a_card).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_at_once_in_the_app_of_tools_loses_and_doubles_nothing() {
    everybody_at_once(&TOOLS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_at_once_in_the_app_of_cards_loses_and_doubles_nothing() {
    everybody_at_once(&CARDS_APP).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_at_once_in_the_app_of_sites_loses_and_doubles_nothing() {
    everybody_at_once(&SITES).await;
}
