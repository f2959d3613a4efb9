//! Turns a model's answer into the checked files of a website, or into the reason why it is none.
//!
//! Models write their thoughts before the answer, put prose or a code fence around it, and begin
//! paths with `/` or `./`: all of that is removed. The files themselves are not repaired, because
//! another attempt is cheaper than an incomplete website.

use super::kind::WebsiteKind;
use crate::core::json;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::HashSet;

pub const FILES_MAX: usize = 200;
pub const BYTES_MAX: usize = 5 * 1024 * 1024;
const PATH_BYTES_MAX: usize = 200;

/// The comment that begins a file in an answer without JSON.
const MARK: &str = "<!-- FILE:";
const MARK_END: &str = "-->";

/// The maximal number of `{` at which reading is tried in an answer with prose around it.
const OBJECTS_MAX: usize = 20;
/// The tags around a model's thoughts. Some servers cut off the first one.
const THOUGHTS: [(&str, &str); 3] =
    [("<think>", "</think>"), ("<thinking>", "</thinking>"), ("<reasoning>", "</reasoning>")];

/// The accepted entry files of a React project.
const ENTRIES: [&str; 12] = [
    "src/main.tsx",
    "src/main.jsx",
    "src/main.ts",
    "src/main.js",
    "src/index.tsx",
    "src/index.jsx",
    "src/index.ts",
    "src/index.js",
    "main.tsx",
    "main.jsx",
    "index.tsx",
    "index.jsx",
];

/// One text file of a website.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebsiteFile {
    /// The relative path, with forward slashes.
    pub path: String,
    pub content: String,
}

/// Reads and checks an answer. The error is a sentence for the log and for the user.
pub fn of_answer(kind: WebsiteKind, answer: &str) -> Result<Vec<WebsiteFile>, String> {
    let answer = without_fence(without_thoughts(answer.trim()));
    let files = match of_marks(answer) {
        files if files.is_empty() || answer.starts_with('{') => of_json(answer)?,
        files => files,
    };
    check(kind, files)
}

fn of_json(answer: &str) -> Result<Vec<WebsiteFile>, String> {
    #[derive(Deserialize)]
    struct WebsiteAnswer {
        files: Vec<WebsiteFile>,
    }
    let begins = answer.match_indices('{').take(OBJECTS_MAX).map(|(at, _)| at);
    for rest in begins.filter_map(|at| answer.get(at..)) {
        // Reads only the object; the text after it is prose.
        let strict = serde_json::Deserializer::from_str(rest).into_iter::<WebsiteAnswer>().next();
        if let Some(Ok(read)) = strict {
            return Ok(read.files);
        }
        let whole = rest.rfind('}').and_then(|end| json::lenient(rest.get(..=end)?));
        if let Some(read) = whole.and_then(|whole| serde_json::from_value(whole).ok()) {
            let WebsiteAnswer { files } = read;
            return Ok(files);
        }
    }
    Err(match answer.contains('{') {
        true => "the answer is not the JSON that was asked for".to_owned(),
        false => "the answer holds no files".to_owned(),
    })
}

/// Returns the text after the model's thoughts, which some servers leave in the answer.
fn without_thoughts(answer: &str) -> &str {
    let mut answer = answer;
    for (open, close) in THOUGHTS {
        let first = answer.find(['{', '`']).unwrap_or(answer.len());
        let ends = answer.find(close).filter(|end| answer.starts_with(open) || *end < first);
        if let Some(rest) = ends.and_then(|end| answer.get(end + close.len()..)) {
            answer = rest.trim_start();
        }
    }
    answer
}

/// Reads the files after `<!-- FILE: path -->` lines. Text before the first such line is ignored.
fn of_marks(answer: &str) -> Vec<WebsiteFile> {
    let mut files: Vec<WebsiteFile> = Vec::new();
    for line in answer.split_inclusive('\n') {
        let mark = line.trim().strip_prefix(MARK).and_then(|rest| rest.strip_suffix(MARK_END));
        match (mark, files.last_mut()) {
            (Some(path), _) => {
                files.push(WebsiteFile { path: path.trim().to_owned(), content: String::new() })
            }
            (None, Some(file)) => file.content.push_str(line),
            (None, None) => {}
        }
    }
    for file in &mut files {
        let content = without_fence(file.content.trim());
        file.content = format!("{content}\n");
    }
    files
}

/// Returns the content of a text that is one fenced block, else the text itself.
fn without_fence(text: &str) -> &str {
    let inside = text.strip_prefix("```").and_then(|rest| rest.strip_suffix("```"));
    match inside.and_then(|inside| inside.split_once('\n')) {
        Some((_language, inside)) => inside.trim_end(),
        None => text,
    }
}

fn check(kind: WebsiteKind, mut files: Vec<WebsiteFile>) -> Result<Vec<WebsiteFile>, String> {
    if files.is_empty() {
        return Err("the answer holds no files".to_owned());
    }
    if files.len() > FILES_MAX {
        return Err(format!("the answer holds more than {FILES_MAX} files"));
    }
    if files.iter().map(|file| file.content.len()).sum::<usize>() > BYTES_MAX {
        return Err(format!("the answer holds more than {} MB of files", BYTES_MAX >> 20));
    }
    let mut seen = HashSet::new();
    for file in &mut files {
        let mut path = file.path.as_str();
        while let Some(rest) = ["./", "/"].iter().find_map(|begin| path.strip_prefix(begin)) {
            path = rest;
        }
        file.path = path.to_owned();
        if !is_path(&file.path) {
            return Err("the answer holds a file with a path that is not allowed".to_owned());
        }
        if file.content.contains('\0') {
            return Err("the answer holds a file that is not text".to_owned());
        }
        // On a file system that ignores case, one of the two files would be lost.
        if !seen.insert(file.path.to_lowercase()) {
            return Err("the answer holds two files of the same path".to_owned());
        }
    }
    check_complete(kind, &files)?;
    Ok(files)
}

/// Returns whether a path is relative, printable, and stays inside its folder on any file system.
fn is_path(path: &str) -> bool {
    let is_plain =
        |c: char| !c.is_control() && !matches!(c, '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|');
    !path.is_empty()
        && path.len() <= PATH_BYTES_MAX
        && path.chars().all(is_plain)
        && path
            .split('/')
            .all(|part| !part.is_empty() && part.trim() == part && !part.chars().all(|c| c == '.'))
}

/// Checks that the files which a website of this kind needs are present.
fn check_complete(kind: WebsiteKind, files: &[WebsiteFile]) -> Result<(), String> {
    let find = |path: &str| files.iter().find(|file| file.path == path);
    let need = |path: &str| find(path).ok_or_else(|| format!("the answer holds no {path}"));
    match kind {
        WebsiteKind::Html => need("index.html").map(drop),
        WebsiteKind::Php => need("index.php").map(drop),
        WebsiteKind::React => {
            let package = need("package.json")?;
            serde_json::from_str::<Map<String, Value>>(&package.content)
                .map_err(|_| "the answer's package.json is not JSON")?;
            let entry = ENTRIES.iter().any(|entry| find(entry).is_some());
            if entry {
                Ok(())
            } else {
                Err("the answer holds no entry such as src/main.tsx".to_owned())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn answer(files: &[(&str, &str)]) -> String {
        let files: Vec<Value> =
            files.iter().map(|(path, content)| json!({"path": path, "content": content})).collect();
        json!({ "files": files }).to_string()
    }

    fn html(files: &[(&str, &str)]) -> Result<Vec<WebsiteFile>, String> {
        of_answer(WebsiteKind::Html, &answer(files))
    }

    #[test]
    fn each_kind_needs_its_entry_files() {
        for (kind, files, good) in [
            (WebsiteKind::Html, vec![("index.html", "<h1>a</h1>")], true),
            (WebsiteKind::Html, vec![("home.html", "")], false),
            (WebsiteKind::Html, vec![("INDEX.HTML", "")], false),
            (WebsiteKind::React, vec![("package.json", "{}"), ("src/main.tsx", "")], true),
            (WebsiteKind::React, vec![("package.json", "{}"), ("src/index.js", "")], true),
            (WebsiteKind::React, vec![("package.json", "{}")], false),
            (WebsiteKind::React, vec![("package.json", "[]"), ("src/main.tsx", "")], false),
            (WebsiteKind::React, vec![("src/main.tsx", "")], false),
            (WebsiteKind::Php, vec![("index.php", "<?php")], true),
            (WebsiteKind::Php, vec![("index.html", "")], false),
        ] {
            assert_eq!(of_answer(kind, &answer(&files)).is_ok(), good, "{kind:?} {files:?}");
        }
    }

    #[test]
    fn paths_outside_the_folder_or_ambiguous_ones_are_refused() {
        for bad in [
            "",
            "/../x",
            "../x",
            "a/../../x",
            "a/..",
            "..",
            ".",
            "...",
            "a//b",
            "a/",
            "a\\b",
            "..\\x",
            "C:/x",
            "a\0b",
            "a\nb",
            "a\u{7f}",
            " a",
            "a /b",
            "a?b",
            "/",
            "//",
            &"x".repeat(201),
        ] {
            let refused = html(&[("index.html", ""), (bad, "x")]);
            assert_eq!(
                refused,
                Err("the answer holds a file with a path that is not allowed".to_owned()),
                "{bad:?}"
            );
        }
        for good in [
            "a.css",
            "./a.css",
            "././a.css",
            ".htaccess",
            "a/b/c.js",
            "büro/ü.html",
            "a..b",
            "[id].tsx",
            "a b.txt",
            "/a.css",
            "//etc/passwd",
        ] {
            assert!(html(&[("index.html", ""), (good, "x")]).is_ok(), "{good:?}");
        }
    }

    #[test]
    fn repaired_paths_must_be_unique() {
        for (one, two) in [
            ("a.css", "a.css"),
            ("a.css", "./a.css"),
            ("a.css", "/a.css"),
            ("A.css", "a.css"),
            ("Ä.css", "ä.css"),
        ] {
            let refused = html(&[("index.html", ""), (one, ""), (two, "")]);
            assert_eq!(
                refused,
                Err("the answer holds two files of the same path".to_owned()),
                "{one} {two}"
            );
        }
        assert_eq!(html(&[("./index.html", "x")]).unwrap()[0].path, "index.html");
    }

    #[test]
    fn the_number_and_the_size_of_files_are_bounded() {
        let many = |count: usize| -> Vec<(String, &str)> {
            (0..count).map(|n| (format!("f{n}"), "")).collect()
        };
        let of_count = |count: usize| {
            let many = many(count);
            let mut files: Vec<(&str, &str)> =
                many.iter().map(|(path, content)| (path.as_str(), *content)).collect();
            files.push(("index.html", ""));
            html(&files)
        };
        assert_eq!(of_count(199).map(|files| files.len()), Ok(200));
        assert!(of_count(200).unwrap_err().contains("200 files"));
        let full = "x".repeat(BYTES_MAX);
        assert!(html(&[("index.html", &full)]).is_ok());
        assert!(html(&[("index.html", &full), ("b", "x")]).unwrap_err().contains("5 MB"));
    }

    #[test]
    fn binary_content_and_malformed_answers_are_refused() {
        assert!(html(&[("index.html", "a\0b")]).is_err());
        for bad in [
            "",
            "Sure! Here is your website.",
            "{half",
            "{}",
            "{\"files\":7}",
            "{\"files\":[]}",
            "{\"files\":[{\"path\":\"index.html\"}]}",
        ] {
            assert!(of_answer(WebsiteKind::Html, bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_fence_around_the_json_is_removed() {
        let fenced = format!("```json\n{}\n```", answer(&[("index.html", "x")]));
        assert_eq!(of_answer(WebsiteKind::Html, &fenced).unwrap()[0].content, "x");
    }

    #[test]
    fn thoughts_and_prose_around_the_answer_are_skipped() {
        let json = answer(&[("/index.html", "<p>{x}</p>")]);
        let thoughts = "I could write {\"files\": []} or ```html\n<p>```.";
        for text in [
            format!("<think>{thoughts}</think>\n{json}"),
            format!("<thinking>\n{thoughts}\n</thinking>\n\n```json\n{json}\n```"),
            format!("It needs one page.\n</think>{json}"),
            format!("Here is your site:\n```json\n{json}\n```\nTell me what to change {{here}}."),
            format!("Here it is: {json} Enjoy!"),
            format!("I use {{braces}} in prose. {json}"),
            json.replace("<p>", "<p>\n\t"),
            json.replace("<p>", "\\ud83d<p>"),
        ] {
            let files = of_answer(WebsiteKind::Html, &text).expect(&text);
            assert_eq!(files[0].path, "index.html", "{text}");
            assert!(files[0].content.contains("{x}</p>"), "{text}");
        }
        let marks = format!("<think>{thoughts}</think>\n<!-- FILE: /index.html -->\n<p>\n");
        assert_eq!(of_answer(WebsiteKind::Html, &marks).unwrap()[0].content, "<p>\n");
    }

    #[test]
    fn file_markers_are_read_if_there_is_no_json() {
        let text = "Here you are:\n<!-- FILE: index.html -->\n```html\n<h1>Ä</h1>\n```\n\
                    <!--FILE: odd\n<!-- FILE: css/a.css -->\nb {}\n";
        let files = of_answer(WebsiteKind::Html, text).unwrap();
        let seen: Vec<_> =
            files.iter().map(|file| (file.path.as_str(), file.content.as_str())).collect();
        assert_eq!(
            seen,
            [("index.html", "```html\n<h1>Ä</h1>\n```\n<!--FILE: odd\n"), ("css/a.css", "b {}\n")]
        );
        let clean = "<!-- FILE: index.html -->\n```html\n<h1>Ä</h1>\n```\n";
        assert_eq!(of_answer(WebsiteKind::Html, clean).unwrap()[0].content, "<h1>Ä</h1>\n");
        assert!(of_answer(WebsiteKind::Html, "<!-- FILE: ../index.html -->\nx").is_err());
    }

    proptest! {
        #[test]
        fn no_answer_panics_or_leaves_its_folder(
            text in "\\PC{0,200}",
            path in "[./a\\\\:\\x00-\\x20]{0,12}",
        ) {
            let _ = of_answer(WebsiteKind::Php, &text);
            if let Ok(files) = html(&[("index.html", ""), (&path, "")]) {
                for file in &files {
                    prop_assert!(file.path.split('/').all(|part| part != ".."));
                    prop_assert!(!file.path.starts_with('/'));
                }
            }
        }
    }
}
