//! `metrics`: only Prometheus may read them.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use unstuck_tests::e2e;
use unstuck_tests::e2e::order::Order;

const TOKEN: &str = "local-METRICS_TOKEN";

/// The values of a scrape by series. It panics where Prometheus would refuse the text.
fn parsed(text: &str) -> BTreeMap<String, f64> {
    let mut kinds: BTreeMap<&str, &str> = BTreeMap::new();
    let mut series = BTreeMap::new();
    assert!(text.ends_with('\n'), "the last line ends");
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a name and a type");
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert!(kinds.insert(name, kind).is_none(), "one type a family: {line}");
            continue;
        }
        if line.starts_with("# HELP ") {
            continue;
        }
        let (head, value) = line.rsplit_once(' ').expect("a series and a value");
        let name = head.split('{').next().unwrap();
        let is_name = |c: char| c.is_ascii_lowercase() || c == '_';
        assert!(name.chars().all(is_name) && name.starts_with("unstuck_"), "{line}");
        let family = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|suffix| {
                let family = name.strip_suffix(suffix)?;
                kinds.get(family).filter(|kind| **kind == "histogram").map(|_| family)
            })
            .unwrap_or(name);
        let kind = kinds.get(family).unwrap_or_else(|| panic!("a type before {line}"));
        assert_eq!(*kind == "counter", name.ends_with("_total"), "{line}");
        let value: f64 = value.parse().unwrap_or_else(|_| panic!("a number: {line}"));
        assert!(value >= 0.0, "{line}");
        assert!(series.insert(head.to_owned(), value).is_none(), "twice: {line}");
    }
    series
}

/// Checks the text with Prometheus' own `promtool` where it is installed: Debian's package
/// `prometheus` has it.
fn promtool_accepts(text: &str) {
    let cached = xtask::paths::cache().join("promtool");
    let path = std::env::var_os("PROMTOOL").map_or(cached, PathBuf::from);
    let program = if path.exists() { path } else { PathBuf::from("promtool") };
    let mut command = Command::new(program);
    command.args(["check", "metrics"]).stdin(Stdio::piped()).stderr(Stdio::piped());
    let Ok(mut judge) = command.spawn() else {
        eprintln!("not run: there is no promtool; the parser of this test judged alone");
        return;
    };
    judge.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let judged = judge.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&judged.stderr);
    assert!(judged.status.success() && said.is_empty(), "{said}\n{text}");
}

#[test]
fn without_a_token_there_are_no_metrics() {
    let set = |options: &mut xtask::stack::StackOptions| {
        let own = options.overrides.entry("gateway".to_owned()).or_default();
        own.insert("METRICS_TOKEN".to_owned(), None);
    };
    e2e::run_apart(set, async |world| {
        world.get("metrics").bearer(TOKEN).refused(404, "not_found").await;
    });
}

#[test]
fn a_scrape_tells_of_an_order_and_only_its_token_opens_it() {
    e2e::run(async |world| {
        let order = Order::running(world).await;
        order.assert_completed(world).await;
        world.sweep().await;
        let answer = world.get("metrics").bearer(TOKEN).send().await;
        assert_eq!(answer.status, 200);
        assert!(answer.header("content-type").starts_with("text/plain; version=0.0.4"));
        let series = parsed(&answer.text);
        promtool_accepts(&answer.text);
        let ended = "unstuck_jobs_ended_total{code=\"\",status=\"completed\",\
            tool=\"runninghub-upscaler\"}";
        assert_eq!(series.get(ended), Some(&1.0), "{series:#?}");
        let buckets: Vec<f64> = ["1", "5", "15", "30", "60", "120", "300", "600", "1800", "3600"]
            .iter()
            .map(|le| {
                series[&format!(
                    "unstuck_job_wait_seconds_bucket{{tool=\"runninghub-upscaler\",le=\"{le}\"}}"
                )]
            })
            .collect();
        assert!(buckets.is_sorted() && buckets.last() == Some(&1.0), "{buckets:?}");
        let none = world.get("metrics").send().await;
        none.expect_refusal(401, "unauthorized");
        let user = world.user(1).await;
        world.get("metrics").by(&user).send().await.expect_refusal(401, "unauthorized");
        world.get("metrics").bearer("wrong").send().await.expect_refusal(401, "unauthorized");
        world.get("admin-settings/tools").bearer(TOKEN).refused(401, "unauthorized").await;
    });
}
