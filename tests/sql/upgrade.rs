//! Upgrades from one migration to the next, with all kinds of changes, while workers work.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use unstuck_tests::assert_has;
use unstuck_tests::shop::{CARDS, StepRun, TRY_ON, UPSCALER, WEBSITE, id};
use unstuck_tests::{Database, Session, SqlError, sources};
use uuid::Uuid;
use xtask::migration::Project;
use xtask::migration::apply::migrate;
use xtask::postgres;

use crate::schema::{assert_same, dump, made_of};

const PATIENCE: Duration = Duration::from_secs(60);

/// A copy of our SQL with its migrations released, which a test may change.
struct Copy(tempfile::TempDir);

impl Copy {
    fn new() -> Self {
        let copy = Self(tempfile::tempdir().unwrap());
        let ours = |file: &Path| {
            ["supabase/schemas", "supabase/migrations"].iter().any(|dir| file.starts_with(dir))
        };
        for file in sources::committed().into_iter().filter(|file| ours(file)) {
            copy.write(&file.to_string_lossy(), &sources::read(&file));
        }
        copy.project().freeze().unwrap();
        copy
    }

    /// A copy with the migration of the first release only.
    fn of_first_release() -> Self {
        let copy = Self(tempfile::tempdir().unwrap());
        let (name, text) = Project::here().migrations().unwrap().remove(0);
        copy.write(&format!("supabase/migrations/{}", name.file()), &text);
        copy.project().freeze().unwrap();
        copy
    }

    fn project(&self) -> Project {
        Project::at(self.0.path().join("supabase"))
    }

    fn write(&self, file: &str, text: &str) {
        let path = self.0.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Replaces one text by another in a source, once.
    fn change(&self, source: &str, from: &str, to: &str) {
        let file = format!("supabase/schemas/{source}");
        let text = std::fs::read_to_string(self.0.path().join(&file)).unwrap();
        assert!(text.contains(from), "{source} has no {from:?}");
        self.write(&file, &text.replacen(from, to, 1));
    }

    fn remove(&self, source: &str) {
        std::fs::remove_file(self.0.path().join("supabase/schemas").join(source)).unwrap();
    }

    /// Makes the next migration and releases it at once.
    fn make(&self, name: &str, by_hand: Option<&str>) {
        let file = by_hand.map(|text| {
            self.write("by_hand.sql", text);
            self.0.path().join("by_hand.sql")
        });
        self.project().make(name, file.as_deref()).unwrap();
        self.project().freeze().unwrap();
    }
}

async fn upgrade(db: &Database, copy: &Copy) -> usize {
    let client = postgres::connect(&db.url()).await.unwrap();
    migrate(&client, &copy.project(), |_| ()).await.unwrap()
}

#[tokio::test]
async fn the_next_migration_makes_what_changed_sources_make() {
    let (db, copy) = (Database::fresh().await, Copy::new());
    copy.change("job/jobs.sql", "\n);", ",\n  note text\n);");
    // Functions that policies and views call get other arguments.
    copy.change("role/is_admin.sql", "is_admin()", "is_admin(p_any int default 0)");
    copy.change("job/number_or_null.sql", "p_text text)", "p_text text, p_any int default 0)");
    // A view that has a front.
    copy.change("view/upscaler_jobs.sql", "as\nselect\n", "as\nselect\n  1 as first,\n");
    copy.change("queue/step_claim_v1.sql", "\nbegin\n", "\nbegin\n  perform 1;\n");
    let note =
        "create function unstuck_private.note() returns int\nlanguage sql\nas $$ select 1 $$;
        revoke all on function unstuck_private.note from public;";
    copy.write("supabase/schemas/note/note.sql", note);
    let notes = "create table unstuck.notes (at timestamptz);
        alter table unstuck.notes enable row level security;
        revoke all on unstuck.notes from public, anon, authenticated, service_role;";
    copy.write("supabase/schemas/note/notes.sql", notes);
    let refused = copy.project().make("notes", None).unwrap_err().to_string();
    assert!(refused.contains("job/jobs.sql") && refused.contains("--alter"), "{refused}");
    copy.make("notes", Some("alter table unstuck.jobs add column note text;"));
    assert_eq!(upgrade(&db, &copy).await, 1);
    let expected = dump(&made_of(&copy.project().sources().unwrap()).await).await;
    assert_same(&expected, &dump(&db).await, "0002 and the sources differ");
    assert!(db.try_rows("select first from public.upscaler_jobs").await.is_ok(), "the front too");

    copy.remove("note/note.sql");
    copy.change("role/is_admin.sql", "p_any int default 0", "");
    copy.make("fewer_notes", None);
    assert_eq!(upgrade(&db, &copy).await, 1);
    let expected = dump(&made_of(&copy.project().sources().unwrap()).await).await;
    assert_same(&expected, &dump(&db).await, "0003 and the sources differ");
    assert_eq!(upgrade(&db, &copy).await, 0, "nothing to apply");
    // A new database applies all migrations.
    let new = Database::empty().await;
    let client = postgres::connect(&new.url()).await.unwrap();
    let platform = sources::root().join("supabase/local/platform.sql");
    postgres::apply(&client, &[platform]).await.unwrap();
    assert!(upgrade(&new, &copy).await >= 3);
    assert_same(&expected, &dump(&new).await, "from nothing");
    db.assert_healthy().await;
}

/// Makes a job in every state. Returns the ids, in no order.
async fn a_job_in_every_state(db: &Session) -> Vec<Uuid> {
    db.open_all_tools().await;
    db.exec("update unstuck.providers set max_concurrent = 200").await;
    let user = db.user(100_000).await;
    let mut jobs = Vec::new();
    let pending = format!(
        "insert into unstuck.jobs (tool, user_id, status) values ('{UPSCALER}', '{user}', 'pending')
         returning id"
    );
    jobs.push(id(&db.returned(&pending).await["id"]));
    for end in ["completed", "failed", "cancelled", "copying", "running", "sent", "starting"] {
        let job = db.order(user, UPSCALER, 1).await;
        jobs.push(job);
        let attempt = db.claim_one("runninghub").await;
        if end != "starting" {
            db.sent(attempt).await;
        }
        if !["starting", "sent"].contains(&end) {
            db.started(attempt, end).await;
        }
        match end {
            "completed" => {
                done(db, attempt, end).await;
                complete(db, attempt).await;
            }
            "copying" => done(db, attempt, end).await,
            "failed" => drop(db.fail(attempt, "PROVIDER_FAILED").await),
            "cancelled" => drop(db.cancel_by_admin(job).await),
            _ => {}
        }
    }
    for (tool, steps) in [(UPSCALER, 1), (CARDS, 5), (TRY_ON, 3), (WEBSITE, 1)] {
        jobs.push(db.order(user, tool, steps).await);
    }
    // Of five cards one is delivered and one is at work.
    let cards = db.claim("gemini", 2).await;
    complete(db, cards[0]).await;
    jobs
}

/// Reports a success as the first release does; later releases accept that too.
async fn done(db: &Session, attempt: StepRun, task: &str) {
    let more = json!({ "p_task_id": task, "p_output": { "files": [task] } });
    db.ask("step_done_v1", attempt.with(more)).await;
}

async fn complete(db: &Session, attempt: StepRun) {
    let url = format!("https://files.invalid/{}/{}.png", attempt.job, attempt.step);
    let more = json!({ "p_output": { "ok": true }, "p_output_url": url });
    let answer = db.ask("step_complete_v1", attempt.with(more)).await;
    assert_eq!(answer["outcome"], "completed");
}

/// The work that goes on during an upgrade.
#[derive(Clone, Default)]
struct Work {
    enough: Arc<AtomicBool>,
    rounds: Arc<AtomicUsize>,
    ordered: Arc<Mutex<Vec<Uuid>>>,
    failures: Arc<Mutex<Vec<String>>>,
}

impl Work {
    fn note<T>(&self, what: &str, answer: Result<T, SqlError>) -> Option<T> {
        let refused = |error: &SqlError| error.state.starts_with("PT");
        match answer {
            Ok(answer) => Some(answer),
            Err(error) if refused(&error) => None,
            Err(error) => {
                self.failures.lock().unwrap().push(format!("{what}: {error}"));
                // A closed connection fails every further call at once, so the work ends.
                self.enough.store(true, SeqCst);
                None
            }
        }
    }

    /// Orders, works, heals and reads until it is stopped or a call fails.
    async fn go_on(self, db: Session, user: Uuid) {
        let page = ["unstuck.upscaler_jobs", "public.upscaler_jobs", "unstuck.queue_positions"];
        while !self.enough.load(SeqCst) {
            for tool in [UPSCALER, CARDS, TRY_ON, WEBSITE] {
                let job = Uuid::new_v4();
                if self.note("order", db.enqueue(user, job, tool, 2).await).is_some() {
                    self.ordered.lock().unwrap().push(job);
                }
            }
            for provider in ["runninghub", "gemini", "replicate", "llm"] {
                let args = json!({ "p_provider": provider, "p_limit": 3 });
                let claimed = self.note("claim", db.try_call("step_claim_v1", args).await);
                for step in claimed.unwrap_or_default() {
                    self.finish(&db, &step).await;
                }
            }
            for view in page {
                self.note(view, db.try_rows(&format!("select * from {view}")).await);
            }
            let heal = json!({ "p_sweep_id": null, "p_limit": 100 });
            self.note("sweep", db.try_call("jobs_sweep_v1", heal).await);
            self.rounds.fetch_add(1, SeqCst);
        }
    }

    async fn finish(&self, db: &Session, step: &Value) {
        let attempt = StepRun {
            job: id(&step["job_id"]),
            step: step["step"].as_i64().unwrap(),
            run: step["run"].as_i64().unwrap(),
        };
        let task = Uuid::new_v4();
        let url = format!("https://files.invalid/{task}.png");
        for (function, more) in [
            ("step_sent_v1", json!({})),
            ("step_started_v1", json!({ "p_task_id": task })),
            ("step_done_v1", json!({ "p_task_id": task, "p_output": {} })),
            ("step_complete_v1", json!({ "p_output": {}, "p_output_url": url })),
        ] {
            self.note(function, db.try_call(function, attempt.with(more)).await);
        }
    }

    async fn rounds_more(&self, count: usize) {
        let until = self.rounds.load(SeqCst) + count;
        let reached = async {
            while self.rounds.load(SeqCst) < until && !self.enough.load(SeqCst) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, reached).await.expect("the work goes on");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_migration_is_applied_while_workers_work() {
    let (db, copy) = (Database::fresh().await, Copy::new());
    let jobs = a_job_in_every_state(&db).await;
    let finals =
        "select id, status, credits_refunded from unstuck.jobs where completed_at is not null
        order by id";
    let closed = db.rows(finals).await;
    assert_eq!(closed.len(), 3);

    copy.change("job/jobs.sql", "\n);", ",\n  note text\n);");
    let noted = "\nbegin\n  perform j.note from unstuck.jobs j limit 0;\n";
    copy.change("queue/step_claim_v1.sql", "\nbegin\n", noted);
    copy.make("note", Some("alter table unstuck.jobs add column note text;"));

    let work = Work::default();
    let mut workers = Vec::new();
    for _ in 0..3 {
        let user = db.user(100_000).await;
        workers.push(tokio::spawn(work.clone().go_on(db.connect().await, user)));
    }
    work.rounds_more(4).await;
    assert_eq!(upgrade(&db, &copy).await, 1);
    work.rounds_more(6).await;
    work.enough.store(true, SeqCst);
    for worker in workers {
        worker.await.unwrap();
    }

    assert_eq!(*work.failures.lock().unwrap(), [""; 0], "nothing fails");
    let ordered = work.ordered.lock().unwrap().clone();
    assert!(ordered.len() >= 10, "{}", ordered.len());
    assert_eq!(db.count("unstuck.jobs").await as usize, jobs.len() + ordered.len());
    for job in jobs.iter().chain(&ordered) {
        db.job(*job).await;
    }
    for row in closed {
        let now = db.job(id(&row["id"])).await;
        assert_has!(now, { "status": row["status"], "credits_refunded": row["credits_refunded"] });
    }
    db.assert_healthy().await;
    let expected = dump(&made_of(&copy.project().sources().unwrap()).await).await;
    assert_same(&expected, &dump(&db).await, "the migrations and the sources differ");
}

/// Upgrades from the first release to this one, with rows in every table that a migration changes.
#[tokio::test(flavor = "multi_thread")]
async fn the_first_releases_jobs_go_on_here() {
    let db = Database::empty().await;
    let client = postgres::connect(&db.url()).await.unwrap();
    let platform = sources::root().join("supabase/local/platform.sql");
    postgres::apply(&client, &[platform]).await.unwrap();
    assert_eq!(upgrade(&db, &Copy::of_first_release()).await, 1);
    let jobs = a_job_in_every_state(&db).await;
    // Other users wait with several jobs each, some of them with a delay.
    let mut waiting = Vec::new();
    for _ in 0..4 {
        let user = db.user(100_000).await;
        for tool in [UPSCALER, UPSCALER, CARDS, TRY_ON] {
            waiting.push(db.order(user, tool, 2).await);
        }
    }
    db.exec(
        "update unstuck.job_steps set not_before = clock_timestamp() + interval '1 minute'
        where status = 'queued' and step = 1 and random() < 0.3",
    )
    .await;
    // What is at work outlasts the upgrade, however slow it is.
    db.exec(
        "update unstuck.job_steps set lease_until = lease_until + interval '1 day';
         update unstuck.jobs set deadline_at = deadline_at + interval '1 day'
         where completed_at is null",
    )
    .await;
    let all = [&jobs[..], &waiting[..]].concat();
    let state = format!(
        "select id, status, credits_charged, credits_refunded, completed_at
        from unstuck.jobs where id in ({}) order by id",
        listed(&all)
    );
    let before = db.rows(&state).await;
    assert_eq!(before.len(), all.len());

    // No slot is free, so the workers claim none of the jobs that are compared.
    db.exec("update unstuck.providers set max_concurrent = 0").await;
    let work = Work::default();
    let user = db.user(100_000).await;
    let worker = tokio::spawn(work.clone().go_on(db.connect().await, user));
    work.rounds_more(2).await;
    let rest = Project::here().migrations().unwrap().len() - 1;
    assert_eq!(migrate(&client, &Project::here(), |_| ()).await.unwrap(), rest);
    work.rounds_more(4).await;
    work.enough.store(true, SeqCst);
    worker.await.unwrap();
    // A call may meet the lock of a table or a function that is being replaced: it is rolled back,
    // and its caller is told to retry.
    let rolled_back = ["40P01", "55P03", "42883"];
    let failures = work.failures.lock().unwrap().clone();
    let transient = |text: &&String| rolled_back.iter().any(|state| text.contains(state));
    assert!(failures.iter().filter(|text| !transient(text)).count() == 0, "{failures:#?}");

    assert_eq!(db.rows(&state).await, before, "nobody's job changed");
    let turns = "select provider, line_user_id, count(turn_at) as turns
        from unstuck.job_steps where status = 'queued' group by 1, 2 having count(turn_at) <> 1";
    assert_eq!(db.rows(turns).await, Vec::<Value>::new(), "each waiting user has one turn");
    assert!(db.int("select count(distinct line_user_id) from unstuck.job_steps").await >= 6);
    db.assert_healthy().await;
    let expected = dump(&made_of(&Project::here().sources().unwrap()).await).await;
    assert_same(&expected, &dump(&db).await, "the migrations and the sources differ");

    // Afterwards all waiting jobs are served.
    db.exec("update unstuck.providers set max_concurrent = 1000").await;
    db.exec("update unstuck.job_steps set not_before = null where status = 'queued'").await;
    let work = Work::default();
    for _ in 0..20 {
        for provider in ["runninghub", "gemini", "replicate", "llm"] {
            let args = json!({ "p_provider": provider, "p_limit": 1000 });
            for step in db.call("step_claim_v1", args).await {
                work.finish(&db, &step).await;
            }
        }
    }
    let left = format!("unstuck.jobs where completed_at is null and id in ({})", listed(&waiting));
    assert_eq!(db.count(&left).await, 0, "all waiting jobs have ended");
    db.assert_healthy().await;
}

fn listed(jobs: &[Uuid]) -> String {
    jobs.iter().map(|job| format!("'{job}'")).collect::<Vec<_>>().join(", ")
}
