//! `cargo xtask new-function <name>`: the folder, the environment and the gateway's binding. Overwrites nothing.

use anyhow::{Context, Result, bail};

use crate::command::say;
use crate::paths;
use crate::wrangler::{Wrangler, binding};

const MANIFEST: &str = include_str!("../templates/function.toml");
const SOURCE: &str = include_str!("../templates/function.rs.txt");
const ENVIRONMENT: &str = include_str!("../templates/environment.toml");

pub fn new_function(name: &str) -> Result<()> {
    if !is_name(name) {
        bail!("{name} is no function name: lower-case letters, digits and hyphens, a letter first");
    }
    let dir = paths::root().join("functions").join(name);
    if dir.exists() {
        bail!("functions/{name} exists");
    }
    let path = paths::root().join("wrangler.toml");
    let config = std::fs::read_to_string(&path).context("cannot read wrangler.toml")?;
    let config = with_environment(&config, name)?;
    std::fs::create_dir_all(dir.join("src"))?;
    std::fs::write(dir.join("Cargo.toml"), MANIFEST.replace("{name}", name))?;
    std::fs::write(dir.join("src/lib.rs"), SOURCE.replace("{name}", name))?;
    std::fs::write(path, config)?;
    say(format_args!(
        "functions/{name} and its environment are there; next: its input and mapping, a row in `tools`"
    ));
    Ok(())
}

fn is_name(name: &str) -> bool {
    let letters = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(letters)
}

/// Edits the text, so that the file's comments stay.
fn with_environment(config: &str, name: &str) -> Result<String> {
    let head = "[env.gateway]\n";
    let list = "services = [\n";
    let gateway = config.find(head).context("wrangler.toml has no [env.gateway]")?;
    let services =
        config[gateway..].find(list).context("[env.gateway] has no list `services`")? + gateway;
    let end = config[services..].find("\n]").context("the gateway's `services` do not end")?
        + services
        + 1;
    let line = format!("  {{ binding = \"{}\", service = \"{name}\" }},\n", binding(name));
    let edited = format!(
        "{}{line}{}{}",
        &config[..end],
        &config[end..],
        ENVIRONMENT.replace("{name}", name)
    );
    Wrangler::parse(&edited)?;
    Ok(edited)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_function_gets_an_environment_and_a_binding() {
        let config = std::fs::read_to_string(paths::root().join("wrangler.toml")).unwrap();
        let edited = Wrangler::parse(&with_environment(&config, "paint-cats").unwrap()).unwrap();
        assert!(edited.functions.iter().any(|function| function.name == "paint-cats"));
        let gateway = edited.functions.iter().find(|function| function.name == "gateway").unwrap();
        assert_eq!(gateway.services["PAINT_CATS"], "paint-cats");
    }

    #[test]
    fn names_are_what_urls_and_bindings_can_hold() {
        assert!(is_name("generate-website2"));
        for bad in ["", "2d", "Paint", "paint_cats", "../x"] {
            assert!(!is_name(bad), "{bad}");
        }
    }
}
