//! The repository's own rules: layers, sizes, names, and that what must agree agrees. No rule here
//! needs a running part.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use syn::spanned::Spanned;
use syn::visit::Visit;
use unstuck_tests::{Database, sources};
use xtask::function;

/// What decides from values in hand. The other layers are `db`, `flow` and `edge`.
const CORE: [&str; 1] = ["core"];

/// The packages that the product was asked to be built with.
const NAMED: [&str; 7] = [
    "worker",
    "serde",
    "serde_json",
    "postgrest",
    "jsonwebtoken",
    "getrandom",
    "console_error_panic_hook",
];

/// Only `flow::finalise` calls these: they finish, fail or cancel.
const ENDING: [&str; 10] = [
    "step_complete_v2",
    "step_fail_v1",
    "step_checked_v1",
    "step_requeue_v1",
    "job_cancel_v1",
    "job_cancel_admin_v1",
    "jobs_cancel_many_v1",
    "session_cancel_v1",
    "generation_retry_v1",
    "generations_stale_v1",
];

fn is_test(file: &Path) -> bool {
    let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name == "tests.rs"
        || name.ends_with("_tests.rs")
        || file
            .components()
            .any(|part| part.as_os_str() == "testing" || part.as_os_str() == "tests")
}

/// The code of a source file: without comments, and without a `mod tests` at its end.
fn code(file: &Path) -> String {
    let text = sources::read(file);
    let shipped = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let lines = shipped.lines().map(|line| line.split("//").next().unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}

fn shipped(folder: &str) -> Vec<PathBuf> {
    sources::rust_files(folder).into_iter().filter(|file| !is_test(file)).collect()
}

fn names_crate(code: &str, name: &str) -> bool {
    code.match_indices(&format!("{name}::")).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        !before.is_some_and(|letter| letter.is_alphanumeric() || letter == '_' || letter == ':')
    })
}

/// The module of `shared` that a file belongs to.
fn module(file: &Path) -> String {
    let below = file.strip_prefix("shared/src").unwrap_or(file);
    below
        .components()
        .next()
        .map(|part| part.as_os_str().to_string_lossy().trim_end_matches(".rs").to_owned())
        .unwrap_or_default()
}

#[test]
fn layers_depend_one_way() {
    let allowed: BTreeSet<&str> =
        CORE.into_iter().chain(["db", "flow", "app", "edge", "lib"]).collect();
    for file in shipped("shared/src") {
        let (module, code, shown) = (module(&file), code(&file), file.display().to_string());
        assert!(
            allowed.contains(module.as_str()),
            "{shown}: a module of no layer; say in `tidy` which one it belongs to"
        );
        assert!(
            module == "edge" || !names_crate(&code, "worker"),
            "{shown}: only `edge` names `worker`"
        );
        let is_core = CORE.contains(&module.as_str());
        // What the code of some modules may not contain.
        for (forbidden, where_it_is, rule) in [
            ("crate::edge", module != "edge", "nothing below depends on `edge`"),
            ("crate::app", module != "app", "only functions use `app`"),
            ("crate::flow", module == "db", "`db` does not depend on `flow`"),
            (".await", is_core, "core never awaits"),
            ("crate::flow", is_core, "core does not know `flow`"),
            ("crate::db", is_core, "core does not know `db`"),
            ("SystemTime", is_core, "core knows no clock"),
            ("Instant::now", is_core, "core knows no clock"),
            ("getrandom::", is_core, "core knows no chance"),
            ("std::env", is_core, "core knows no environment"),
            ("std::fs", is_core, "core knows no files"),
        ] {
            assert!(!where_it_is || !code.contains(forbidden), "{shown}: {rule}: {forbidden}");
        }
    }
}

#[test]
fn only_finalise_ends_a_job() {
    let files = shipped("shared/src").into_iter().chain(shipped("functions"));
    for file in files
        .filter(|file| !file.starts_with("shared/src/db") && !file.ends_with("flow/finalise.rs"))
    {
        let code = code(&file);
        for call in ENDING {
            assert!(
                !code.contains(call),
                "{}: {call} is called by `flow::finalise` only",
                file.display()
            );
        }
    }
    let finalise = code(Path::new("shared/src/flow/finalise.rs"));
    for call in ENDING {
        assert!(
            finalise.contains(call),
            "`flow::finalise` no longer calls {call}; correct this list"
        );
    }
}

#[test]
fn only_db_names_parameters_of_sql_functions() {
    let files = shipped("shared/src").into_iter().chain(shipped("functions"));
    for file in files.filter(|file| !file.starts_with("shared/src/db")) {
        let code = code(&file);
        let words = code.split(|letter: char| !letter.is_alphanumeric() && letter != '_');
        let parameters: Vec<_> = words.filter(|word| word.starts_with("p_")).collect();
        assert!(parameters.is_empty(), "{}: {parameters:?} belong to `db`", file.display());
        assert!(
            !code.contains(".rpc(") && !code.contains("/rpc/"),
            "{}: only `db` calls an SQL function by name",
            file.display()
        );
    }
}

#[test]
fn the_named_packages_are_really_used() {
    let files = shipped("shared/src").into_iter().chain(shipped("functions"));
    let code: Vec<String> = files.map(|file| code(&file)).collect();
    for package in NAMED {
        assert!(code.iter().any(|code| names_crate(code, package)), "{package} is not used");
    }
}

struct Functions<'a> {
    file: &'a Path,
    long: Vec<String>,
}

impl Functions<'_> {
    fn note(&mut self, name: &syn::Ident, span: proc_macro2::Span) {
        let lines = span.end().line + 1 - span.start().line;
        if lines > 70 {
            self.long.push(format!("{}: `{name}` has {lines} lines", self.file.display()));
        }
    }
}

impl<'ast> Visit<'ast> for Functions<'_> {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.note(&item.sig.ident, item.span());
        syn::visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.note(&item.sig.ident, item.span());
        syn::visit::visit_impl_item_fn(self, item);
    }
}

#[test]
fn files_and_functions_stay_small() {
    let mut long = Vec::new();
    for folder in ["shared", "functions", "stand-ins", "xtask"] {
        for file in sources::rust_files(folder) {
            let lines = sources::read(&file).lines().count();
            let most = match folder {
                "functions" if file.ends_with("src/lib.rs") => 120,
                "functions" | "shared" => 400,
                _ => usize::MAX,
            };
            if lines > most {
                long.push(format!("{}: {lines} lines, at most {most}", file.display()));
            }
            if !is_test(&file) {
                let mut functions = Functions { file: &file, long: Vec::new() };
                functions.visit_file(&syn::parse_file(&sources::read(&file)).unwrap());
                long.extend(functions.long);
            }
        }
    }
    assert!(long.is_empty(), "{long:#?}");
}

#[test]
fn every_module_says_what_it_is_for() {
    for file in sources::committed()
        .into_iter()
        .filter(|file| file.extension().is_some_and(|extension| extension == "rs"))
    {
        assert!(
            sources::read(&file).starts_with("//! "),
            "{} begins without `//!`",
            file.display()
        );
    }
    let migration = |file: &Path| {
        file.starts_with("supabase/migrations") && file.extension().is_some_and(|of| of == "sql")
    };
    for file in sources::committed().into_iter().filter(|file| migration(file)) {
        assert!(
            sources::read(&file).starts_with("-- "),
            "{} begins without saying what it is for",
            file.display()
        );
    }
}

/// Whether a name has a word that would suit anything.
fn says_nothing(name: &str) -> bool {
    const EMPTY: [&str; 7] = ["util", "utils", "common", "helper", "helpers", "misc", "manager"];
    // The name of a function, which is public.
    let name = name.to_lowercase().replace('-', "_").replace("runninghub_queue_manager", "");
    name.split(|letter: char| !letter.is_alphanumeric()).any(|word| EMPTY.contains(&word))
}

#[test]
fn names_say_what_a_thing_is() {
    for file in sources::committed() {
        for part in file.components().map(|part| part.as_os_str().to_string_lossy()) {
            assert!(!says_nothing(&part), "{}: a name that says nothing", file.display());
        }
    }
    for file in sources::rust_files("") {
        for line in sources::read(&file).lines() {
            let declared = line.trim_start().trim_start_matches("pub ").strip_prefix("mod ");
            let name = declared.unwrap_or_default();
            assert!(!says_nothing(name), "{}: {line}", file.display());
        }
    }
}

/// The functions as folders.
fn folders() -> BTreeSet<String> {
    let manifests = sources::committed()
        .into_iter()
        .filter(|file| file.starts_with("functions") && file.ends_with("Cargo.toml"));
    manifests
        .filter_map(|file| Some(file.parent()?.file_name()?.to_string_lossy().into_owned()))
        .collect()
}

#[test]
fn a_function_is_known_everywhere_or_nowhere() {
    let folders = folders();
    assert!(folders.contains("gateway"));
    let declared: BTreeSet<String> =
        function::all().unwrap().into_iter().map(|function| function.name).collect();
    assert_eq!(folders, declared, "folders with a Cargo.toml and folders with a function.toml");
    let wrangler: toml::Table = sources::read("wrangler.toml").parse().unwrap();
    let environments = wrangler["env"].as_table().unwrap().keys().cloned().collect();
    assert_eq!(folders, environments, "folders in functions/ and environments in wrangler.toml");

    let modules: BTreeSet<String> = sources::committed()
        .into_iter()
        .filter(|file| file.parent() == Some(Path::new("tests/e2e")))
        .filter_map(|file| Some(file.file_stem()?.to_string_lossy().replace('_', "-")))
        .collect();
    let untested: Vec<&String> = folders.difference(&modules).collect();
    assert!(untested.is_empty(), "no module in tests/e2e for {untested:?}");

    for name in &folders {
        let manifest: toml::Table =
            sources::read(format!("functions/{name}/Cargo.toml")).parse().unwrap();
        assert_eq!(
            manifest["package"]["name"].as_str(),
            Some(name.as_str()),
            "the folder is the package's name"
        );
    }
}

#[tokio::test]
async fn every_tool_that_is_sold_has_its_function() {
    let db = Database::fresh().await;
    let folders = folders();
    for row in db.rows("select tool from unstuck.tools where enabled").await {
        let tool = row["tool"].as_str().unwrap();
        assert!(folders.contains(tool), "the tool {tool} is enabled and has no function");
    }
    let table_names = db.int("select count(distinct table_name) from unstuck.tools").await;
    assert_eq!(table_names, 7);
}

#[tokio::test]
async fn a_function_that_costs_credits_declares_an_order_and_is_rate_limited() {
    let db = Database::fresh().await;
    let functions = function::all().unwrap();
    for row in db.rows("select tool from unstuck.tools where enabled").await {
        let tool = row["tool"].as_str().unwrap();
        let charges = declared_ops(&whole_code(tool)).iter().any(|op| op.quota == "Order");
        assert!(charges, "{tool} costs credits: one of its operations is `as Order`");
        let function = functions.iter().find(|function| function.name == tool).unwrap();
        let limited = function.ratelimits.iter().any(|limit| limit.binding == "RATE_LIMIT");
        assert!(limited, "[env.{tool}] in wrangler.toml has no ratelimits entry named RATE_LIMIT");
    }
}

/// The code of a function with that of the parts of `app` that it is made of.
fn whole_code(function: &str) -> String {
    let files = shipped(&format!("functions/{function}"));
    let mut all: String = files.iter().map(|file| code(file)).collect();
    for part in ["runninghub", "website"] {
        if all.contains(&format!("shared::app::{part}")) {
            let files = shipped("shared/src/app");
            let of_part = files.iter().filter(|file| file.to_string_lossy().contains(part));
            all.extend(of_part.map(|file| code(file)));
        }
    }
    all
}

/// One operation as `function!` and `op!` declare it: who may call it, and what its calls count as.
struct OpDeclaration {
    policy: String,
    quota: String,
}

/// The operations that a function declares. `POST "run" for User as Order => …` is one.
fn declared_ops(code: &str) -> Vec<OpDeclaration> {
    let declared = code.match_indices("\" for ").map(|(at, mark)| &code[at + mark.len()..]);
    let words = declared.map(|rest| rest.split("=>").next().unwrap_or_default().split_whitespace());
    words
        .map(|mut words| {
            let policy = words.next().unwrap_or_default().to_owned();
            let quota = words.nth(1).unwrap_or("Other").to_owned();
            OpDeclaration { policy, quota }
        })
        .collect()
}

/// Whether a function declares what prices the orders of its tool.
fn prices_orders(code: &str) -> bool {
    code.split("\n    quote: ").skip(1).any(|rest| !rest.starts_with("None"))
}

/// The limiters that the operations of a function count against: only users are counted.
fn limiters(code: &str) -> BTreeSet<&'static str> {
    let users = ["User", "UserOrService", "UserOrBehalf", "Admin", "ServiceOrAdmin"];
    let quotas: BTreeSet<String> = declared_ops(code)
        .into_iter()
        .filter(|op| users.contains(&op.policy.as_str()))
        .map(|op| op.quota)
        .chain(prices_orders(code).then(|| "Read".to_owned()))
        .collect();
    let limits = [("Order", "RATE_LIMIT"), ("Read", "READ_LIMIT"), ("Other", "OTHER_LIMIT")];
    let known: BTreeSet<&str> = limits.iter().map(|(quota, _)| *quota).collect();
    assert!(quotas.iter().all(|quota| known.contains(quota.as_str())), "{quotas:?}");
    let counted = |quota: &str| {
        quotas.contains(quota) || code.contains(&format!("count_against(Quota::{quota})"))
    };
    limits.into_iter().filter(|(quota, _)| counted(quota)).map(|(_, binding)| binding).collect()
}

#[test]
fn every_operation_for_users_has_its_limiter() {
    let spec = code(Path::new("shared/src/core/auth/quota.rs"));
    for binding in ["RATE_LIMIT", "READ_LIMIT", "OTHER_LIMIT"] {
        assert!(spec.contains(binding), "`Quota` no longer names {binding}; correct this list");
    }
    let mut limited = 0;
    for function in function::all().unwrap() {
        let declared: BTreeSet<&str> =
            function.ratelimits.iter().map(|limit| limit.binding).collect();
        assert_eq!(
            declared.len(),
            function.ratelimits.len(),
            "[env.{}] names a limiter twice",
            function.name
        );
        assert_eq!(
            limiters(&whole_code(&function.name)),
            declared,
            "[env.{}] ratelimits",
            function.name
        );
        limited += usize::from(!declared.is_empty());
        for limit in &function.ratelimits {
            // One limiter over all functions is one `namespace_id`.
            let expected = match limit.binding {
                "READ_LIMIT" => Some((1101, 600)),
                "OTHER_LIMIT" => Some((1102, 240)),
                _ => None,
            };
            let (id, most) = (limit.namespace, limit.limit);
            match expected {
                Some((namespace, limit)) => {
                    assert_eq!((id, most), (namespace, limit), "[env.{}]", function.name)
                }
                None => assert!(![1101, 1102].contains(&id), "[env.{}]", function.name),
            }
        }
    }
    assert!(limited >= 13, "{limited}");
}

/// The calls of `flow` that may wake every synchronous provider, because they serve any job.
const WAKING_ALL: [&str; 5] = [
    "sweep::pass",
    "reconcile::reconcile",
    "admin_retry::",
    "wake::after_cancel",
    "wake::start_waiting",
];
/// The calls of `flow` that may wake the provider that they are given.
const WAKING_ONE: [&str; 3] = ["wake::send_hint(", "run_all(", "website_retry::"];

/// Provider and queue of each row of the registry of synchronous providers.
fn hint_queues() -> Vec<(String, String)> {
    let registry = code(Path::new("shared/src/core/provider/mod.rs"));
    let rows = registry.split("SynchronousProvider { name: ").skip(1);
    rows.filter_map(|row| {
        let (provider, rest) = row.split_once("::NAME, hint_queue: \"")?;
        Some((provider.to_owned(), rest.split_once('"')?.0.to_owned()))
    })
    .collect()
}

/// The queues that a function needs, because what it calls may send a hint to them.
fn hints(function: &str) -> BTreeSet<String> {
    let code = whole_code(function).replace("reconcile as settle_now", "reconcile::reconcile");
    let calls = |names: &[&str]| names.iter().any(|name| code.contains(name));
    let all = calls(&WAKING_ALL);
    let wakes = |provider: &str| {
        calls(&WAKING_ONE) && code.contains(&format!("{provider}::NAME"))
            || provider == "llm" && code.contains("website_retry::")
    };
    hint_queues()
        .into_iter()
        .filter(|(provider, _)| all || wakes(provider))
        .map(|(_, queue)| queue)
        .collect()
}

#[test]
fn every_function_that_sends_hints_has_their_queues() {
    assert!(hint_queues().len() >= 2, "{:?}", hint_queues());
    let mut senders = 0;
    for function in function::all().unwrap() {
        let producers = function.producers.iter().map(|producer| producer.binding.as_str());
        let declared: BTreeSet<String> =
            producers.filter(|binding| *binding != "HINTS").map(str::to_owned).collect();
        assert_eq!(hints(&function.name), declared, "[env.{}.queues] producers", function.name);
        senders += usize::from(!declared.is_empty());
    }
    assert!(senders >= 8, "{senders}");
}

/// Text files that somebody wrote.
pub(crate) fn written() -> impl Iterator<Item = (PathBuf, String)> {
    let lock = |file: &PathBuf| file.ends_with("Cargo.lock") || file.ends_with("package-lock.json");
    sources::committed().into_iter().filter(move |file| !lock(file)).filter_map(|file| {
        let text = std::fs::read_to_string(sources::root().join(&file)).ok()?;
        Some((file, text))
    })
}

#[test]
fn nothing_is_left_for_later_and_nothing_is_of_one_machine() {
    // Put together here, so that this file keeps its own rule.
    let unfinished: Vec<String> = [
        ["TO", "DO"],
        ["FIX", "ME"],
        ["XX", "X"],
        ["HA", "CK:"],
        ["todo", "!("],
        ["unimplemented", "!("],
        ["dbg", "!("],
    ]
    .map(|parts| parts.concat())
    .into();
    let places: Vec<String> = [["/wo", "rk/"], ["/ro", "ot/"], ["/ho", "me/"], ["/Use", "rs/"]]
        .map(|parts| parts.concat())
        .into();
    for (file, text) in written() {
        for (number, line) in text.lines().enumerate() {
            for word in unfinished.iter().chain(&places) {
                assert!(!line.contains(word.as_str()), "{}:{}: {word}", file.display(), number + 1);
            }
        }
    }
}

#[test]
fn packages_come_from_wherever_the_reader_gets_them() {
    for line in sources::read("package-lock.json").lines() {
        // Our own packages lie in a folder.
        let from = line.trim_start().strip_prefix("\"resolved\": \"");
        assert!(from.is_none_or(|from| from.starts_with("packages/")), "package-lock.json: {line}");
    }
    for line in sources::read("Cargo.lock").lines().filter(|line| line.starts_with("source = ")) {
        assert_eq!(line, "source = \"registry+https://github.com/rust-lang/crates.io-index\"");
    }
    for (file, text) in written() {
        let settings = file.ends_with(".npmrc") || file.ends_with(".cargo/config.toml");
        let names_one = text.lines().any(|line| {
            line.starts_with("registry") || line.contains(":registry") || line.contains("[source")
        });
        assert!(!settings || !names_one, "{} names a registry", file.display());
    }
}
