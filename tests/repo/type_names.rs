//! A type's name says which type is meant, wherever in the workspace a reader meets it.

use std::collections::BTreeMap;

use syn::Item;
use unstuck_tests::sources;

/// The types, traits and type aliases that these items declare, also those in modules inside.
fn declared_types(items: &[Item], names: &mut Vec<String>) {
    for item in items {
        match item {
            Item::Struct(item) => names.push(item.ident.to_string()),
            Item::Enum(item) => names.push(item.ident.to_string()),
            Item::Union(item) => names.push(item.ident.to_string()),
            Item::Trait(item) => names.push(item.ident.to_string()),
            Item::Type(item) => names.push(item.ident.to_string()),
            Item::Mod(module) => {
                let inside = module.content.as_ref().map_or(&[][..], |(_, items)| items);
                declared_types(inside, names);
            }
            _ => {}
        }
    }
}

#[test]
fn every_type_has_a_name_of_its_own() {
    let mut files = BTreeMap::<String, Vec<String>>::new();
    for file in sources::rust_files("") {
        let mut names = Vec::new();
        declared_types(&syn::parse_file(&sources::read(&file)).unwrap().items, &mut names);
        for name in names {
            files.entry(name).or_default().push(file.display().to_string());
        }
    }
    assert!(files.len() > 400, "{} types", files.len());
    files.retain(|_, files| files.len() > 1);
    assert!(files.is_empty(), "these names are declared more than once: {files:#?}");
}
