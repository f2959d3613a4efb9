//! The names of the shared crate keep to the glossary of ARCHITECTURE.md.

use std::collections::BTreeSet;

use syn::visit::Visit;
use unstuck_tests::sources;

use crate::circles::is_for_tests;

/// Words that the glossary has better ones for.
const REPLACED: [(&str, &[&str]); 8] = [
    ("submit", &["dispatch", "dispatched", "handover", "handed", "hand", "hands"]),
    ("settle or query", &["confirm", "confirmed"]),
    ("a noun for the outcome", &["told", "tell", "said", "says", "unsaid", "left", "nowhere"]),
    ("quarantine", &["aside"]),
    ("website", &["site", "sites", "generation", "generations", "history"]),
    ("card", &["picture", "pictures", "banana"]),
    ("try-on", &["chain", "chains"]),
    ("task", &["prediction", "predictions"]),
];

/// The names of modules, types, variants, functions and constants that a file declares.
#[derive(Default)]
struct DeclaredNames(BTreeSet<String>);

impl DeclaredNames {
    fn add(&mut self, name: &syn::Ident) {
        self.0.insert(name.to_string());
    }
}

impl<'ast> Visit<'ast> for DeclaredNames {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if !is_for_tests(&item.attrs) {
            self.add(&item.ident);
            syn::visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.add(&item.sig.ident);
        syn::visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.add(&item.sig.ident);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        self.add(&item.sig.ident);
    }

    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        self.add(&item.ident);
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        self.add(&item.ident);
        syn::visit::visit_item_trait(self, item);
    }

    fn visit_item_enum(&mut self, item: &'ast syn::ItemEnum) {
        self.add(&item.ident);
        item.variants.iter().for_each(|variant| self.add(&variant.ident));
    }

    fn visit_item_const(&mut self, item: &'ast syn::ItemConst) {
        self.add(&item.ident);
    }
}

/// The words of a name, in small letters: `hand_over`, `HandOver` and `HAND_OVER` have the same.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut after_small = false;
    for letter in name.chars() {
        if letter == '_' || after_small && letter.is_uppercase() {
            words.push(String::new());
        }
        if letter != '_' {
            words.last_mut().expect("never empty").extend(letter.to_lowercase());
        }
        after_small = letter.is_lowercase() || letter.is_ascii_digit();
    }
    words
}

/// What the glossary says in place of a word of the name.
fn better(name: &str) -> Option<&'static str> {
    let words = words(name);
    let has = |replaced: &[&str]| words.iter().any(|word| replaced.contains(&word.as_str()));
    REPLACED.iter().find(|(_, replaced)| has(replaced)).map(|(better, _)| *better)
}

#[test]
fn names_use_the_words_of_the_glossary() {
    let mut wrong = Vec::new();
    let mut seen = 0;
    for file in sources::rust_files("shared/src") {
        let shown = file.display().to_string();
        if shown.ends_with("tests.rs") || shown.contains("/testing/") {
            continue;
        }
        let mut names = DeclaredNames::default();
        names.visit_file(&syn::parse_file(&sources::read(&file)).unwrap());
        seen += names.0.len();
        for name in names.0 {
            if let Some(better) = better(&name) {
                wrong.push(format!("{shown}: `{name}`: say {better}"));
            }
        }
    }
    assert!(seen > 500, "{seen} names");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_replaced_word_is_found_in_any_spelling() {
    for name in ["hand_over", "HandOver", "HAND_OVER", "Left", "let_dispatched_in"] {
        assert!(better(name).is_some(), "{name}");
    }
    for name in ["handler", "on_the_leftmost", "submit_step", "Website"] {
        assert_eq!(better(name), None, "{name}");
    }
}
