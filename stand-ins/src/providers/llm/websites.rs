//! Writes a small working website of each kind, with words of the order in its heading.

use serde_json::{Value, json};

/// The answer's text: the JSON of a website's files. The kind of website is recognised by the start
/// page that the rules name.
pub(super) fn write(system: &str, user: &str) -> String {
    let heading = heading(user);
    let files = if system.contains("package.json") {
        react(&heading)
    } else if system.contains("index.php") {
        php(&heading)
    } else {
        html(&heading)
    };
    let files: Vec<Value> =
        files.iter().map(|(path, content)| json!({"path": path, "content": content})).collect();
    json!({ "files": files }).to_string()
}

/// The site's name, or else the beginning of the order.
fn heading(user: &str) -> String {
    let named = user.lines().find_map(|line| line.strip_prefix("Name of the website: "));
    let order = user.split_once("The website:\n").map_or(user, |(_, order)| order);
    let text = named.unwrap_or(order).trim();
    text.chars().take(80).collect()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

type WebsiteFiles = Vec<(&'static str, String)>;

const STYLE: &str = include_str!("websites/style.css");

/// Puts the heading into a file. It must be escaped for the file's language already.
fn with_heading(file: &str, heading: &str) -> String {
    file.replace("__HEADING__", heading)
}

fn html(heading: &str) -> WebsiteFiles {
    let page = include_str!("websites/html/index.html");
    vec![
        ("index.html", with_heading(page, &escaped(heading))),
        ("css/style.css", STYLE.to_owned()),
        ("js/app.js", include_str!("websites/html/app.js").to_owned()),
    ]
}

fn react(heading: &str) -> WebsiteFiles {
    let page = include_str!("websites/react/index.html");
    let app = include_str!("websites/react/App.tsx");
    vec![
        ("package.json", include_str!("websites/react/package.json").to_owned()),
        ("index.html", with_heading(page, &escaped(heading))),
        ("vite.config.ts", include_str!("websites/react/vite.config.ts").to_owned()),
        ("src/main.tsx", include_str!("websites/react/main.tsx").to_owned()),
        ("src/App.tsx", with_heading(app, &Value::from(heading).to_string())),
        ("src/style.css", STYLE.to_owned()),
    ]
}

fn php(heading: &str) -> WebsiteFiles {
    let literal = heading.replace('\\', "\\\\").replace('\'', "\\'");
    let page = include_str!("websites/php/index.php");
    vec![
        ("index.php", with_heading(page, &literal)),
        ("inc/page.php", include_str!("websites/php/page.php").to_owned()),
        ("style.css", STYLE.to_owned()),
    ]
}
