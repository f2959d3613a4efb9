//! Fifty claimers with a limit of three leave no slot idle. Each claim is compared with the rows
//! that it sees while it holds the provider's lock, so the result does not depend on timing.
//! `hammer` tests that they never take a fourth slot.

use std::sync::atomic::{AtomicI64, Ordering};

use futures::future::join_all;
use unstuck_tests::shop::{StepRun, UPSCALER};
use unstuck_tests::{Database, Session};
use uuid::Uuid;

const PROVIDER: &str = "runninghub";
const CLAIMERS: usize = 50;
const USERS: usize = 40;
const JOBS_EACH: usize = 5;

/// How many steps a claim that holds the provider's lock must take at least: slots may be freed
/// meanwhile, but no other claim can take one.
const COULD_START: &str = "
    select least(
      3 - count(*) filter (where unstuck_private.holds_slot(s)),
      count(*) filter (where s.status = 'queued')
    )
    from unstuck.job_steps s
    where s.provider = 'runninghub'";

/// Claims while it holds the provider's lock.
async fn claim(session: &Session) -> Vec<StepRun> {
    session.exec("begin").await;
    session
        .exec("select from unstuck.providers where provider = 'runninghub' for no key update")
        .await;
    let could_start = session.int(COULD_START).await;
    let claimed = session.claim(PROVIDER, 3).await;
    session.exec("commit").await;
    assert!(claimed.len() as i64 >= could_start, "{claimed:?}, but {could_start} could start");
    claimed
}

async fn work(session: &Session, attempt: StepRun) {
    let task = attempt.job.to_string();
    assert!(session.sent(attempt).await);
    assert_eq!(session.started(attempt, &task).await, "running");
    if attempt.job.as_u128().is_multiple_of(5) {
        session.fail(attempt, "PROVIDER_FAILED").await;
        return;
    }
    assert_eq!(session.done(attempt, &task).await["outcome"], "copy");
    assert_eq!(session.complete(attempt).await["outcome"], "completed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_claim_leaves_a_slot_idle_while_a_step_waits() {
    let db = Database::open().await;
    db.set_slots(PROVIDER, 3).await;
    let users: Vec<Uuid> = join_all((0..USERS).map(|_| db.user(1_000))).await;
    for _ in 0..JOBS_EACH {
        for user in &users {
            db.order(*user, UPSCALER, 1).await;
        }
    }
    let (jobs, ended) = ((USERS * JOBS_EACH) as i64, AtomicI64::new(0));
    let claimers = db.sessions(CLAIMERS).await;
    join_all(claimers.iter().map(async |session| {
        while ended.load(Ordering::Relaxed) < jobs {
            for attempt in claim(session).await {
                work(session, attempt).await;
                ended.fetch_add(1, Ordering::Relaxed);
            }
        }
    }))
    .await;
    assert_eq!(db.count("job_steps where run = 1 and completed_at is not null").await, jobs);
    db.assert_healthy().await;
}
