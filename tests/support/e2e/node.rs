//! Runs scripts that use the stack as an app does: with the official client library, or in a real
//! browser. A script prints one JSON object and judges nothing; the test does.

use std::process::{Command, Stdio};

use serde_json::{Value, json};
use xtask::{paths, tools};

use super::World;
use super::world::PATIENCE;

impl World {
    /// Runs a script of `tests/` with the stack's addresses and `given`. Returns the object that it
    /// printed.
    pub fn node(&self, script: &str, given: &Value) -> Value {
        let (info, keys) = (self.stack().info(), self.stack().keys());
        let stack = json!({
            "url": info.url,
            "anonKey": info.anon_key,
            "publishableKey": keys.publishable_key,
            "serviceRoleKey": info.service_role_key,
            "providersUrl": info.providers_url,
            "users": info.users,
            "chromium": tools::chromium(),
            "patienceMs": PATIENCE.as_millis(),
        });
        let mut node = Command::new(paths::node_bin("node"));
        node.arg(paths::root().join("tests").join(script)).stdin(Stdio::null());
        node.env("STACK", stack.to_string())
            .env("GIVEN", given.to_string())
            .env("NODE_NO_WARNINGS", "1");
        let output = node.output().expect("node runs");
        let (stdout, stderr) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{script}:\n{stdout}\n{stderr}");
        serde_json::from_str(stdout.trim())
            .unwrap_or_else(|error| panic!("{script}: {error}\n{stdout}"))
    }

    /// Runs a script of `tests/browser`. Panics if a page breaks its own content policy, throws, or
    /// calls another host.
    pub fn browser(&self, script: &str, given: &Value) -> Value {
        assert!(
            tools::chromium().is_some(),
            "no browser to test the pages in: {}",
            tools::BROWSER_ADVICE
        );
        let seen = self.node(&format!("browser/{script}"), given);
        assert_eq!(seen["problems"], json!([]), "{script}");
        seen
    }
}
