//! The SQL that people edit, file by file: the migrations are made of it, each function's file says
//! all about that function, and its rights are the strict ones.

use unstuck_tests::Database;
use xtask::migration::Project;
use xtask::migration::source::{Kind, Source};

use super::schema::{assert_same, dump};

/// Internal functions that run with their owner's rights, and why they must.
const DEFINERS: [(&str, &str); 16] = [
    ("caller_balance", "the wallet is no table that a user reads"),
    ("caller_positions", "a position counts the jobs of others"),
    ("host_row_changed", "a page of the app writes its own row, never our tables"),
    ("is_admin", "policies ask it, and a user does not read everybody's roles"),
    ("legacy_job_insert", "an older client writes a view, never the table"),
    ("legacy_job_update", "an older client writes a view, never the table"),
    ("may_see", "policies ask it, and a user does not read everybody's roles"),
    ("project", "a transaction ends as its caller, who writes no table"),
    ("visible_costs", "what we pay is for admins alone"),
    ("visible_errors", "an admin's numbers are of everybody's jobs"),
    ("visible_hours", "an admin's numbers are of everybody's jobs"),
    ("visible_load", "an admin's numbers are of everybody's jobs"),
    ("visible_money", "an admin's numbers are of everybody's credits"),
    ("visible_outcomes", "an admin's numbers are of everybody's jobs"),
    ("visible_positions", "a position counts the jobs of others"),
    ("visible_violations", "an admin's list is of everybody's rows"),
];

fn functions() -> Vec<Source> {
    let sources = Project::here().sources().unwrap().into_iter();
    sources.filter(|source| source.kind == Kind::Function).collect()
}

#[test]
fn released_migrations_are_as_they_were_and_numbered_without_a_hole() {
    Project::here().frozen().unwrap();
}

#[test]
fn the_newest_migration_is_made_of_the_sources() {
    let project = Project::here();
    let (newest, text) = project.migrations().unwrap().pop().expect("a migration");
    if project.frozen().unwrap().contains_key(&newest.file()) {
        let unchanged = project.made("next", None).unwrap_err().to_string();
        assert!(unchanged.contains("nothing in supabase/schemas has changed"), "{unchanged}");
    } else {
        let (name, made) = project.made(&newest.name, None).unwrap();
        assert_eq!(name, newest);
        let hint = format!("run `cargo xtask migration {}`", newest.name);
        assert_same(&text, &made, &hint);
    }
}

const WALLET: [&str; 6] =
    ["wallet_price", "wallet_lock", "wallet_debit", "wallet_refund", "wallet_grant", "wallet_take"];

/// An adapter replaces these functions by its own, and a migration must not put ours back.
#[test]
fn no_migration_makes_the_wallets_functions_anew() {
    let migrations = Project::here().migrations().unwrap();
    let made = |text: &str, name: &str| {
        let text = text.to_lowercase();
        ["create or replace function", "create function", "drop function", "alter function"]
            .iter()
            .any(|verb| text.contains(&format!("{verb} unstuck_private.{name}")))
    };
    for name in WALLET {
        let makers: Vec<String> = migrations
            .iter()
            .filter(|(_, text)| made(text, name))
            .map(|(migration, _)| migration.file())
            .collect();
        assert_eq!(makers, ["0004_moving_in.sql"], "{name}");
    }
}

/// While an adapter holds the balances, our own must stay 0.
#[test]
fn nothing_but_the_wallet_moves_a_balance() {
    let moves = |source: &Source| {
        let words: Vec<&str> = source.text.split_whitespace().collect();
        words.join(" ").contains("set balance =")
    };
    let movers: Vec<String> = functions().into_iter().filter(moves).map(|of| of.path).collect();
    assert_eq!(
        movers,
        [
            // A user's ledger is deleted as a whole, and the balance with it.
            "credit/credit_entries_after_delete.sql",
            // The built-in wallet refunds a page of jobs with one statement.
            "credit/jobs_refund.sql",
            "wallet/wallet_debit.sql",
            "wallet/wallet_grant.sql",
            "wallet/wallet_refund.sql",
            "wallet/wallet_take.sql",
        ]
    );
}

/// The files are run in both directions, so that one which changes another file's function is
/// found.
#[tokio::test]
async fn replacing_a_function_by_its_own_file_changes_nothing() {
    let golden = dump(&Database::fresh().await).await;
    let files = functions();
    let backwards: Vec<Source> = files.iter().rev().cloned().collect();
    for files in [files, backwards] {
        let db = Database::fresh().await;
        for file in &files {
            let replaced = db.try_exec(&file.text).await;
            replaced.unwrap_or_else(|error| panic!("supabase/schemas/{}: {error}", file.path));
        }
        if dump(&db).await != golden {
            name_the_one(&files, &golden).await;
        }
    }
}

async fn name_the_one(files: &[Source], golden: &str) {
    for file in files {
        let db = Database::fresh().await;
        db.exec(&file.text).await;
        assert_same(golden, &dump(&db).await, &format!("supabase/schemas/{}", file.path));
    }
    panic!("no file changes anything alone, all of them do");
}

#[tokio::test]
async fn every_function_has_the_strict_rights() {
    let db = Database::fresh().await;
    let ours = "from pg_proc p join pg_namespace n on n.oid = p.pronamespace
        where n.nspname in ('unstuck', 'unstuck_private')";
    let open = format!(
        "select p.oid::regprocedure::text as name {ours} and exists (
           select from aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
           left join pg_roles r on r.oid = a.grantee
           where a.grantee = 0 or r.rolname = 'anon'
         )"
    );
    assert_eq!(db.texts(&open).await, [""; 0], "anybody may call these");
    let definers = format!(
        "select p.proname::text as name {ours} and n.nspname = 'unstuck_private' and p.prosecdef
         order by 1"
    );
    let listed = DEFINERS.map(|(name, _)| name);
    assert_eq!(db.texts(&definers).await, listed, "internal functions run as their caller");
}

#[test]
fn every_functions_file_takes_the_rights_away_itself() {
    for file in functions() {
        for name in file.headers().keys() {
            let revoke = format!(
                "revoke all on function {name} from public, anon, authenticated, service_role"
            );
            let words = file.text.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(
                words.contains(&revoke),
                "supabase/schemas/{}: `{revoke}` is missing",
                file.path
            );
        }
    }
}

/// Projects whose default privileges grant everything grant it on sequences too.
#[test]
fn every_tables_file_takes_the_rights_on_its_sequence_away() {
    for source in Project::here().sources().unwrap() {
        if source.kind != Kind::Table || !source.text.contains("as identity") {
            continue;
        }
        let revoke = format!(
            "revoke all on sequence {}_id_seq from public, anon, authenticated, service_role;",
            source.creates[0]
        );
        let words = source.text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.contains(&revoke), "supabase/schemas/{}: `{revoke}` is missing", source.path);
    }
}

#[test]
fn a_file_is_named_after_what_it_creates() {
    for source in Project::here().sources().unwrap() {
        if !matches!(source.kind, Kind::Table | Kind::Function | Kind::View) {
            continue;
        }
        let [created] = source.creates.as_slice() else {
            panic!("supabase/schemas/{}: one function, table or view a file", source.path);
        };
        let (_, name) = created.split_once('.').unwrap_or_default();
        let file = source.path.rsplit('/').next().unwrap_or_default();
        assert_eq!(file, format!("{name}.sql"), "supabase/schemas/{}", source.path);
    }
}

/// The comment of a public object is in the database; that of an internal one is in its file.
#[test]
fn an_internal_object_begins_with_a_comment() {
    for source in Project::here().sources().unwrap() {
        let is_internal = source.creates.iter().all(|name| name.starts_with("unstuck_private."));
        if is_internal {
            assert!(source.text.starts_with("-- "), "supabase/schemas/{}", source.path);
        }
    }
}
