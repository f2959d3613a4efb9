//! Adding a tool to a copy of the checkout: what `cargo xtask new-function` writes, and what a
//! person still has to.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use xtask::paths;

/// The files of the checkout, as git lists them.
fn files() -> BTreeSet<String> {
    let mut git = Command::new("git");
    git.args(["ls-files", "--cached", "--others", "--exclude-standard"]);
    let output = git.current_dir(paths::root()).output().expect("git is installed");
    assert!(output.status.success());
    let exists = |file: &&str| paths::root().join(file).is_file();
    String::from_utf8(output.stdout).unwrap().lines().filter(exists).map(str::to_owned).collect()
}

fn files_below(root: &Path, folder: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files_below(root, &path, found);
        } else {
            found.insert(path.strip_prefix(root).unwrap().to_string_lossy().into_owned());
        }
    }
}

#[test]
fn a_new_tool_is_one_folder_its_words_and_its_tests_by_hand() {
    let copy = std::env::temp_dir().join(format!("unstuck-new-function-{}", std::process::id()));
    for file in files() {
        let target = copy.join(&file);
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        std::fs::copy(paths::root().join(&file), target).unwrap();
    }
    // What `cargo xtask setup` installs.
    let packages = copy.join("node_modules");
    std::os::unix::fs::symlink(paths::root().join("node_modules"), &packages).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.args(["new-function", "paint-cats", "--tool", "--provider", "runninghub"]);
    command.args(["--price", "70"]).env("CARGO_MANIFEST_DIR", copy.join("xtask"));
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    std::fs::remove_file(&packages).unwrap();

    let mut changed = BTreeSet::new();
    files_below(&copy, &copy, &mut changed);
    changed.retain(|file| {
        std::fs::read(paths::root().join(file)).ok() != std::fs::read(copy.join(file)).ok()
    });
    let migrations =
        changed.extract_if(.., |file| file.starts_with("supabase/migrations/")).count();
    let row = std::fs::read_to_string(copy.join("supabase/schemas/tool/known_tools.sql")).unwrap();
    std::fs::remove_dir_all(&copy).unwrap();

    let by_hand = [
        "functions/paint-cats/Cargo.toml",
        "functions/paint-cats/function.toml",
        "functions/paint-cats/src/lib.rs",
        "functions/paint-cats/studio.js",
        "web/words/en.js",
        "web/words/pt.js",
        "web/words/ru.js",
        "web/words/uk.js",
    ];
    let by_the_command = [
        "supabase/schemas/tool/known_tools.sql",
        "openapi.yaml",
        "tests/e2e/main.rs",
        "tests/e2e/paint_cats.rs",
    ];
    let generated = [
        "README.md",
        "wrangler.toml",
        "docs/configuration.md",
        "packages/client/src/contract.ts",
        "web/client.d.ts",
    ];
    let expected = by_hand.into_iter().chain(by_the_command).chain(generated);
    assert_eq!(changed, expected.map(str::to_owned).collect());
    assert_eq!(migrations, 1);
    assert!(row.contains("'paint-cats',\n    'veste_ai_jobs', 'runninghub', 70, 'job'"), "{row}");
}
