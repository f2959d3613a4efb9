//! How our SQL is written: lines that a reader sees whole, one statement on each, and no statements
//! put together out of strings.

use std::path::PathBuf;

use unstuck_tests::sources;
use xtask::migration::text;

/// What a string that becomes a statement must not begin with.
const DDL: [&str; 6] = ["create", "alter", "drop", "grant", "revoke", "comment"];

fn files() -> impl Iterator<Item = (PathBuf, String)> {
    let files = sources::committed().into_iter().filter(|file| {
        let sql = file.extension().is_some_and(|extension| extension == "sql");
        // The golden dump is written as Postgres writes it.
        sql && file.starts_with("supabase") && !file.ends_with("schema.sql")
    });
    files.map(|file| {
        let text = sources::read(&file);
        (file, text)
    })
}

/// Every rule that a file breaks, with its line.
fn broken(sql: &str) -> Vec<(usize, &'static str)> {
    let mut broken = Vec::new();
    let code = text::with_bodies(sql);
    for (at, (line, code)) in sql.lines().zip(code.lines()).enumerate() {
        let mut rule = |holds: bool, rule| {
            if !holds {
                broken.push((at + 1, rule));
            }
        };
        rule(line.chars().count() <= 100, "at most 100 columns");
        rule(!line.contains('\t'), "no tabs");
        rule(line.trim_end() == line, "no blanks at the end");
        rule(code.matches(';').count() <= 1, "one statement a line");
        let declares = text::words(code).first().is_some_and(|word| word == "declare");
        rule(!declares || line.trim() == "declare", "`declare` stands alone on its line");
    }
    broken
}

/// What begins a line of its own wherever it stands outside parentheses.
const CLAUSES: [&str; 9] = [
    "from",
    "where",
    "group by",
    "having",
    "order by",
    "limit",
    "returning",
    "on conflict",
    "union all",
];

/// What of a line stands outside its parentheses and its strings.
fn outside(line: &str) -> String {
    let (mut depth, mut quoted, mut outside) = (0_usize, false, String::new());
    for letter in line.chars() {
        match letter {
            '\'' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => depth = depth.saturating_sub(1),
            _ if depth == 0 && !quoted => outside.push(letter),
            _ => {}
        }
    }
    outside.trim().to_owned()
}

/// Lines on which a clause stands behind another one.
fn crowded(sql: &str) -> Vec<(usize, &'static str)> {
    // These begin one clause, not two.
    let one = [
        "select from ",
        "delete from ",
        "revoke ",
        "grant ",
        "partition by ",
        "not exists",
        "exists",
        "from rows from",
    ];
    let mut crowded = Vec::new();
    for (at, line) in text::with_bodies(sql).lines().enumerate() {
        let line = outside(line);
        let begins_one = one.iter().any(|start| line.starts_with(start));
        let line =
            line.replace("distinct from", "distinct-from").replace("epoch from", "epoch-from");
        let is_second = |clause: &&str| line.contains(&format!(" {clause} "));
        if CLAUSES.iter().filter(|clause| !begins_one || **clause != "from").any(is_second) {
            crowded.push((at + 1, "one clause a line"));
        }
    }
    crowded
}

/// The sources that may build a statement: the first one says what to send where its role lacks a
/// right, the others are told the name of a table of the app.
const BUILD: [&str; 3] = [
    "platform/storage.sql",
    "projection/projection_attach.sql",
    "projection/projection_detach.sql",
];

/// Statements that are built, by `format` or in a loop. What is ours is written down; only leaving
/// a database must look for what is there.
fn built(sql: &str) -> Vec<(usize, &'static str)> {
    let mut built = Vec::new();
    let lower = sql.to_lowercase();
    for (at, found) in lower.match_indices("format(") {
        let first =
            lower[at + found.len()..].trim_start_matches(|letter: char| !letter.is_alphabetic());
        if DDL.iter().any(|word| first.starts_with(&format!("{word} "))) {
            built.push((lower[..at].lines().count(), "no DDL inside strings"));
        }
    }
    let mut depth = 0;
    let mut before = String::new();
    for (at, line) in text::with_bodies(sql).lines().enumerate() {
        for word in text::words(line) {
            match word.as_str() {
                "loop" if before == "end" => depth -= 1,
                "loop" => depth += 1,
                "execute" if depth > 0 => built.push((at + 1, "no loop over statements")),
                _ => {}
            }
            before = word;
        }
    }
    built
}

/// Lines of a function's body, its declarations included.
const BODY_LINES_MAX: usize = 70;

/// The functions whose body has more than [`BODY_LINES_MAX`] lines, at the line where it begins.
fn long_bodies(sql: &str) -> Vec<(usize, &'static str)> {
    let mut long = Vec::new();
    let mut begins = None;
    for (at, line) in sql.lines().enumerate() {
        match begins {
            None if line == "$$" => begins = Some(at),
            Some(start) if line.ends_with("$$;") => {
                if at - start - 1 > BODY_LINES_MAX {
                    long.push((start + 1, "at most 70 lines a function"));
                }
                begins = None;
            }
            _ => {}
        }
    }
    long
}

/// The rows of `providers`, by the file that writes them.
fn provider_names() -> Vec<String> {
    let rows = sources::read("supabase/schemas/tool/known_providers.sql");
    let names = rows.lines().filter_map(|line| line.trim().strip_prefix("('"));
    names.filter_map(|rest| rest.split('\'').next()).map(str::to_owned).collect()
}

/// What differs between providers is a column of `providers` or `tools`.
#[test]
fn sql_names_a_provider_only_in_its_rows() {
    let providers = provider_names();
    assert!(providers.len() >= 4, "{providers:?}");
    let mut named = Vec::new();
    for (file, text) in files().filter(|(file, _)| file.starts_with("supabase/schemas")) {
        if file.ends_with("known_providers.sql") || file.ends_with("known_tools.sql") {
            continue;
        }
        for (at, line) in text.lines().enumerate() {
            let letter = |letter: char| letter.is_alphanumeric() || "_-".contains(letter);
            for word in line.split(|other| !letter(other)).map(str::to_lowercase) {
                if providers.contains(&word) {
                    named.push(format!("{}:{}: {word}", file.display(), at + 1));
                }
            }
        }
    }
    assert!(named.is_empty(), "a provider is named in\n{}", named.join("\n"));
}

/// Each rule about states stands in one function, and in the predicates and checks of its table,
/// which are created before it.
#[test]
fn a_rule_about_states_is_written_once() {
    let rules = [
        ("'pending', 'queued', 'starting', 'running')", "is_live.sql"),
        ("('completed', 'failed', 'cancelled')", "is_final.sql"),
        ("status in ('starting', 'running') and provider_done_at is null", "holds_slot.sql"),
    ];
    let mut twice = Vec::new();
    for (file, text) in files().filter(|(file, _)| file.starts_with("supabase/schemas")) {
        if file.ends_with("job/jobs.sql") || file.ends_with("step/job_steps.sql") {
            continue;
        }
        let words: Vec<&str> = text
            .split_whitespace()
            .map(|word| {
                word.split_once('.').filter(|_| !word.contains('(')).unwrap_or(("", word)).1
            })
            .collect();
        let text = words.join(" ");
        for (rule, home) in rules.iter().filter(|(_, home)| !file.ends_with(home)) {
            if text.contains(rule) {
                twice.push(format!("{}: say it by {home}", file.display()));
            }
        }
    }
    assert!(twice.is_empty(), "{}", twice.join("\n"));
}

#[test]
fn sql_is_written_for_its_readers() {
    let mut all = Vec::new();
    for (file, text) in files() {
        let mut lines = broken(&text);
        if file.starts_with("supabase/schemas") {
            if !BUILD.iter().any(|source| file.ends_with(source)) {
                lines.extend(built(&text));
            }
            lines.extend(crowded(&text));
            lines.extend(long_bodies(&text));
        }
        let lines = lines.into_iter();
        all.extend(lines.map(|(line, rule)| format!("{}:{line}: {rule}", file.display())));
    }
    assert!(all.is_empty(), "{} lines:\n{}", all.len(), all.join("\n"));
}

/// exceptions.txt says what uninstall.sql removes; the host tests see that it is gone.
#[test]
fn what_is_called_removed_stands_in_the_uninstallation() {
    let uninstall = sources::read("supabase/uninstall.sql");
    let list = sources::read("supabase/exceptions.txt");
    let removed: Vec<Vec<&str>> = list
        .lines()
        .filter(|line| !line.starts_with('#') && line.ends_with("| removed"))
        .map(|line| line.split(" | ").collect())
        .collect();
    assert!(removed.len() >= 4, "{removed:?}");
    for entry in removed {
        let (kind, name) = (entry[0], entry[1]);
        let words = match kind {
            "front" => "Unstuck front of %",
            // It goes with its table.
            "published table" => "drop schema",
            "policy" => name.split(" on ").next().unwrap_or(name),
            "cron job" => name,
            _ => panic!("no word for a {kind} in this test"),
        };
        assert!(uninstall.contains(words), "uninstall.sql does not remove the {kind} {name}");
    }
}

#[test]
fn the_rules_see_what_they_are_for() {
    let rules = |sql: &str| {
        let all = broken(sql).into_iter().chain(built(sql)).chain(crowded(sql));
        all.map(|(_, rule)| rule).collect::<Vec<_>>()
    };
    assert_eq!(rules("select 1; select 2;"), ["one statement a line"]);
    assert_eq!(rules("do $$\nbegin\n  a; b;\nend\n$$;"), ["one statement a line"]);
    assert_eq!(rules("comment on t is $c$ One; two; it's three. $c$;"), [""; 0]);
    assert_eq!(rules("do $$\ndeclare a int;\nbegin\nend $$;").len(), 1);
    assert_eq!(rules("do $$\ndeclare\n  a int;\nbegin\n  b;\nend;\n$$;"), [""; 0]);
    assert_eq!(rules("select 1 \n\tfrom t;"), ["no blanks at the end", "no tabs"]);
    assert_eq!(rules("  where a = 1 order by b;"), ["one clause a line"]);
    assert_eq!(rules("  where a is distinct from b;"), [""; 0]);
    assert_eq!(rules("  row_number() over (partition by a order by b) as nth,"), [""; 0]);
    assert_eq!(rules(&format!("-- {}", "x".repeat(98))), ["at most 100 columns"]);
    assert_eq!(
        rules("do $$\nbegin\n  execute format('grant select on %I', t);\nend\n$$;").len(),
        1
    );
    assert_eq!(rules("  v := format('create view %I', n);"), ["no DDL inside strings"]);
    let looped = "do $$\nbegin\n  for a in select 1\n  loop\n    execute a;\n  end loop;\nend\n$$;";
    assert_eq!(rules(looped), ["no loop over statements"]);
    let body = |lines| format!("as\n$$\n{}$$;\n", "  select 1\n".repeat(lines));
    assert_eq!(long_bodies(&body(BODY_LINES_MAX)), []);
    assert_eq!(long_bodies(&body(BODY_LINES_MAX + 1)), [(2, "at most 70 lines a function")]);
}
