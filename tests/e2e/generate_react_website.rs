//! A React project from a prompt: its files exist and parse.

use unstuck_tests::e2e;

use unstuck_tests::e2e::pages::parse;
use unstuck_tests::e2e::website::{CREDITS, Website, content};

const TOOL: &str = "generate-react-website";

#[test]
fn a_prompt_becomes_a_project_whose_files_parse() {
    e2e::run(async |world| {
        let website =
            Website::of(world, world.new_user(CREDITS).await, TOOL, "a \"counter\" with {braces}")
                .await;
        let seen = website.assert_completed(world, 0).await;
        let package: serde_json::Value =
            serde_json::from_str(content(&seen, "package.json")).expect("package.json is JSON");
        assert!(package["dependencies"]["react"].is_string(), "{package}");
        assert!(content(&seen, "src/App.tsx").contains("counter"));
        assert!(parse(&seen["files"]) >= 3, "main.tsx, App.tsx and the configuration");
        assert_eq!(world.balance(&website.user).await, CREDITS - 80);
    });
}
