//! Every operation that may meet another on one job, in every order: the cases are generated.
//!
//! A case is a state, a list of operations, and whether the first one commits. The first operation
//! runs, and its transaction stays open after its writes; the others start, and each ends at once
//! or waits for the first; then the first one commits or rolls back, and all of them end. No case
//! has its own expectation: the answers and the end state must be those of *some* order of the same
//! operations one after the other. (An operation that skips locked rows may also have seen no
//! rows.) Besides, the money and the invariants are checked.

use std::cell::Cell;
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use serde_json::{Value, json};
use unstuck_tests::session::call_sql;
use unstuck_tests::shop::{CARDS, StepRun, TRY_ON, UPSCALER, enqueue_args, with};
use unstuck_tests::{Database, Session, SqlError};
use uuid::Uuid;

/// The job's state when the operations meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum RaceState {
    Queued,
    /// It has waited longer than an order of this case will have waited at the next sweep.
    QueuedLongAgo,
    Starting,
    Sent,
    Running,
    /// The provider has finished, and a worker has the lease of the copy.
    Copying,
    /// Requeued once: the second run is at work, and the task of the first one may still finish.
    SecondRun,
    /// At work past its deadline.
    Overdue,
    /// Two cards are at work, each with its own share of the price.
    Cards,
    /// The result of the first of two steps is being copied, and the second is blocked.
    TryOn,
}

use RaceOp::*;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum RaceOp {
    Claim,
    Sent,
    Started,
    /// A worker that queried the provider reports the success.
    Done,
    Complete,
    Fail,
    /// The user cancels.
    Cancel,
    /// An admin cancels.
    Stop,
    /// A sweep long after every deadline.
    Sweep,
    /// A sweep just after the lease has expired.
    Rescue,
    /// A webhook of the first run is recorded, and its success is reported.
    Webhook,
    Requeue,
    /// The same order is repeated.
    Replay,
    /// The same user places another order.
    Order,
    CompleteSecond,
    FailSecond,
    /// A healer has queried the provider, which still works.
    Checked,
}

const STATES: [RaceState; 6] = [
    RaceState::Queued,
    RaceState::Starting,
    RaceState::Sent,
    RaceState::Running,
    RaceState::Copying,
    RaceState::SecondRun,
];

/// Every pair of these meets in every state.
const PAIRS: [RaceOp; 13] = [
    Claim, Sent, Started, Done, Complete, Fail, Cancel, Stop, Sweep, Rescue, Webhook, Requeue,
    Replay,
];

/// Every triple of these meets in the state that suits its first one.
const TRIPLES: [RaceOp; 8] = [Claim, Started, Done, Complete, Stop, Sweep, Webhook, Requeue];

impl RaceOp {
    fn suitable(self) -> RaceState {
        match self {
            Self::Claim | Self::Cancel | Self::Replay | Self::Order => RaceState::Queued,
            Self::Sent | Self::Rescue => RaceState::Starting,
            Self::Started => RaceState::Sent,
            Self::Done | Self::Fail | Self::Stop | Self::Sweep | Self::Requeue => {
                RaceState::Running
            }
            Self::Complete => RaceState::Copying,
            Self::CompleteSecond | Self::FailSecond => RaceState::Cards,
            Self::Checked => RaceState::Overdue,
            Self::Webhook => RaceState::SecondRun,
        }
    }

    /// Whether it may skip rows that another transaction has locked.
    fn skips_locked(self) -> bool {
        matches!(self, Self::Claim | Self::Sweep | Self::Rescue)
    }

    fn sql(self, case: &Case) -> String {
        let now = StepRun { job: case.job, step: 1, run: case.run };
        let first = StepRun { run: 1, ..now };
        let second = StepRun { step: 2, ..now };
        let failure = json!({ "p_error_code": "PROVIDER_FAILED", "p_error_message": "no." });
        let stored = json!({ "p_output": {}, "p_output_url": "u" });
        let job = json!({ "p_table": case.table, "p_job_id": case.job });
        let done = |task: String| json!({ "p_task_id": task, "p_output": {} });
        let (function, args) = match self {
            Self::Claim => ("step_claim_v1", json!({ "p_provider": "runninghub", "p_limit": 5 })),
            Self::Sent => ("step_sent_v1", now.args()),
            Self::Started => ("step_started_v1", now.with(json!({ "p_task_id": case.task() }))),
            Self::Done => ("step_done_v1", now.with(done(case.task()))),
            Self::Complete => ("step_complete_v1", now.with(stored)),
            Self::CompleteSecond => ("step_complete_v1", second.with(stored)),
            Self::Fail => ("step_fail_v1", now.with(failure)),
            Self::FailSecond => ("step_fail_v1", second.with(failure)),
            Self::Checked => ("step_checked_v1", now.with(json!({ "p_answer": "running" }))),
            Self::Cancel => ("job_cancel_v1", with(job, json!({ "p_user_id": case.user }))),
            Self::Stop => {
                let by_admin = json!({ "p_actor": case.admin, "p_reason": null });
                ("job_cancel_admin_v1", with(job, by_admin))
            }
            Self::Sweep => return sweep("1 hour"),
            Self::Rescue => return sweep("95 seconds"),
            Self::Webhook => {
                let call = json!({ "p_provider": "runninghub", "p_task_id": "first",
                    "p_dedup_key": case.job, "p_body": {} });
                return format!(
                    "with w as materialized ({}) select d.* from w, lateral ({}) d",
                    call_sql("webhook_record_v1", &first.with(call)),
                    call_sql("step_done_v1", &first.with(done(case.first_task()))),
                );
            }
            Self::Requeue => {
                let busy = json!({ "p_kind": "transient", "p_delay_ms": 0,
                    "p_error_code": "PROVIDER_FAILED", "p_error_message": "busy." });
                ("step_requeue_v1", now.with(busy))
            }
            Self::Replay => ("job_enqueue_v1", enqueue_args(case.user, case.job, UPSCALER, 1)),
            Self::Order => ("job_enqueue_v1", enqueue_args(case.user, Uuid::new_v4(), UPSCALER, 1)),
        };
        call_sql(function, &args)
    }
}

fn sweep(later: &str) -> String {
    format!(
        "select * from unstuck_private.sweep(clock_timestamp() + interval '{later}', null, 100,
            '5 seconds')"
    )
}

/// One job in the state of a case.
struct Case {
    user: Uuid,
    admin: Uuid,
    job: Uuid,
    table: &'static str,
    /// The step's present run.
    run: i64,
}

impl Case {
    fn task(&self) -> String {
        format!("task-{}-{}", self.run, self.job)
    }

    fn first_task(&self) -> String {
        format!("task-1-{}", self.job)
    }

    /// The text without the ids of the job and the user, which differ in every case.
    fn plain(&self, text: String) -> String {
        text.replace(&self.job.to_string(), "job").replace(&self.user.to_string(), "user")
    }
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct RaceEnd {
    /// The rows or the refusal of each operation, without what differs in every case.
    answers: Vec<String>,
    state: String,
}

struct Arena {
    db: Database,
    actors: Vec<Session>,
    pids: Vec<i64>,
    admin: Uuid,
    /// The ends of operations that ran one after the other, by their state and order.
    serial: HashMap<(RaceState, Vec<RaceOp>), RaceEnd>,
}

impl Arena {
    async fn open() -> Self {
        let db = Database::fresh().await;
        // Limits each wait for a lock, and shows a deadlock at once.
        db.exec(
            "do $$ begin execute format('alter database %I set lock_timeout = ''20s''',
                current_database()); end $$",
        )
        .await;
        let actors = db.sessions(3).await;
        let mut pids = Vec::new();
        for actor in &actors {
            actor.exec("set deadlock_timeout = '100ms'").await;
            pids.push(actor.pid().await);
        }
        let admin = db.admin().await;
        db.exec("update tools set enabled = true").await;
        Self { db, actors, pids, admin, serial: HashMap::new() }
    }

    async fn prepare(&self, state: RaceState) -> Case {
        let db = &self.db;
        db.exec(
            "delete from webhook_inbox; delete from job_events; delete
                from job_steps; delete from jobs;
             delete from credit_entries; delete from credit_accounts",
        )
        .await;
        let user = db.user(200).await;
        let (tool, table, steps) = match state {
            RaceState::Cards => (CARDS, "generation_jobs", 2),
            RaceState::TryOn => (TRY_ON, "replicate_tasks", 2),
            _ => (UPSCALER, "upscaler_jobs", 1),
        };
        let job = db.order(user, tool, steps).await;
        // In `Queued` this is the run that a late worker names.
        let mut case = Case { user, admin: self.admin, job, table, run: 1 };
        match state {
            RaceState::Queued => return case,
            RaceState::QueuedLongAgo => {
                db.age(job, "90 minutes").await;
                return case;
            }
            RaceState::Cards => {
                assert_eq!(db.claim("gemini", 5).await.len(), 2);
                return case;
            }
            RaceState::TryOn => {
                let attempt = db.run("replicate", &case.task()).await;
                db.done(attempt, &case.task()).await;
                return case;
            }
            _ => {}
        }
        let mut attempt = db.claim_one("runninghub").await;
        if state >= RaceState::Sent {
            assert!(db.sent(attempt).await);
        }
        if state == RaceState::SecondRun {
            db.requeue(attempt, "transient", 0).await;
            attempt = db.claim_one("runninghub").await;
            case.run = 2;
            assert!(db.sent(attempt).await);
        }
        if state >= RaceState::Running {
            assert_eq!(db.started(attempt, &case.task()).await, "running");
        }
        if state == RaceState::Overdue {
            db.age(job, "11 minutes").await;
        }
        if state == RaceState::Copying {
            assert_eq!(db.done(attempt, &case.task()).await["outcome"], "copy");
        }
        case
    }

    /// The rows that must be equal at the end, with the money.
    async fn state(&self, case: &Case) -> String {
        let rows = self
            .db
            .rows(&format!(
                "select j.status, j.error_code, j.credits_charged, j.credits_refunded, j.output_url,
                   j.quarantined_at is not null as quarantined,
                   j.exclusive_key is not null as exclusive,
                   s.status as step, s.run, s.attempts, s.rescues, s.provider_task_id,
                   s.provider_done_at is not null as done, s.sent_at is not null as sent,
                   s.lease_until is not null as leased, s.provider_cancel_due, a.balance,
                   (select jsonb_agg(e.amount order by e.id) from credit_entries e
                   where e.job_id = j.id) as entries
                 from jobs j join job_steps s on s.job_id = j.id
                 join credit_accounts a using (user_id)
                 where j.user_id = '{}' order by j.created_at, j.id, s.step",
                case.user
            ))
            .await;
        case.plain(format!("{rows:?}"))
    }

    /// Asserts that the balance, the ledger and the jobs agree.
    async fn check_money(&self, case: &Case, label: &str) {
        let row = self
            .db
            .row(&format!(
                "select a.balance, (select sum(amount) from credit_entries e
                    where e.user_id = a.user_id) as entries,
                   200 - (select sum(j.credits_charged - j.credits_refunded) from jobs j
                   where j.user_id = a.user_id) as due
                 from credit_accounts a where a.user_id = '{}'",
                case.user
            ))
            .await;
        assert!(row["balance"] == row["entries"] && row["balance"] == row["due"], "{label}: {row}");
    }

    async fn one_after_the_other(&mut self, state: RaceState, ops: &[RaceOp]) -> RaceEnd {
        if let Some(end) = self.serial.get(&(state, ops.to_vec())) {
            return end.clone();
        }
        let case = self.prepare(state).await;
        let mut answers = Vec::new();
        for op in ops {
            answers.push(answer(&case, self.actors[0].try_rows(&op.sql(&case)).await));
        }
        let end = RaceEnd { answers, state: self.state(&case).await };
        // Every case must end in one of these states, so only these are audited.
        let violations = self.db.violations().await;
        assert!(violations.is_empty(), "{state:?}: {ops:?} one after the other: {violations:?}");
        self.serial.insert((state, ops.to_vec()), end.clone());
        end
    }

    /// Runs the case, with the transaction of the first operation held open.
    async fn meet(&self, state: RaceState, ops: &[RaceOp], commit: bool, label: &str) -> RaceEnd {
        let case = self.prepare(state).await;
        let first = &self.actors[0];
        first.exec("begin").await;
        let mut answers = vec![answer(&case, first.try_rows(&ops[0].sql(&case)).await)];
        let ended = Cell::new(0);
        let others = ops[1..].iter().zip(&self.actors[1..]).map(|(op, actor)| {
            let sql = op.sql(&case);
            let ended = &ended;
            async move {
                let rows = actor.try_rows(&sql).await;
                ended.set(ended.get() + 1);
                rows
            }
        });
        let others = futures::future::join_all(others);
        let end = async {
            self.wait_until_ended_or_waiting(&self.pids[1..ops.len()], &ended, label).await;
            first.exec(if commit { "commit" } else { "rollback" }).await;
        };
        let (rows, ()) =
            tokio::time::timeout(Duration::from_secs(60), futures::future::join(others, end))
                .await
                .unwrap_or_else(|_| panic!("{label}: an operation never ended"));
        answers.extend(rows.into_iter().map(|rows| answer(&case, rows)));
        for answer in &answers {
            assert!(
                !answer.contains("40P01") && !answer.contains("55P03"),
                "{label}: deadlock or endless wait: {answers:?}"
            );
            assert!(
                !answer.starts_with("error 2") && !answer.starts_with("error X"),
                "{label}: {answers:?}"
            );
        }
        if !commit {
            answers.remove(0);
        }
        self.check_money(&case, label).await;
        RaceEnd { answers, state: self.state(&case).await }
    }

    /// Polls until each of these sessions has ended its statement or waits for a lock.
    async fn wait_until_ended_or_waiting(&self, pids: &[i64], ended: &Cell<usize>, label: &str) {
        let list: Vec<String> = pids.iter().map(ToString::to_string).collect();
        let waiting = format!(
            "select count(*) from pg_stat_activity where pid in ({}) and state = 'active'
                and wait_event_type = 'Lock'",
            list.join(", ")
        );
        for _ in 0..20_000 {
            let waiting = self.db.int(&waiting).await;
            if ended.get() + usize::try_from(waiting).unwrap_or_default() == pids.len() {
                return;
            }
        }
        panic!("{label}: an operation neither ends nor waits");
    }

    /// Finds an order that explains this end. If there is none, it panics with all that were
    /// possible.
    async fn explain(
        &mut self,
        state: RaceState,
        ops: &[RaceOp],
        commit: bool,
        end: &RaceEnd,
        label: &str,
    ) {
        let takes_part: Vec<usize> = (usize::from(!commit)..ops.len()).collect();
        let may_skip: Vec<usize> =
            takes_part.iter().copied().filter(|at| *at > 0 && ops[*at].skips_locked()).collect();
        let mut possible = BTreeSet::new();
        for skipped in subsets(&may_skip) {
            let acting: Vec<usize> =
                takes_part.iter().copied().filter(|at| !skipped.contains(at)).collect();
            for order in orders(&acting) {
                let sequence: Vec<RaceOp> = order.iter().map(|at| ops[*at]).collect();
                let serial = self.one_after_the_other(state, &sequence).await;
                let answers =
                    takes_part.iter().map(|at| match order.iter().position(|other| other == at) {
                        Some(position) => serial.answers[position].clone(),
                        None => nothing(ops[*at]),
                    });
                let explained = RaceEnd { answers: answers.collect(), state: serial.state };
                if explained == *end {
                    return;
                }
                possible.insert(explained);
            }
        }
        panic!("{label}: no order explains\n{end:#?}\npossible:\n{possible:#?}");
    }

    /// Runs every case of so many of these operations.
    async fn cases(&mut self, state: RaceState, ops: &[RaceOp], length: usize) {
        for ops in tuples(ops, length) {
            self.case(state, &ops).await;
        }
    }

    async fn case(&mut self, state: RaceState, ops: &[RaceOp]) {
        for commit in [true, false] {
            let label = format!(
                "{state:?}: {ops:?}, the first {}",
                if commit { "commits" } else { "rolls back" }
            );
            let end = self.meet(state, ops, commit, &label).await;
            self.explain(state, ops, commit, &end, &label).await;
        }
    }
}

/// The answer of an operation that found every row locked.
fn nothing(op: RaceOp) -> String {
    match op {
        Sweep | Rescue => "swept 0 closed 0 requeued 0".into(),
        _ => "[]".into(),
    }
}

fn answer(case: &Case, rows: Result<Vec<Value>, SqlError>) -> String {
    let rows = match rows {
        Ok(rows) => rows,
        Err(error) => return case.plain(format!("error {error}")),
    };
    let number = |row: &Value, name: &str| row[name].as_i64().unwrap_or_default();
    if rows.iter().any(|row| row.get("requeued").is_some()) {
        let refunded: i64 = rows.iter().map(|row| number(row, "refunded")).sum();
        let closed = rows.iter().filter(|row| !row["job_id"].is_null()).count();
        let requeued: i64 = rows.iter().map(|row| number(row, "requeued")).sum();
        return format!("swept {refunded} closed {closed} requeued {requeued}");
    }
    let rows: Vec<Value> = rows
        .into_iter()
        .map(|mut row| {
            if let Some(row) = row.as_object_mut() {
                // The id of a new order differs in every case, and the estimate depends on the
                // other waiting jobs.
                row.retain(|name, _| !["job_id", "eta_seconds", "input"].contains(&name.as_str()));
            }
            row
        })
        .collect();
    case.plain(format!("{rows:?}"))
}

fn orders(of: &[usize]) -> Vec<Vec<usize>> {
    if of.is_empty() {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for (at, first) in of.iter().enumerate() {
        let mut rest = of.to_vec();
        rest.remove(at);
        for mut order in orders(&rest) {
            order.insert(0, *first);
            all.push(order);
        }
    }
    all
}

fn subsets(of: &[usize]) -> Vec<Vec<usize>> {
    let mut all = vec![Vec::new()];
    for item in of {
        let with: Vec<Vec<usize>> =
            all.iter().map(|set| set.iter().copied().chain([*item]).collect()).collect();
        all.extend(with);
    }
    all
}

async fn pairs(states: &[RaceState]) {
    let mut arena = Arena::open().await;
    for &state in states {
        arena.cases(state, &PAIRS, 2).await;
    }
}

async fn triples(firsts: &[RaceOp]) {
    let mut arena = Arena::open().await;
    for &first in firsts {
        for others in tuples(&TRIPLES, 2) {
            arena.case(first.suitable(), &[&[first], &others[..]].concat()).await;
        }
    }
}

/// Every list of so many of these operations.
fn tuples(ops: &[RaceOp], length: usize) -> Vec<Vec<RaceOp>> {
    if length == 0 {
        return vec![Vec::new()];
    }
    let shorter = tuples(ops, length - 1);
    let longer =
        shorter.iter().flat_map(|tuple| ops.iter().map(|op| [&tuple[..], &[*op]].concat()));
    longer.collect()
}

#[tokio::test]
async fn pairs_before_the_provider_has_it() {
    pairs(&STATES[..3]).await;
}

#[tokio::test]
async fn pairs_while_the_provider_has_it() {
    pairs(&STATES[3..]).await;
}

#[tokio::test]
async fn triples_of_the_early_operations() {
    triples(&TRIPLES[..4]).await;
}

#[tokio::test]
async fn triples_of_the_late_operations() {
    triples(&TRIPLES[4..]).await;
}

#[tokio::test]
async fn orders_of_one_account_meet_each_other_and_its_cancels() {
    let mut arena = Arena::open().await;
    arena
        .db
        .exec(&format!(
            "update tools set exclusive_group = null, credit_cost = 70, queue_ttl =
                '2 hours' where tool = '{UPSCALER}';
             update providers set enabled = false where provider = 'runninghub'"
        ))
        .await;
    // A sweep reads the jobs once and leaves an order that is placed meanwhile to the next sweep,
    // so that order must not be past its deadline already.
    let ops = [Order, Replay, Cancel, Sweep];
    arena.cases(RaceState::QueuedLongAgo, &ops, 2).await;
    arena.cases(RaceState::QueuedLongAgo, &ops, 3).await;
}

/// `step_checked_v1` fails a step past its deadline, while its success is reported.
#[tokio::test]
async fn a_timeout_meets_the_success_of_its_step() {
    let ops = [Checked, Done, Complete, Fail, Stop, Sweep, Webhook, Requeue];
    Arena::open().await.cases(RaceState::Overdue, &ops, 2).await;
}

/// Steps of one job end at the same time, while another call ends the whole job.
#[tokio::test]
async fn steps_of_one_job_end_beside_each_other_and_beside_a_cancel() {
    let mut arena = Arena::open().await;
    let cards = [Complete, CompleteSecond, Fail, FailSecond, Stop, Sweep, Rescue];
    arena.cases(RaceState::Cards, &cards, 3).await;
    let try_on = [Complete, Fail, Stop, Sweep, Done];
    arena.cases(RaceState::TryOn, &try_on, 2).await;
}

/// Calls that lock the account of a user with two jobs: the step of `{claimed}` is to be requeued,
/// and `{over}` is past its deadline.
const ON_ONE_ACCOUNT: [&str; 9] = [
    "select * from unstuck_private.sweep(clock_timestamp() + interval '27 seconds', null, 100,
        '5 seconds')",
    "select * from unstuck_private.sweep(clock_timestamp() + interval '27 seconds', '{user}', 100,
        '5 seconds')",
    "select * from unstuck_private.sweep(clock_timestamp() + interval '27 seconds', null, 1,
        '5 seconds')",
    "select * from user_active_v1('{user}')",
    "select * from job_cancel_admin_v1('{admin}', 'upscaler_jobs', '{claimed}', null)",
    "select * from job_cancel_admin_v1('{admin}', 'upscaler_jobs', '{over}', null)",
    "select * from session_cancel_v1('{user}', 'session', null)",
    "select * from step_fail_v1('{claimed}', 1, 1, 'PROVIDER_FAILED', 'no.')",
    "select * from step_requeue_v1('{claimed}', 1, 1, 'capacity', 0, 'PROVIDER_FAILED',
        'no.')",
];

#[tokio::test]
async fn calls_that_lock_one_account_never_deadlock() {
    let arena = Arena::open().await;
    arena.db.exec("update tools set exclusive_group = null").await;
    let keeper = arena.db.connect().await;
    for first in ON_ONE_ACCOUNT {
        for second in ON_ONE_ACCOUNT {
            let label = format!("{first}\n  {second}");
            let case = arena.prepare(RaceState::Starting).await;
            let over = arena.db.order(case.user, UPSCALER, 1).await;
            arena.db.age(over, "11 minutes").await;
            let fill = |sql: &str| {
                let names = [
                    ("{user}", case.user),
                    ("{admin}", case.admin),
                    ("{claimed}", case.job),
                    ("{over}", over),
                ];
                names
                    .iter()
                    .fold(sql.to_owned(), |sql, (name, id)| sql.replace(name, &id.to_string()))
            };
            // The second call starts after the first; both wait for the account, and then meet the
            // rows that the other has locked meanwhile.
            keeper
                .exec(&format!(
                    "begin; select from credit_accounts where user_id = '{}' for update",
                    case.user
                ))
                .await;
            let ended = Cell::new(0);
            let (one, two) = (fill(first), fill(second));
            let run = async |actor: &Session, sql: &str| {
                let rows = actor.try_rows(sql).await;
                ended.set(ended.get() + 1);
                rows
            };
            let second_later = async {
                arena.wait_until_ended_or_waiting(&arena.pids[..1], &ended, &label).await;
                run(&arena.actors[1], &two).await
            };
            let release = async {
                arena.wait_until_ended_or_waiting(&arena.pids[..2], &ended, &label).await;
                keeper.exec("commit").await;
            };
            let (one, two, ()) =
                futures::future::join3(run(&arena.actors[0], &one), second_later, release).await;
            for rows in [one, two] {
                let refused = rows.err().map(|error| error.state);
                assert!(
                    refused.as_deref().is_none_or(|state| state.starts_with("PT")),
                    "{label}: {refused:?}"
                );
            }
            arena.check_money(&case, &label).await;
        }
    }
    arena.db.assert_healthy().await;
}
