//! The local stack as an app's own CI, as docs/testing-your-app.md describes it.

use serde_json::Value;
use unstuck_tests::{e2e, sources};

#[test]
fn every_script_of_the_page_is_one_that_the_providers_take() {
    e2e::run(async |world| {
        let page = sources::read("docs/testing-your-app.md");
        let blocks = page.split("```json\n").skip(1).filter_map(|rest| rest.split("```").next());
        let scripts: Vec<&str> = blocks.flat_map(str::lines).collect();
        assert!(scripts.len() > 5, "{scripts:?}");
        for script in scripts {
            let script: Value = serde_json::from_str(script).expect("a script on a line");
            world.script(script).await;
        }
    });
}
