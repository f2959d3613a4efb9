//! No two modules of `shared` import each other, neither directly nor through others.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use syn::visit::Visit;
use syn::{Attribute, ItemMod, ItemUse, Path as SynPath, UseTree, Visibility};
use unstuck_tests::sources;

type ModulePath = Vec<String>;

/// What one file says about other modules.
#[derive(Default)]
struct Mentions {
    /// Paths of imports and of code, as they are written.
    paths: Vec<ModulePath>,
    /// `pub use child::Name`: who imports the name means the child.
    reexports: Vec<(String, ModulePath)>,
}

/// Whether an item is compiled into tests only.
pub(crate) fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<syn::Ident>().is_ok_and(|condition| condition == "test")
    })
}

fn leaves(tree: &UseTree, before: &mut ModulePath, found: &mut Vec<(String, ModulePath)>) {
    let mut leaf = |name: &syn::Ident, shown: &syn::Ident, before: &ModulePath| {
        let path = before.iter().cloned().chain([name.to_string()]).collect();
        found.push((shown.to_string(), path));
    };
    match tree {
        UseTree::Path(path) => {
            before.push(path.ident.to_string());
            leaves(&path.tree, before, found);
            before.pop();
        }
        UseTree::Name(name) => leaf(&name.ident, &name.ident, before),
        UseTree::Rename(rename) => leaf(&rename.ident, &rename.rename, before),
        UseTree::Glob(_) => found.push(("*".to_owned(), before.clone())),
        UseTree::Group(group) => {
            for tree in &group.items {
                leaves(tree, before, found);
            }
        }
    }
}

impl<'ast> Visit<'ast> for Mentions {
    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        let mut found = Vec::new();
        leaves(&item.tree, &mut Vec::new(), &mut found);
        if matches!(item.vis, Visibility::Inherited) {
            self.paths.extend(found.into_iter().map(|(_, path)| path));
        } else {
            self.reexports.extend(found);
        }
    }

    fn visit_path(&mut self, path: &'ast SynPath) {
        let names = path.segments.iter().map(|segment| segment.ident.to_string());
        self.paths.push(names.collect());
        syn::visit::visit_path(self, path);
    }

    // The `super` of `pub(super)` is no import.
    fn visit_visibility(&mut self, _: &'ast Visibility) {}

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        if !is_for_tests(&item.attrs) {
            syn::visit::visit_item_mod(self, item);
        }
    }
}

/// The module that a file is: `core/auth/mod.rs` is `core::auth`.
fn module(file: &Path) -> ModulePath {
    let below = file.strip_prefix("shared/src").unwrap_or(file).with_extension("");
    let mut name: ModulePath =
        below.components().map(|part| part.as_os_str().to_string_lossy().into_owned()).collect();
    if name.last().is_some_and(|last| last == "mod") {
        name.pop();
    }
    name
}

/// The path of a mention from the crate's root, where it is one into this crate.
fn absolute(
    path: &ModulePath,
    from: &ModulePath,
    modules: &BTreeMap<ModulePath, Mentions>,
) -> Option<ModulePath> {
    let mut base = from.clone();
    let mut rest = path.as_slice();
    match rest.first().map(String::as_str) {
        Some("crate") => {
            base.clear();
            rest = &rest[1..];
        }
        Some("self") => rest = &rest[1..],
        Some("super") => {
            while rest.first().is_some_and(|first| first == "super") {
                base.pop();
                rest = &rest[1..];
            }
        }
        Some(child) => {
            let child: ModulePath = base.iter().cloned().chain([child.to_owned()]).collect();
            modules.contains_key(&child).then_some(())?;
        }
        None => return None,
    }
    base.extend_from_slice(rest);
    Some(base)
}

/// The module that a path leads to: through re-exports, to where the name is written.
fn target(path: &ModulePath, modules: &BTreeMap<ModulePath, Mentions>) -> Option<ModulePath> {
    let length = (1..=path.len()).rev().find(|length| modules.contains_key(&path[..*length]))?;
    let (module, rest) = (path[..length].to_vec(), &path[length..]);
    let through = rest.first().and_then(|name| {
        let reexports = &modules[&module].reexports;
        reexports.iter().find(|(shown, _)| shown == name).map(|(_, path)| path)
    });
    match through.and_then(|path| absolute(path, &module, modules)) {
        Some(path) => target(&path, modules),
        None => Some(module),
    }
}

fn modules() -> BTreeMap<ModulePath, Mentions> {
    let files = sources::rust_files("shared/src").into_iter().filter(|file| {
        let name = file.to_string_lossy();
        !name.ends_with("tests.rs") && !name.contains("/testing/") && !name.ends_with("/lib.rs")
    });
    files
        .map(|file| {
            let parsed = syn::parse_file(&sources::read(&file)).unwrap();
            let mut mentions = Mentions::default();
            mentions.visit_file(&parsed);
            (module(&file), mentions)
        })
        .collect()
}

/// Who imports whom.
fn imports() -> BTreeMap<ModulePath, BTreeSet<ModulePath>> {
    let modules = modules();
    let imports = modules.iter().map(|(name, mentions)| {
        let paths = mentions.paths.iter().filter_map(|path| absolute(path, name, &modules));
        let targets = paths.filter_map(|path| target(&path, &modules)).filter(|to| to != name);
        (name.clone(), targets.collect())
    });
    imports.collect()
}

/// A way from a module back to itself, if there is one.
fn circle(
    at: &ModulePath,
    way: &mut Vec<ModulePath>,
    clean: &mut BTreeSet<ModulePath>,
    imports: &BTreeMap<ModulePath, BTreeSet<ModulePath>>,
) -> Option<Vec<ModulePath>> {
    if let Some(begin) = way.iter().position(|passed| passed == at) {
        return Some(way[begin..].to_vec());
    }
    if clean.contains(at) {
        return None;
    }
    way.push(at.clone());
    let found = imports.get(at)?.iter().find_map(|next| circle(next, way, clean, imports));
    way.pop();
    clean.insert(at.clone());
    found
}

#[test]
fn the_imports_of_shared_form_no_circle() {
    let imports = imports();
    assert!(imports.values().map(BTreeSet::len).sum::<usize>() > 200, "imports are not seen");
    let mut clean = BTreeSet::new();
    for module in imports.keys() {
        let found = circle(module, &mut Vec::new(), &mut clean, &imports);
        let shown = found.map(|way| {
            way.iter().map(|name| name.join("::")).collect::<Vec<_>>().join(" imports ")
        });
        assert_eq!(shown, None, "these modules import each other");
    }
}

/// The folders of `flow`, each with those that it may import.
const FLOW: [(&str, &[&str]); 5] = [
    ("settle", &[]),
    ("submit", &["settle"]),
    ("attempt", &["submit"]),
    ("order", &["submit"]),
    ("heal", &["settle", "submit"]),
];

#[test]
fn the_folders_of_flow_depend_one_way() {
    let folder = |name: &ModulePath| {
        let [flow, folder, ..] = name.as_slice() else { return None };
        (flow == "flow").then_some(())?;
        FLOW.into_iter().find(|(known, _)| known == folder)
    };
    for (name, targets) in imports() {
        let Some((from, allowed)) = folder(&name) else { continue };
        for (to, _) in targets.iter().filter_map(folder) {
            let shown = name.join("::");
            assert!(to == from || allowed.contains(&to), "{shown} imports flow::{to}");
        }
    }
}
