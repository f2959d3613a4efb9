//! A PHP website from a prompt: its files exist and, if PHP is installed, PHP finds no fault in
//! them.

use std::process::Command;

use unstuck_tests::e2e;

use unstuck_tests::e2e::website::{CREDITS, Website, content};

const TOOL: &str = "generate-php-website";

#[test]
fn a_prompt_becomes_a_php_website() {
    e2e::run(async |world| {
        let website =
            Website::of(world, world.new_user(CREDITS).await, TOOL, "it's a guest \\ book").await;
        let seen = website.assert_completed(world, 0).await;
        assert!(content(&seen, "index.php").starts_with("<?php"));
        let dir = tempfile::tempdir().expect("a folder");
        for file in seen["files"].as_array().expect("files") {
            let path = dir.path().join(file["path"].as_str().expect("a path"));
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            std::fs::write(&path, file["content"].as_str().expect("text")).expect("a file");
            let is_php = path.extension().is_some_and(|extension| extension == "php");
            // If PHP is not installed, the files are not checked.
            if let (true, Ok(lint)) = (is_php, Command::new("php").arg("-l").arg(&path).output()) {
                assert!(lint.status.success(), "{}", String::from_utf8_lossy(&lint.stdout));
            }
        }
        assert_eq!(world.balance(&website.user).await, CREDITS - 80);
    });
}
