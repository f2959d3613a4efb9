//! A small site of each kind, really working, with what was asked for in its heading.

use serde_json::{Value, json};

/// The answer's text: the JSON of a site's files. The rules name the start page of the kind that is wanted.
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

/// The site's name, else the beginning of the order.
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

const STYLE: &str = "body { font-family: system-ui, sans-serif; margin: 2rem auto; max-width: 40rem; }\nh1 { color: rgb(20, 80, 160); }\n";

fn html(heading: &str) -> WebsiteFiles {
    let title = escaped(heading);
    let page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>{title}</title>\n\
         <link rel=\"stylesheet\" href=\"css/style.css\">\n</head>\n<body>\n<h1>{title}</h1>\n<p id=\"status\">loading</p>\n\
         <script src=\"js/app.js\"></script>\n</body>\n</html>\n"
    );
    vec![
        ("index.html", page),
        ("css/style.css", STYLE.to_owned()),
        ("js/app.js", "document.getElementById(\"status\").textContent = \"ready\";\n".to_owned()),
    ]
}

fn react(heading: &str) -> WebsiteFiles {
    let package = json!({
        "name": "site", "private": true, "version": "0.0.0", "type": "module",
        "scripts": {"dev": "vite", "build": "vite build"},
        "dependencies": {"react": "^19.0.0", "react-dom": "^19.0.0"},
        "devDependencies": {"@vitejs/plugin-react": "^5.0.0", "typescript": "^5.0.0", "vite": "^7.0.0"},
    });
    let text = Value::from(heading);
    vec![
        ("package.json", format!("{package:#}\n")),
        ("index.html", format!("<!doctype html>\n<html>\n<head><meta charset=\"utf-8\"><title>{}</title></head>\n<body><div id=\"root\"></div><script type=\"module\" src=\"/src/main.tsx\"></script></body>\n</html>\n", escaped(heading))),
        ("vite.config.ts", "import react from \"@vitejs/plugin-react\";\nimport { defineConfig } from \"vite\";\n\nexport default defineConfig({ plugins: [react()] });\n".to_owned()),
        ("src/main.tsx", "import { createRoot } from \"react-dom/client\";\nimport App from \"./App\";\nimport \"./style.css\";\n\ncreateRoot(document.getElementById(\"root\")!).render(<App />);\n".to_owned()),
        ("src/App.tsx", format!("import {{ useState }} from \"react\";\n\nconst heading: string = {text};\n\nexport default function App() {{\n  const [count, setCount] = useState<number>(0);\n  return (\n    <main>\n      <h1>{{heading}}</h1>\n      <button onClick={{() => setCount(count + 1)}}>{{count}}</button>\n    </main>\n  );\n}}\n")),
        ("src/style.css", STYLE.to_owned()),
    ]
}

fn php(heading: &str) -> WebsiteFiles {
    let literal = heading.replace('\\', "\\\\").replace('\'', "\\'");
    vec![
        ("index.php", format!("<?php\ndeclare(strict_types=1);\n\nrequire __DIR__ . '/inc/page.php';\n\n$heading = '{literal}';\necho page($heading);\n")),
        ("inc/page.php", "<?php\ndeclare(strict_types=1);\n\nfunction page(string $heading): string\n{\n    $safe = htmlspecialchars($heading, ENT_QUOTES);\n    return \"<!doctype html>\\n<html><head><meta charset=\\\"utf-8\\\"><title>{$safe}</title><link rel=\\\"stylesheet\\\" href=\\\"style.css\\\"></head><body><h1>{$safe}</h1></body></html>\\n\";\n}\n".to_owned()),
        ("style.css", STYLE.to_owned()),
    ]
}
