//! Metrics in the text format of Prometheus, version 0.0.4.
//!
//! Source: prometheus.io/docs/instrumenting/exposition_formats.

use std::fmt::Write as _;

use serde_json::Value;

use crate::core::json::number_text;
use crate::db::alert::Sample;

/// The content type of the format.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The families of metrics: name, type, help.
pub const FAMILIES: &[(&str, &str, &str)] = &[
    ("unstuck_jobs_ended_total", "counter", "Jobs that ended, by tool, end and error code."),
    ("unstuck_credits_charged_total", "counter", "Credits charged for jobs that ended."),
    ("unstuck_credits_refunded_total", "counter", "Credits of ended jobs that came back."),
    ("unstuck_refunds_total", "counter", "Ended jobs of which credits came back."),
    ("unstuck_job_wait_seconds", "histogram", "From the order to the start of the work."),
    ("unstuck_job_duration_seconds", "histogram", "From the start of the work to its completion."),
    ("unstuck_provider_answers_total", "counter", "Ended steps by the class of the last answer."),
    ("unstuck_provider_attempts_total", "counter", "Attempts of ended steps."),
    ("unstuck_slots_in_use", "gauge", "Steps that the provider works on."),
    ("unstuck_slots_limit", "gauge", "Steps that the provider may work on at once."),
    ("unstuck_steps_waiting", "gauge", "Steps in the queue of the provider."),
    ("unstuck_provider_enabled", "gauge", "1 where the provider is switched on."),
    ("unstuck_circuit_open", "gauge", "1 where the circuit of the provider is open."),
    ("unstuck_provider_balance", "gauge", "What is left on our account, by unit."),
    ("unstuck_healer_age_seconds", "gauge", "Since the healer was last seen."),
    ("unstuck_webhook_age_seconds", "gauge", "Since the last webhook of the provider."),
    ("unstuck_sweep_age_seconds", "gauge", "Since the last sweep ended."),
    ("unstuck_stuck_jobs", "gauge", "Jobs past the deadline of every healer."),
    ("unstuck_violations", "gauge", "Invariants that are violated."),
    ("unstuck_messages_owed", "gauge", "Messages that no receiver took yet."),
    ("unstuck_counters_age_seconds", "gauge", "How old the counters are."),
];

/// Writes the samples as text, family by family. A sample of no known family is left out.
pub fn text(samples: &[Sample]) -> String {
    let mut text = String::new();
    for (family, kind, help) in FAMILIES {
        let mut lines: Vec<(String, f64)> = samples
            .iter()
            .filter(|sample| belongs(&sample.name, family, kind))
            .map(|sample| (head(sample), sample.value))
            .collect();
        if lines.is_empty() {
            continue;
        }
        lines.sort_by(|(a, _), (b, _)| a.cmp(b));
        // Writing into a `String` cannot fail.
        let _ = writeln!(text, "# HELP {family} {help}\n# TYPE {family} {kind}");
        for (head, value) in lines {
            let _ = writeln!(text, "{head} {}", number_text(value));
        }
    }
    text
}

fn belongs(name: &str, family: &str, kind: &str) -> bool {
    match name.strip_prefix(family) {
        Some("") => kind != "histogram",
        Some("_bucket" | "_sum" | "_count") => kind == "histogram",
        _ => false,
    }
}

/// `name{label="value"}`; the label `le`, a bucket's bound, comes last.
fn head(sample: &Sample) -> String {
    let mut labels: Vec<(&String, &Value)> = sample.labels.iter().collect();
    labels.sort_by_key(|(name, _)| (name.as_str() == "le", name.as_str()));
    let labels: Vec<String> = labels
        .into_iter()
        .map(|(name, value)| format!("{name}=\"{}\"", escaped(value.as_str().unwrap_or_default())))
        .collect();
    match labels.as_slice() {
        [] => sample.name.clone(),
        labels => format!("{}{{{}}}", sample.name, labels.join(",")),
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::{Sample, text};
    use serde_json::{Value, json};

    fn sample(name: &str, labels: Value, value: f64) -> Sample {
        let Value::Object(labels) = labels else { unreachable!() };
        Sample { name: name.to_owned(), labels, value }
    }

    #[test]
    fn samples_are_grouped_by_family_and_escaped() {
        let bucket = |le: &str, value| {
            sample("unstuck_job_wait_seconds_bucket", json!({"le": le, "tool": "a"}), value)
        };
        let samples = [
            sample("unstuck_stuck_jobs", json!({}), 0.0),
            bucket("1", 2.0),
            sample("unstuck_job_wait_seconds_sum", json!({"tool": "a"}), 1.5),
            sample("unstuck_refunds_total", json!({"tool": "a\"\\\n"}), 3.0),
            sample("unstuck_unknown", json!({}), 1.0),
        ];
        assert_eq!(
            text(&samples),
            "# HELP unstuck_refunds_total Ended jobs of which credits came back.\n\
             # TYPE unstuck_refunds_total counter\n\
             unstuck_refunds_total{tool=\"a\\\"\\\\\\n\"} 3\n\
             # HELP unstuck_job_wait_seconds From the order to the start of the work.\n\
             # TYPE unstuck_job_wait_seconds histogram\n\
             unstuck_job_wait_seconds_bucket{tool=\"a\",le=\"1\"} 2\n\
             unstuck_job_wait_seconds_sum{tool=\"a\"} 1.5\n\
             # HELP unstuck_stuck_jobs Jobs past the deadline of every healer.\n\
             # TYPE unstuck_stuck_jobs gauge\n\
             unstuck_stuck_jobs 0\n"
        );
    }
}
