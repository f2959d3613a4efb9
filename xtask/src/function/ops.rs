//! Reads the operations and events of a function's `shared::function!` as text.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result, bail};

/// The callers that each policy admits, in the words of the README.
const CALLERS: [(&str, &[&str]); 10] = [
    ("User", &["user"]),
    ("UserOrService", &["user", "service"]),
    ("UserOrBehalf", &["user", "service"]),
    ("Admin", &["admin"]),
    ("Service", &["service"]),
    ("ServiceOrAdmin", &["service", "admin"]),
    ("Scheduled", &["schedule"]),
    ("Provider", &["provider"]),
    ("Seller", &["seller"]),
    ("Public", &["anybody"]),
];

/// The operations and events in a function's `shared::function!`.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct DeclaredOps {
    pub ops: Vec<DeclaredOp>,
    /// Whether the function prices the orders of its tool.
    pub has_quote: bool,
    pub has_cron: bool,
    pub has_queue: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub struct DeclaredOp {
    /// A variant of `Policy`.
    pub policy: String,
    /// The variant of `Quota` against which a user's call counts.
    pub quota: String,
}

impl DeclaredOps {
    /// Reads `<dir>/src/lib.rs`. A function without the macro has no operations.
    pub(super) fn read(dir: &Path) -> Result<Self> {
        let path = dir.join("src/lib.rs");
        let source = std::fs::read_to_string(&path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(&source).with_context(|| path.display().to_string())
    }

    fn parse(source: &str) -> Result<Self> {
        let Some((_, rest)) = source.split_once("\nshared::function! {\n") else {
            return Ok(Self::default());
        };
        let (body, _) = rest.split_once("\n}").context("`shared::function!` does not end")?;
        let lines = || body.lines().map(str::trim).filter(|line| !line.starts_with("//"));
        let mut ops = Vec::new();
        for line in lines().filter(|line| line.contains("\" for ")) {
            let (_, caller) = line.split_once("\" for ").unwrap_or_default();
            let words: Vec<&str> = caller.split(' ').collect();
            let (policy, quota) = match words[..] {
                [policy, "as", quota, "=>", ..] => (policy, quota),
                [policy, "=>", ..] => (policy, "Other"),
                _ => bail!("not `… for <policy> [as <quota>] =>`: {line}"),
            };
            if !CALLERS.iter().any(|(known, _)| *known == policy) {
                bail!("the policy {policy} has no words in xtask/src/function/ops.rs");
            }
            ops.push(DeclaredOp { policy: policy.to_owned(), quota: quota.to_owned() });
        }
        Ok(Self {
            ops,
            has_quote: lines().any(|line| line.starts_with("quote: ")),
            has_cron: lines().any(|line| line.starts_with("cron: ")),
            has_queue: lines().any(|line| line.starts_with("queue: ")),
        })
    }

    /// The callers, such as `user, service`; empty for a function without operations.
    pub fn callers(&self) -> String {
        let mut callers: Vec<&str> = if self.has_queue { vec!["queue"] } else { Vec::new() };
        for op in &self.ops {
            let known = CALLERS.iter().find(|(policy, _)| *policy == op.policy);
            for caller in known.map_or(&[][..], |(_, callers)| callers) {
                if !callers.contains(caller) {
                    callers.push(caller);
                }
            }
        }
        if self.has_cron && !callers.contains(&"schedule") {
            callers.push("schedule");
        }
        callers.join(", ")
    }

    /// Whether the function must identify its callers.
    pub(super) fn checks_identity(&self) -> bool {
        self.ops.iter().any(|op| !["Provider", "Seller", "Public"].contains(&op.policy.as_str()))
    }

    pub(super) fn is_scheduled(&self) -> bool {
        self.ops.iter().any(|op| op.policy == "Scheduled")
    }

    /// The quotas against which users' calls count.
    pub(super) fn quotas(&self) -> BTreeSet<&str> {
        let lets_users_in = |op: &&DeclaredOp| {
            ["User", "UserOrService", "UserOrBehalf", "Admin", "ServiceOrAdmin"]
                .contains(&op.policy.as_str())
        };
        let of_ops = self.ops.iter().filter(lets_users_in).map(|op| op.quota.as_str());
        of_ops.chain(self.has_quote.then_some("Read")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = r#"
shared::function! {
    name: "one",
    ops: {
        // A comment "x" for Nobody => is skipped.
        GET | POST "run" for User as Order =>
            |call, body| run(call, body),
        POST "" for ServiceOrAdmin => repair,
        POST "start" for Scheduled => start,
    },
    quote: quote,
    cron: by_cron,
}
"#;

    #[test]
    fn operations_and_events_are_read_from_the_macro() {
        let ops = DeclaredOps::parse(SOURCE).unwrap();
        assert_eq!(ops.callers(), "user, service, admin, schedule");
        assert_eq!(ops.quotas(), BTreeSet::from(["Order", "Other", "Read"]));
        assert!(
            ops.has_quote
                && ops.has_cron
                && !ops.has_queue
                && ops.is_scheduled()
                && ops.checks_identity()
        );
    }

    #[test]
    fn an_unknown_policy_is_refused() {
        let error = DeclaredOps::parse(&SOURCE.replace("for User ", "for Cat ")).unwrap_err();
        assert!(error.to_string().contains("Cat"), "{error}");
        assert_eq!(DeclaredOps::parse("fn fetch() {}").unwrap(), DeclaredOps::default());
    }
}
