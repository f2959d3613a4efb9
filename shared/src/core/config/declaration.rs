//! Finds the settings without which a function cannot work, in the text of its function.toml.

use super::{GROUPS, Presence};

/// The text before the list in function.toml.
const KEY: &str = "\nsettings = [";

/// The groups of settings that every call of a function needs.
#[derive(Debug, Clone, Copy)]
pub struct RequiredGroups {
    /// The inside of the list: quoted names and commas.
    list: &'static str,
}

/// Finds the list `settings` in a function's declaration:
///
/// ```ignore
/// static SPEC: Spec = Spec { requires: config::required(include_str!("../function.toml")), … };
/// ```
///
/// In a `static` or `const` this runs while compiling: the wasm file holds the list and no other
/// part of the declaration, and a declaration without the list does not compile. No TOML is parsed:
/// the list begins a line with `settings = [`, may span lines, and holds no comment. A test
/// compares this reading with a TOML parser's for every function.
#[expect(clippy::panic, reason = "fails the build of a function without the list, never a call")]
pub const fn required(declaration: &'static str) -> RequiredGroups {
    let Some((_, rest)) = split_once(declaration, KEY) else {
        panic!("function.toml has no list `settings`");
    };
    let Some((list, _)) = split_once(rest, "]") else {
        panic!("the list `settings` in function.toml does not end");
    };
    RequiredGroups { list }
}

impl RequiredGroups {
    /// The names of the groups.
    pub fn groups(self) -> impl Iterator<Item = &'static str> {
        self.list.split('"').skip(1).step_by(2)
    }

    /// The names of the variables without which no call can work.
    pub fn variables(self) -> Vec<&'static str> {
        self.groups()
            .filter_map(|name| GROUPS.iter().find(|group| group.name == name))
            .flat_map(|group| group.settings)
            .filter(|setting| setting.presence == Presence::Required)
            .map(|setting| setting.name)
            .collect()
    }
}

/// Like `str::split_once`, which is not `const`.
#[expect(clippy::indexing_slicing, reason = "runs while compiling, where it fails the build")]
const fn split_once<'a>(text: &'a str, pattern: &str) -> Option<(&'a str, &'a str)> {
    let (bytes, wanted) = (text.as_bytes(), pattern.as_bytes());
    let mut at = 0;
    while at + wanted.len() <= bytes.len() {
        let mut same = 0;
        while same < wanted.len() && bytes[at + same] == wanted[same] {
            same += 1;
        }
        if same == wanted.len() {
            return Some((text.split_at(at).0, text.split_at(at + same).1));
        }
        at += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const DECLARATION: &str = "summary = \"settings = [\"\nsettings = [\n  \"supabase\",\n  \
                               \"received-webhooks\",\n]\nsome_calls = [\"llm\"]\n";

    #[test]
    fn a_function_requires_the_required_settings_of_its_groups() {
        let found = required(DECLARATION);
        assert_eq!(found.groups().collect::<Vec<_>>(), ["supabase", "received-webhooks"]);
        assert_eq!(found.variables(), ["SUPABASE_URL", "SUPABASE_SERVICE_ROLE_KEY"]);
    }

    #[test]
    fn a_list_can_be_empty() {
        assert_eq!(required("\nsettings = []\n").variables(), [""; 0]);
    }
}
