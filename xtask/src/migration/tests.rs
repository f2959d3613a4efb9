//! Tests that the next migration follows from the sources and the earlier migrations, on text
//! alone. Other tests run migrations on a database.

use super::file::{Made, Name, Part};
use super::source::{Kind, Source, in_order};
use super::*;

const SCHEMA: (&str, &str) = ("schema/unstuck.sql", "create schema unstuck;");
const HISTORY: (&str, &str) =
    ("history/migrations.sql", "create table unstuck.migrations (number int);");
const TABLE: (&str, &str) = (
    "a/jobs.sql",
    "-- What was paid for. Words of a comment are no heads of parts:\n-- source of truth\n\
     -- removed together\n-- history\n\
     create table unstuck.jobs (tool text references unstuck.tools);",
);
const TOOLS: (&str, &str) = ("z/tools.sql", "create table unstuck.tools (tool text primary key);");
const FUNCTION: (&str, &str) = (
    "a/f.sql",
    "create or replace function unstuck.f(a int, b text default ';') returns int\n\
     language sql as $$ select 1 from unstuck.later; $$;\n\
     revoke all on function unstuck.f from public;",
);
const VIEW: (&str, &str) =
    ("a/seen.sql", "create view unstuck.seen as select unstuck.f(1) from unstuck.jobs;");
const OVER: (&str, &str) = ("a/all.sql", "create view unstuck.all as select * from unstuck.seen;");
const POLICY: (&str, &str) =
    ("a/policy.sql", "create policy own on unstuck.jobs using (unstuck.f(1) = 1);");
const ROWS: (&str, &str) = ("a/rows.sql", "insert into unstuck.tools values ('upscaler');");
const FRONT: (&str, &str) = (
    "front/seen.sql",
    "do $do$ begin create view public.seen as select * from unstuck.seen; end $do$;",
);
const CRON: (&str, &str) = ("platform/cron.sql", "do $do$ begin end $do$;");

const ALL: [(&str, &str); 11] =
    [CRON, FRONT, ROWS, POLICY, OVER, VIEW, FUNCTION, TOOLS, TABLE, HISTORY, SCHEMA];

fn sources(files: &[(&str, &str)]) -> Vec<Source> {
    let sources = files.iter().map(|(path, text)| Source::new(path, text).unwrap());
    in_order(sources.collect()).unwrap()
}

fn first() -> (Name, String) {
    let name = Name::new(1, "unstuck").unwrap();
    let text = plan::migration(&name, &[], &sources(&ALL), None).unwrap();
    (name, text)
}

/// The second migration, after the source at `path` got another text.
fn second(path: &str, text: &str, by_hand: Option<&str>) -> Result<String> {
    let files = ALL.map(|(of, is)| if of == path { (of, text) } else { (of, is) });
    next(&[first()], &files, by_hand)
}

fn next(
    earlier: &[(Name, String)],
    files: &[(&str, &str)],
    by_hand: Option<&str>,
) -> Result<String> {
    let name = Name::new(u32::try_from(earlier.len()).unwrap() + 1, "next").unwrap();
    plan::migration(&name, earlier, &sources(files), by_hand)
}

/// The markers and drops of a migration, in order.
fn outline(text: &str) -> Vec<String> {
    let lines = text.lines().map(str::trim);
    let lines = lines.filter(|line| {
        ["--: source ", "--: removed ", "drop ", "alter "]
            .iter()
            .any(|start| line.starts_with(start))
    });
    let hash = |word: &&str| word.len() == 12 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    lines
        .map(|line| line.split(' ').filter(|word| !hash(word)).collect::<Vec<_>>().join(" "))
        .collect()
}

fn refusal<T>(result: Result<T>) -> String {
    format!("{:#}", result.err().expect("a refusal"))
}

#[test]
fn the_first_holds_everything_in_the_order_of_creation() {
    let (_, text) = first();
    let paths = [SCHEMA, HISTORY, TOOLS, TABLE, FUNCTION, VIEW, OVER, POLICY, ROWS, FRONT, CRON];
    assert_eq!(outline(&text), paths.map(|(path, _)| format!("--: source {path}")));
    assert!(text.contains("\nbegin;\n") && text.contains("\ncommit;\n"));
    assert!(text.contains("unstuck migration 0001 is applied already"));
    let (above, below) = text.split_once("\n--: history\n").unwrap();
    assert!(below.contains(&sha256(above)), "the hash is of the text above it");
    assert!(text.lines().filter(|line| line.starts_with("--")).all(|line| line.len() <= 100));
}

#[test]
fn a_line_that_would_be_read_as_a_head_is_refused() {
    let refused = Source::new("a/jobs.sql", "--: source a/b.sql 0\ncreate table unstuck.jobs ();");
    assert!(refusal(refused).contains("is read as a part's head"));
}

#[test]
fn it_is_read_as_it_was_written_and_no_other_way() {
    let (name, text) = first();
    let whole = sources(&ALL).into_iter().map(Part::Whole).collect::<Vec<_>>();
    assert_eq!(Made::read(name.clone(), &text).unwrap().parts, whole);
    let touched = text.replace("'upscaler'", "'uploader'");
    assert!(refusal(Made::read(name, &touched)).contains("was edited by hand"));
}

#[test]
fn a_kind_is_what_a_file_first_creates() {
    let kind = |path: &str, text: &str| Source::new(path, text).unwrap().kind;
    assert_eq!(
        kind("front/is_free.sql", "create or replace function unstuck.g() …"),
        Kind::Function
    );
    assert_eq!(kind("role/app_role.sql", "create type unstuck.r as enum ('a');"), Kind::Type);
    assert_eq!(
        kind("a/b.sql", "/* x */ create unlogged table if not exists unstuck.t ()"),
        Kind::Table
    );
    assert!(
        refusal(Source::new("a/b.sql", "alter table unstuck.t owner to x;")).contains("a/b.sql")
    );
    assert!(refusal(Source::new("a/b.sql", "do $$ begin end $$;")).contains("a/b.sql"));
}

#[test]
fn a_circle_is_named() {
    let sources =
        [("a.sql", "b", "c"), ("b.sql", "c", "a"), ("c.sql", "a", "b"), ("d.sql", "d", "a")].map(
            |(path, _, needs)| {
                let own = path.trim_end_matches(".sql");
                let text = format!("create view unstuck.{own} as select * from unstuck.{needs};");
                Source::new(path, &text).unwrap()
            },
        );
    let refusal = refusal(in_order(sources.into()));
    assert!(refusal.contains("a.sql → c.sql → b.sql → a.sql"), "{refusal}");
}

#[test]
fn two_files_do_not_create_the_same() {
    let twice = ["a.sql", "b.sql"].map(|path| Source::new(path, SCHEMA.1).unwrap());
    assert!(refusal(in_order(twice.into())).contains("both a.sql and b.sql create unstuck"));
}

#[test]
fn a_changed_body_is_replaced_and_nothing_else() {
    let text = second(FUNCTION.0, &FUNCTION.1.replace("select 1", "select 2"), None).unwrap();
    assert_eq!(outline(&text), ["--: source a/f.sql"]);
    assert!(text.contains("unstuck migration 0001 must be applied before 0002"));
    assert!(text.contains("select 2 from unstuck.later"));
}

#[test]
fn a_changed_comment_changes_nothing_outside_of_a_body() {
    let above = format!("-- Says more.\n{}", FUNCTION.1);
    assert!(refusal(second(FUNCTION.0, &above, None)).contains("nothing"));
    let in_table = TABLE.1.replace("What was paid for", "Each order");
    assert!(refusal(second(TABLE.0, &in_table, None)).contains("nothing"));
    let in_body = FUNCTION.1.replace("select 1", "-- Says more.\nselect 1");
    let text = second(FUNCTION.0, &in_body, None).unwrap();
    assert_eq!(outline(&text), ["--: source a/f.sql"]);
}

#[test]
fn a_changed_header_takes_what_hangs_on_it_along() {
    let text = second(FUNCTION.0, &FUNCTION.1.replace("a int", "a bigint"), None).unwrap();
    let drops = [
        "drop view public.seen;",
        "drop policy own on unstuck.jobs;",
        "drop view unstuck.all;",
        "drop view unstuck.seen;",
        "drop function unstuck.f;",
    ];
    let made = [FUNCTION, VIEW, OVER, POLICY, FRONT].map(|(path, _)| format!("--: source {path}"));
    assert_eq!(outline(&text), [drops.map(str::to_owned).as_slice(), &made].concat());
    assert!(text.contains("like 'Unstuck front of %'"), "somebody else's view stays");
}

#[test]
fn a_default_or_a_new_line_in_a_header_is_seen_for_what_it_is() {
    let wrapped = FUNCTION.1.replace("(a int, ", "(\n  a int, -- of a\n  ");
    assert_eq!(outline(&second(FUNCTION.0, &wrapped, None).unwrap()), ["--: source a/f.sql"]);
    let other = FUNCTION.1.replace("';'", "':'");
    assert!(
        outline(&second(FUNCTION.0, &other, None).unwrap())
            .contains(&"drop function unstuck.f;".into())
    );
}

#[test]
fn a_changed_table_needs_a_hand() {
    let changed = TABLE.1.replace(");", ", at timestamptz);");
    assert!(refusal(second(TABLE.0, &changed, None)).contains("source alone: a/jobs.sql; write"));
    let by_hand = "alter table unstuck.jobs add column at timestamptz;";
    let text = second(TABLE.0, &changed, Some(by_hand)).unwrap();
    assert_eq!(outline(&text), [by_hand, "--: source a/jobs.sql by hand"]);
    // The next migration knows the change.
    let earlier = [first(), (Name::new(2, "next").unwrap(), text)];
    let files =
        ALL.map(|(path, is)| if path == TABLE.0 { (path, changed.as_str()) } else { (path, is) });
    assert!(refusal(next(&earlier, &files, None)).contains("has changed since 0002_next.sql"));
    assert!(
        refusal(next(&earlier, &ALL, None)).contains("a/jobs.sql"),
        "back again is a change too"
    );
}

#[test]
fn added_rows_are_inserted_and_changed_ones_need_a_hand() {
    let rows =
        |rows: &str| format!("insert into unstuck.tools values\n{rows}\non conflict do nothing;");
    let before = format!("-- Tools.\n{}", rows("  ('a', 1),\n  ('b', 2)"));
    let first = Name::new(1, "unstuck").unwrap();
    let with = |text: &str| {
        let files: Vec<(&str, &str)> =
            ALL.iter().map(|file| if *file == ROWS { (ROWS.0, text) } else { *file }).collect();
        sources(&files)
    };
    let made = plan::migration(&first, &[], &with(&before), None).unwrap();
    let second = Name::new(2, "more").unwrap();
    let changed =
        |text: &str| plan::migration(&second, &[(first.clone(), made.clone())], &with(text), None);
    let added = changed(&rows("  ('a', 1),\n  ('b', 2),\n  ('c', 3)")).unwrap();
    assert_eq!(outline(&added), ["--: source a/rows.sql"]);
    for other in ["  ('a', 1)", "  ('a', 1),\n  ('b', 3)", "  ('b', 2),\n  ('a', 1)"] {
        assert!(refusal(changed(&rows(other))).contains("a/rows.sql"), "{other}");
    }
}

#[test]
fn what_is_dropped_by_hand_is_made_anew() {
    let by_hand = "drop view unstuck.all;\nalter table unstuck.jobs alter column tool type bytea;";
    let changed = TABLE.1.replace("tool text", "tool bytea");
    let text = second(TABLE.0, &changed, Some(by_hand)).unwrap();
    let lines = outline(&text);
    assert_eq!(lines.iter().filter(|line| line.starts_with("drop view")).count(), 1, "{lines:?}");
    assert!(lines.contains(&"--: source a/all.sql".into()), "{lines:?}");
}

#[test]
fn what_is_gone_is_dropped_and_data_only_by_hand() {
    let without = |path: &str| ALL.into_iter().filter(|(of, _)| *of != path).collect::<Vec<_>>();
    let text = next(&[first()], &without(OVER.0), None).unwrap();
    assert_eq!(outline(&text), ["drop view unstuck.all;", "--: removed a/all.sql"]);
    assert!(
        refusal(next(&[first()], &without(CRON.0), None)).contains("platform/cron.sql (removed)")
    );
    assert!(refusal(next(&[first()], &without(ROWS.0), None)).contains("a/rows.sql (removed)"));
}

#[test]
fn a_file_that_only_moved_runs_nothing() {
    let moved = ALL.map(|(path, text)| (if path == TABLE.0 { "job/jobs.sql" } else { path }, text));
    let text = next(&[first()], &moved, None).unwrap();
    assert_eq!(outline(&text), ["--: source job/jobs.sql by hand", "--: removed a/jobs.sql"]);
    let earlier = [first(), (Name::new(2, "next").unwrap(), text)];
    assert!(
        refusal(next(&earlier, &moved, None)).contains("nothing in supabase/schemas has changed")
    );
}

#[test]
fn something_new_is_created_in_its_turn() {
    let table = ("a/notes.sql", "create table unstuck.notes (at timestamptz);");
    let view = ("a/noted.sql", "create view unstuck.noted as select * from unstuck.notes;");
    let files: Vec<_> = ALL.into_iter().chain([view, table]).collect();
    let text = next(&[first()], &files, None).unwrap();
    assert_eq!(outline(&text), ["--: source a/notes.sql", "--: source a/noted.sql"]);
}

#[test]
fn what_is_pending_follows_what_is_applied() {
    use super::apply::{Applied, pending};
    let migrations = [first(), (Name::new(2, "next").unwrap(), String::from("-- x"))];
    let applied =
        |number, name: &str, hash: &str| [Applied { number, name: name.into(), hash: hash.into() }];
    let hash = super::file::hash(&migrations[0].1).unwrap();
    assert_eq!(pending(&[], &migrations).unwrap(), migrations);
    assert_eq!(pending(&applied(1, "unstuck", &hash), &migrations).unwrap(), &migrations[1..]);
    let other = refusal(pending(&applied(1, "unstuck", "0"), &migrations));
    assert!(other.contains("0001_unstuck as it was before it was remade"), "{other}");
    let other = refusal(pending(&applied(1, "other", &hash), &migrations));
    assert!(other.contains("has 0001_other where supabase/migrations has 0001_unstuck.sql"));
    let newer = refusal(pending(&applied(1, "unstuck", &hash), &[]));
    assert!(newer.contains("use a newer checkout"), "{newer}");
}

/// A temporary folder in place of `supabase`, with the sources in it.
struct Checkout(PathBuf);

impl Checkout {
    fn new() -> Self {
        let dir =
            std::env::temp_dir().join(format!("unstuck-{}", crate::keys::random_hex(6).unwrap()));
        let checkout = Self(dir);
        for (path, text) in ALL {
            checkout.write(&format!("schemas/{path}"), text);
        }
        checkout
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.0.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn project(&self) -> Project {
        Project::at(&self.0)
    }
}

impl Drop for Checkout {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn the_newest_is_made_again_until_it_is_frozen() {
    let checkout = Checkout::new();
    let project = checkout.project();
    assert_eq!(project.make("unstuck", None).unwrap(), "0001_unstuck.sql");
    checkout.write("schemas/a/f.sql", &FUNCTION.1.replace("select 1", "select 2"));
    assert!(
        refusal(project.make("retry", None)).contains("`cargo xtask migration unstuck` remakes it")
    );
    assert_eq!(project.make("unstuck", None).unwrap(), "0001_unstuck.sql");
    assert_eq!(project.freeze().unwrap(), 1);
    assert!(
        refusal(project.make("unstuck", None)).contains("nothing in supabase/schemas has changed")
    );
    checkout.write("schemas/a/f.sql", FUNCTION.1);
    assert_eq!(project.make("retry", None).unwrap(), "0002_retry.sql");
    assert_eq!(project.make("retry", None).unwrap(), "0002_retry.sql", "from what 0001 left");
    assert_eq!(project.migrations().unwrap().len(), 2);
}

#[test]
fn what_is_written_by_hand_stays_until_the_migration_is_frozen() {
    let checkout = Checkout::new();
    let project = checkout.project();
    project.make("unstuck", None).unwrap();
    project.freeze().unwrap();
    checkout.write(&format!("schemas/{}", TABLE.0), &TABLE.1.replace(");", ", at timestamptz);"));
    let by_hand = "alter table unstuck.jobs\n  add column at timestamptz;";
    let (name, made) = project.made("next", Some(by_hand.to_owned())).unwrap();
    checkout.write(&format!("migrations/{}", name.file()), &made);
    assert_eq!(project.made("next", None).unwrap(), (name, made));
    let (_, other) = project.made("next", Some("-- nothing".to_owned())).unwrap();
    assert!(other.contains("-- nothing") && !other.contains("alter table"), "{other}");
}

#[test]
fn a_frozen_one_stays_as_it_is() {
    let checkout = Checkout::new();
    let project = checkout.project();
    project.make("unstuck", None).unwrap();
    project.freeze().unwrap();
    let (_, text) = project.migrations().unwrap().remove(0);
    checkout.write("migrations/0001_unstuck.sql", &format!("{text}\n"));
    assert!(refusal(project.frozen()).contains("0001_unstuck.sql is released and was changed"));
    std::fs::remove_file(checkout.0.join("migrations/0001_unstuck.sql")).unwrap();
    assert!(refusal(project.freeze()).contains("0001_unstuck.sql is released and is gone"));
}

#[test]
fn holes_doubles_and_odd_names_are_refused() {
    let checkout = Checkout::new();
    let project = checkout.project();
    project.make("unstuck", None).unwrap();
    assert!(refusal(project.make("Un stuck", None)).contains("not released yet"));
    for (file, why) in [
        ("0003_later.sql", "has no migration before it; 0002 was due"),
        ("0001_again.sql", "is there twice; 0002 was due"),
        ("2_short.sql", "a migration is named like 0001_unstuck.sql"),
        ("0002_Big.sql", "is no name for a migration"),
    ] {
        checkout.write(&format!("migrations/{file}"), "-- x");
        let refusal = refusal(project.make("unstuck", None));
        assert!(refusal.contains(why), "{file}: {refusal}");
        std::fs::remove_file(checkout.0.join("migrations").join(file)).unwrap();
    }
}
