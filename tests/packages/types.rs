//! The types of every tool: what is right compiles, and each misspelling does not.

use std::collections::BTreeSet;

use unstuck_tests::packages::{PACKED, copy};
use unstuck_tests::sources;

const MARK: &str = "// @ts-expect-error";

/// A folder of the app with these files of `types/` alone.
fn folder(name: &str, change: impl Fn(&str) -> String) -> String {
    let folder = PACKED.folder().join(name);
    copy(&sources::root().join("tests/packages/types"), &folder);
    for file in ["every_tool.ts", "misspelt.ts"] {
        let path = folder.join(file);
        let text = std::fs::read_to_string(&path).expect("a file of the folder");
        std::fs::write(path, change(&text)).expect("a file");
    }
    name.to_owned()
}

#[test]
fn every_tool_is_ordered_and_read_by_its_own_types() {
    let said = PACKED.type_check(&folder("types", str::to_owned));
    assert_eq!(said, Ok(()));
}

/// Without the marks, the compiler names every line after one and no other.
#[test]
fn each_misspelling_alone_is_refused() {
    let text = sources::read("tests/packages/types/misspelt.ts");
    let marked = text.lines().enumerate().filter(|(_, line)| line.trim() == MARK);
    // Lines are counted from 1, and the one that is meant comes after its mark.
    let marked: BTreeSet<usize> = marked.map(|(number, _)| number + 2).collect();
    assert_eq!(marked.len(), 29);
    let said = PACKED.type_check(&folder("unmarked", |text| text.replace(MARK, "//")));
    let said = said.expect_err("nothing is refused");
    let refused = said.lines().filter_map(|line| line.strip_prefix("unmarked/misspelt.ts("));
    let refused: BTreeSet<usize> =
        refused.filter_map(|rest| rest.split(',').next()?.parse().ok()).collect();
    assert_eq!(refused, marked, "{said}");
}

/// Every file that docs/react.md shows, by the name in its first line.
#[test]
fn the_page_for_next_compiles() {
    let app = PACKED.folder().join("next");
    std::fs::create_dir_all(app.join("app")).expect("a folder");
    let settings = sources::read("tests/packages/types/tsconfig.json");
    let settings = settings.replace("\"types\": []", "\"types\": [], \"jsx\": \"react-jsx\"");
    std::fs::write(app.join("tsconfig.json"), settings).expect("a file");
    let around = sources::read("tests/packages/next.d.ts");
    std::fs::write(app.join("next.d.ts"), around).expect("a file");
    let page = sources::read("docs/react.md");
    let blocks = page.split("```ts").skip(1).filter_map(|rest| rest.split_once('\n'));
    let mut files = 0;
    for (_, block) in blocks {
        let text = block.split("```").next().unwrap_or_default();
        let Some(name) = text.strip_prefix("// app/").and_then(|rest| rest.lines().next()) else {
            continue;
        };
        std::fs::write(app.join("app").join(name), text).expect("a file");
        files += 1;
    }
    assert_eq!((files, PACKED.type_check("next")), (3, Ok(())));
}

/// The types of a tool of one's own, as docs/integrating.md shows them, in an app that orders it.
#[test]
fn a_tool_of_ones_own_is_added_to_the_types() {
    let page = sources::read("docs/integrating.md");
    let block = page.split("```ts\n").nth(1).and_then(|rest| rest.split("```").next());
    let block = block.expect("the page shows the types of a tool");
    let order = "
        import { createJobs } from \"@unstuck/client\";
        declare const supabase: Parameters<typeof createJobs>[0];
        createJobs(supabase).run(\"my-tool\", { imageUrl: \"https://a.b/c.png\", strength: 1 });";
    let app = PACKED.folder().join("own_tool");
    std::fs::create_dir_all(&app).expect("a folder");
    let settings = sources::read("tests/packages/types/tsconfig.json");
    std::fs::write(app.join("tsconfig.json"), settings).expect("a file");
    std::fs::write(app.join("own.ts"), format!("{block}{order}")).expect("a file");
    assert_eq!(PACKED.type_check("own_tool"), Ok(()));
    std::fs::write(app.join("own.ts"), order).expect("a file");
    assert!(PACKED.type_check("own_tool").is_err(), "the types of the page add nothing");
}
