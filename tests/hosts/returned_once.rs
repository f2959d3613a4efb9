//! Every function of an app that refunds credits or ends a job, on a job of ours in every state,
//! before or after our own end of it: what was charged and not delivered is refunded exactly once.

use unstuck_tests::Session;
use unstuck_tests::hosts::{App, Host};
use unstuck_tests::shop::{CARDS, StepRun};
use uuid::{Uuid, uuid};

use crate::acts::{ActingApp, CARDS_APP, CalledBy, HostAct, SITES, TOOLS};

const ADMIN: Uuid = uuid!("00000000-0000-4000-8000-000000000002");

/// The state in which the app's act meets a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum JobStand {
    /// A page inserted the row and never called `/run`.
    Pending,
    /// Like `Pending`, and the app's own function has run and charged it.
    ChargedByApp,
    Queued,
    Claimed,
    Running,
    /// One of two cards is completed.
    HalfDone,
    Completed,
    Failed,
    Cancelled,
    /// Cancelled, but the app's row could not be written and still shows a waiting job.
    NotWritten,
    /// Cancelled, but the app's wallet refused the refund.
    RefundOwed,
    Quarantined,
}

const STANDS: [JobStand; 12] = [
    JobStand::Pending,
    JobStand::ChargedByApp,
    JobStand::Queued,
    JobStand::Claimed,
    JobStand::Running,
    JobStand::HalfDone,
    JobStand::Completed,
    JobStand::Failed,
    JobStand::Cancelled,
    JobStand::NotWritten,
    JobStand::RefundOwed,
    JobStand::Quarantined,
];

/// One act of the app on one job of one user.
struct HostCase<'a> {
    acting: &'a ActingApp,
    stand: JobStand,
    act: &'a HostAct,
    ours_first: bool,
    user: Uuid,
    job: Uuid,
}

impl HostCase<'_> {
    fn sql(&self, text: &str) -> String {
        let ids = [("$job", self.job), ("$user", self.user)];
        ids.iter()
            .fold(text.to_owned(), |sql, (name, id)| sql.replace(name, &format!("'{id}'::uuid")))
    }

    fn told(&self) -> String {
        let order = if self.ours_first { "after" } else { "before" };
        format!("{:?}: {} {order} our own end, {:?}", self.acting.app, self.act.name, self.stand)
    }

    async fn as_user(&self, page: &Session, sql: &str) {
        page.become_caller("authenticated", Some(self.user)).await;
        page.exec(&self.sql(sql)).await;
        page.become_owner().await;
    }

    /// Orders the job and brings it into its state. Returns the attempt of its last claimed step.
    async fn stand(&self, host: &Host, page: &Session) -> Option<StepRun> {
        let ActingApp { app, steps, insert, movements, .. } = self.acting;
        let table = app.table();
        host.exec(&self.sql("insert into auth.users (id, email) values ($user, $user || '@x')"))
            .await;
        host.exec(&self.sql(self.acting.funds)).await;
        if matches!(self.stand, JobStand::Pending | JobStand::ChargedByApp) {
            self.as_user(page, insert).await;
            if self.stand == JobStand::ChargedByApp {
                let charge =
                    "select consume_credits_for_job($user, 60, 'x', 'upscaler_jobs', $job)";
                self.as_user(page, charge).await;
            }
            return None;
        }
        host.enqueue(self.user, self.job, app.tool(), *steps).await.unwrap();
        match self.stand {
            JobStand::Claimed => return Some(host.claim(app.provider(), 2).await[0]),
            JobStand::Running | JobStand::Completed | JobStand::Failed | JobStand::HalfDone => {
                return self.works(host).await;
            }
            JobStand::Quarantined => host.set_job(self.job, "quarantined_at = now()").await,
            JobStand::Cancelled => drop(host.cancel(self.user, self.job).await.unwrap()),
            JobStand::NotWritten => {
                let hold = format!("begin; select from {table} where id = $job for update");
                page.exec(&self.sql(&hold)).await;
                host.cancel(self.user, self.job).await.unwrap();
                page.exec("rollback").await;
                let owed = "unstuck.projection_errors where job_id = $job and mended_at is null";
                assert!(host.count(&self.sql(owed)).await > 0, "{}", self.told());
            }
            JobStand::RefundOwed => {
                let (rows, refund) = movements;
                let refuses = format!(
                    "create trigger refuses before insert on {rows}
                    for each row when ({refund}) execute function refuses()"
                );
                host.exec(&self.sql(&refuses)).await;
                host.cancel(self.user, self.job).await.unwrap();
                host.exec(&format!("drop trigger refuses on {rows}")).await;
                let owed = "unstuck.refunds_owed where job_id = $job";
                assert!(host.count(&self.sql(owed)).await > 0, "{}", self.told());
            }
            _ => {}
        }
        None
    }

    /// A worker claims the job's steps and brings the job into its state. Returns the attempt that
    /// is still at work.
    async fn works(&self, host: &Host) -> Option<StepRun> {
        let claimed = host.claim(self.acting.app.provider(), 2).await;
        assert_eq!(claimed.len(), self.acting.steps, "{}", self.told());
        let task = self.job.to_string();
        let mut attempt = None;
        for (nth, step) in claimed.into_iter().enumerate() {
            if self.acting.app == App::Tools {
                host.sent(step).await;
                host.started(step, &task).await;
            }
            let completes = match self.stand {
                JobStand::Completed => true,
                JobStand::HalfDone => nth == 0,
                _ => false,
            };
            if completes {
                if self.acting.app == App::Tools {
                    host.done(step, &task).await;
                }
                host.complete(step).await;
            } else if self.stand == JobStand::Failed {
                host.fail(step, "CONTENT_REFUSED").await;
            } else {
                attempt = Some(step);
            }
        }
        attempt
    }

    /// Performs the app's act.
    async fn theirs(&self, host: &Host, page: &Session) {
        match self.act.by {
            CalledBy::User => self.as_user(page, self.act.sql).await,
            CalledBy::Admin => {
                page.become_caller("authenticated", Some(ADMIN)).await;
                page.exec(&self.sql(self.act.sql)).await;
                page.become_owner().await;
            }
            CalledBy::Owner => host.exec(&self.sql(self.act.sql)).await,
        }
    }

    /// A worker fails the step on which it works, and a live job is then cancelled. Each of these
    /// calls may be refused.
    async fn ours(&self, host: &Host, attempt: Option<StepRun>) {
        if let Some(attempt) = attempt {
            host.fail(attempt, "CONTENT_REFUSED").await;
        }
        let _ = host.cancel(self.user, self.job).await;
        let _ = host.cancel_as_admin(ADMIN, self.job).await;
        assert!(!host.job(self.job).await["completed_at"].is_null(), "{}", self.told());
    }

    async fn run(&self, host: &Host, page: &Session) {
        let attempt = self.stand(host, page).await;
        if self.ours_first {
            self.ours(host, attempt).await;
            self.theirs(host, page).await;
        } else {
            self.theirs(host, page).await;
            self.ours(host, attempt).await;
        }
    }

    async fn assert_returned_once(&self, host: &Host) {
        let purse = host.row(&self.sql(self.acting.purse)).await;
        let net = purse["net"].as_i64().unwrap();
        assert_eq!(purse["moved"], net, "{}: the app's own rows", self.told());
        let ledger = "select coalesce(sum(amount), 0)::bigint from unstuck.credit_entries
            where job_id = $job";
        let ledger = host.int(&self.sql(ledger)).await;
        let kept = match self.stand {
            JobStand::Completed => self.acting.price,
            JobStand::HalfDone => self.acting.price / 2,
            _ => 0,
        };
        assert_eq!(ledger, -kept, "{}: our ledger", self.told());
        let lost = match self.stand {
            JobStand::ChargedByApp => 60 - self.act.returns,
            _ => kept,
        };
        assert_eq!(net, -lost - self.act.spends, "{}", self.told());
        let shows = format!(
            "{} where id = $job and status::text in
            ('pending', 'queued', 'starting', 'running', 'processing', 'generating')",
            self.acting.app.table()
        );
        if !matches!(self.stand, JobStand::Pending | JobStand::ChargedByApp) {
            assert_eq!(host.count(&self.sql(&shows)).await, 0, "{}: it hangs", self.told());
        }
    }
}

async fn each_on_each(acting: &ActingApp) {
    let host = Host::with_its_tables(acting.app).await;
    let page = host.connect("postgres").await;
    host.set_tool(CARDS, "credit_cost = 3").await;
    host.exec(
        "create function refuses() returns trigger language plpgsql as
        'begin raise exception ''not now''; end'",
    )
    .await;
    let mut cases = Vec::new();
    for stand in STANDS {
        if stand == JobStand::ChargedByApp && acting.app != App::Tools
            || stand == JobStand::HalfDone && acting.app != App::Cards
        {
            continue;
        }
        for act in acting.acts {
            for ours_first in [false, true] {
                let (user, job) = (Uuid::new_v4(), Uuid::new_v4());
                let case = HostCase { acting, stand, act, ours_first, user, job };
                case.run(&host, &page).await;
                cases.push(case);
            }
        }
    }
    for _ in 0..4 {
        host.sweep().await;
    }
    for case in &cases {
        case.assert_returned_once(&host).await;
    }
    let by_the_app = "unstuck.jobs where error_message like '%cancelled in the app.%'";
    let ends = host.count(by_the_app).await;
    assert!(ends >= 9, "{:?}: {ends}", acting.app);
    assert_eq!(host.count("unstuck.projection_errors where mended_at is null").await, 0);
    assert_eq!(host.count("unstuck.refunds_owed").await, 0);
    host.assert_healthy().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_function_of_the_app_of_tools_on_each_state_returns_credits_once() {
    each_on_each(&TOOLS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_function_of_the_app_of_cards_on_each_state_returns_credits_once() {
    each_on_each(&CARDS_APP).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_function_of_the_app_of_sites_on_each_state_returns_credits_once() {
    each_on_each(&SITES).await;
}

/// What the app does with a row that its page inserted, before the page calls our `/run` with the
/// same id; and the credits that the app charges for it.
type Begin<'a> = (&'a str, i64);

async fn refuses_what_the_app_began(acting: &ActingApp, begins: &[Begin<'_>]) {
    let host = Host::with_its_tables(acting.app).await;
    let page = host.connect("postgres").await;
    let idle = &acting.acts[0];
    let (table, insert) = (acting.app.table(), acting.insert);
    let insert = insert.replace("$user", &format!("'{ADMIN}'"));
    let anothers = format!(
        "delete from unstuck.jobs where id = $job; delete from {table} where id = $job; {insert}"
    );
    let row = format!("select to_jsonb(t)::text from {table} t where id = $job");
    host.set_tool(CARDS, "credit_cost = 3").await;
    for is_free in [false, true] {
        if is_free {
            host.exec(acting.is_free).await;
        }
        for (begin, charged) in begins.iter().copied().chain([(anothers.as_str(), 0)]) {
            let (user, job) = (Uuid::new_v4(), Uuid::new_v4());
            let stand = JobStand::Pending;
            let case = HostCase { acting, stand, act: idle, ours_first: false, user, job };
            case.stand(&host, &page).await;
            host.exec(&case.sql(begin)).await;
            let before = host.texts(&case.sql(&row)).await;
            let refused = host.enqueue(user, job, acting.app.tool(), acting.steps).await;
            let refused = refused.expect_err(begin);
            assert_eq!(refused.reason(), ("PT409", "idempotency_conflict"), "{begin}");
            assert_eq!(host.texts(&case.sql(&row)).await, before, "{begin}");
            let purse = host.row(&case.sql(acting.purse)).await;
            assert_eq!((&purse["net"], &purse["moved"]), (&(-charged).into(), &(-charged).into()));
            // The app has begun this row only: an order with another id is accepted.
            let taken = host.enqueue(user, Uuid::new_v4(), acting.app.tool(), acting.steps).await;
            let paid = if is_free { 0 } else { acting.price };
            assert_eq!(taken.unwrap()["credits_charged"], paid, "{begin}");
        }
    }
    host.assert_healthy().await;
}

#[tokio::test]
async fn what_the_app_of_tools_took_up_itself_is_neither_charged_nor_taken() {
    let charge = "begin; set local request.jwt.claims = '{\"role\":\"service_role\"}';
        select consume_credits_for_job($user, 60, 'x', 'upscaler_jobs', $job); commit";
    let run = "begin; set local app.ai_financial_write = 'on';
        update upscaler_jobs set status = 'running', started_at = now() where id = $job; commit";
    let in_another_table = "delete from unstuck.jobs where id = $job;
        delete from upscaler_jobs where id = $job;
        insert into pose_changer_jobs (id, session_id, user_id, status)
        values ($job, 's', $user, 'queued')";
    refuses_what_the_app_began(&TOOLS, &[(charge, 60), (run, 0), (in_another_table, 0)]).await;
}

#[tokio::test]
async fn what_the_app_of_cards_took_up_itself_is_neither_charged_nor_taken() {
    let run = "update generation_jobs set status = 'processing' where id = $job";
    let cards = "insert into generation_tasks (job_id, card_index, card_type)
        values ($job, 0, 'x')";
    refuses_what_the_app_began(&CARDS_APP, &[(run, 0), (cards, 0)]).await;
}

#[tokio::test]
async fn what_the_app_of_sites_took_up_itself_is_neither_charged_nor_taken() {
    let run = "update generation_history set status = 'generating' where id = $job";
    let sell = "update generation_history set sale_price = 3.5 where id = $job";
    let charge = "update teams set balance = balance - 3.5 where id = $user;
        insert into credit_transactions
            (team_id, generation_id, type, amount, balance_before, balance_after, credit_limit)
        values ($user, $job, 'generation', -3.5, 10, 6.5, 0)";
    refuses_what_the_app_began(&SITES, &[(run, 0), (sell, 0), (charge, 350)]).await;
}

/// The order waits for a shorter time than a deadlock needs to be found, and leaves nothing.
#[tokio::test]
async fn an_order_of_a_row_that_the_app_is_beginning_is_sent_once_more() {
    let host = Host::with_its_tables(App::Tools).await;
    let (page, app) = (host.connect("postgres").await, host.connect("postgres").await);
    let (user, job) = (Uuid::new_v4(), Uuid::new_v4());
    let stand = JobStand::Pending;
    let (act, ours_first) = (&TOOLS.acts[0], false);
    let case = HostCase { acting: &TOOLS, stand, act, ours_first, user, job };
    case.stand(&host, &page).await;
    let begins = "begin; update upscaler_jobs set status = 'running' where id = $job";
    app.exec(&case.sql(begins)).await;
    let busy = host.enqueue(user, job, TOOLS.app.tool(), 1).await.unwrap_err();
    assert_eq!(busy.state, "55P03");
    app.exec("commit").await;
    let refused = host.enqueue(user, job, TOOLS.app.tool(), 1).await.unwrap_err();
    assert_eq!(refused.reason(), ("PT409", "idempotency_conflict"));
    assert_eq!(host.row(&case.sql(TOOLS.purse)).await["net"], 0);
}
