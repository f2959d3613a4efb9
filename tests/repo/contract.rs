//! The typed calls of `shared/src/db` and the SQL functions are one contract: every call names a function that exists, with
//! arguments it takes and columns it returns. Read from the sources, so that no list is kept by hand.

use std::collections::{BTreeMap, BTreeSet};

use syn::visit::Visit;
use unstuck_tests::{Database, Session, sources};

/// A struct as serde sees it.
#[derive(Default, Debug, Clone)]
struct Shape {
    serialized: BTreeSet<String>,
    /// Names that may be left out of the arguments.
    optional: BTreeSet<String>,
    deserialized: BTreeSet<String>,
    /// Types whose fields are taken in.
    flattened: Vec<String>,
    writes: bool,
    reads: bool,
}

/// One typed call.
#[derive(Debug)]
struct Call {
    function: String,
    types: BTreeSet<String>,
    returns: BTreeSet<String>,
    /// Fields that this call always leaves out.
    none: BTreeSet<String>,
}

#[derive(Default)]
struct Sources {
    shapes: BTreeMap<String, Shape>,
    /// Each call with the structs of its own method: many have their own `Args`.
    calls: Vec<(Call, BTreeMap<String, Shape>)>,
}

impl<'ast> Visit<'ast> for Sources {
    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        self.shapes.insert(item.ident.to_string(), shape(item));
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        let mut method = Method::default();
        method.visit_impl_item_fn(item);
        let mut returns = Names::default();
        returns.visit_return_type(&item.sig.output);
        returns.0.extend(method.reads);
        for function in method.functions {
            let call = Call {
                function,
                types: method.types.clone(),
                returns: returns.0.clone(),
                none: method.none.clone(),
            };
            self.calls.push((call, method.local.clone()));
        }
    }
}

#[derive(Default)]
struct Names(BTreeSet<String>);

impl<'ast> Visit<'ast> for Names {
    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.0.extend(path.segments.last().map(|last| last.ident.to_string()));
        syn::visit::visit_path(self, path);
    }
}

/// What a method mentions.
#[derive(Default)]
struct Method {
    functions: BTreeSet<String>,
    types: BTreeSet<String>,
    reads: BTreeSet<String>,
    none: BTreeSet<String>,
    local: BTreeMap<String, Shape>,
}

impl<'ast> Visit<'ast> for Method {
    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        let shape = shape(item);
        let name = item.ident.to_string();
        if shape.reads {
            self.reads.insert(name.clone());
        }
        self.local.insert(name, shape);
    }

    fn visit_lit_str(&mut self, text: &'ast syn::LitStr) {
        if is_function(&text.value()) {
            self.functions.insert(text.value());
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.types.extend(path.segments.last().map(|last| last.ident.to_string()));
        syn::visit::visit_path(self, path);
    }

    fn visit_local(&mut self, local: &'ast syn::Local) {
        // `let row: Row = …` reads a row.
        if let syn::Pat::Type(typed) = &local.pat {
            let mut names = Names::default();
            names.visit_type(&typed.ty);
            self.reads.extend(names.0);
        }
        syn::visit::visit_local(self, local);
    }

    fn visit_field_value(&mut self, field: &'ast syn::FieldValue) {
        let is_none = matches!(&field.expr, syn::Expr::Path(path) if path.path.is_ident("None"));
        if let (true, syn::Member::Named(name)) = (is_none, &field.member) {
            self.none.insert(name.to_string());
        }
        syn::visit::visit_field_value(self, field);
    }
}

fn is_function(text: &str) -> bool {
    text.rsplit_once("_v").is_some_and(|(name, version)| {
        !version.is_empty()
            && version.bytes().all(|byte| byte.is_ascii_digit())
            && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
    })
}

fn shape(item: &syn::ItemStruct) -> Shape {
    let derives = attributes(&item.attrs, "derive");
    let mut shape = Shape {
        writes: derives.contains("Serialize"),
        reads: derives.contains("Deserialize"),
        ..Shape::default()
    };
    for field in &item.fields {
        let serde = attributes(&field.attrs, "serde");
        let Some(name) = field.ident.as_ref().map(ToString::to_string) else { continue };
        if serde.contains("flatten") {
            let mut names = Names::default();
            names.visit_type(&field.ty);
            shape.flattened.extend(names.0);
            continue;
        }
        let renamed = |direction: &str| {
            let mut parts = serde.split([',', '(', ')']);
            parts.find_map(|part| {
                part.strip_prefix(direction)
                    .or_else(|| part.strip_prefix("rename="))
                    .map(|to| to.trim_matches('"').to_owned())
            })
        };
        let written = renamed("serialize=").unwrap_or_else(|| name.clone());
        if serde.contains("skip_serializing_if") {
            shape.optional.insert(written.clone());
        }
        shape.serialized.insert(written);
        if !serde.contains("default") {
            shape.deserialized.insert(renamed("deserialize=").unwrap_or(name));
        }
    }
    shape
}

/// The text of all attributes of that name, without blanks.
fn attributes(attributes: &[syn::Attribute], name: &str) -> String {
    let of_name = attributes.iter().filter(|attribute| attribute.path().is_ident(name));
    of_name
        .filter_map(|attribute| attribute.meta.require_list().ok())
        .map(|list| list.tokens.to_string().replace(' ', ""))
        .collect::<Vec<_>>()
        .join(",")
}

impl Sources {
    fn read() -> Self {
        let mut found = Self::default();
        for file in sources::rust_files("shared/src/db") {
            if !file.to_string_lossy().ends_with("_tests.rs") {
                found.visit_file(&syn::parse_file(&sources::read(&file)).unwrap());
            }
        }
        found
    }

    fn find<'a>(&'a self, name: &str, local: &'a BTreeMap<String, Shape>) -> Option<&'a Shape> {
        local.get(name).or_else(|| self.shapes.get(name))
    }

    /// (named, of these may be left out)
    fn arguments(
        &self,
        name: &str,
        local: &BTreeMap<String, Shape>,
    ) -> (BTreeSet<String>, BTreeSet<String>) {
        let Some(shape) = self.find(name, local).filter(|shape| shape.writes) else {
            return Default::default();
        };
        let (mut all, mut optional) = (shape.serialized.clone(), shape.optional.clone());
        for inner in &shape.flattened {
            let (more, may) = self.arguments(inner, local);
            all.extend(more);
            optional.extend(may);
        }
        (all, optional)
    }

    fn columns(&self, name: &str, local: &BTreeMap<String, Shape>) -> BTreeSet<String> {
        let Some(shape) = self.find(name, local).filter(|shape| shape.reads) else {
            return BTreeSet::new();
        };
        let mut all = shape.deserialized.clone();
        for inner in &shape.flattened {
            all.extend(self.columns(inner, local));
        }
        all
    }
}

/// What `pg_proc` says of a function: arguments, those that must be given, columns.
async fn function(db: &Session, name: &str) -> [BTreeSet<String>; 3] {
    let row = db
        .row(&format!(
            "select coalesce((select jsonb_agg(n) from unnest(p.proargnames, coalesce(p.proargmodes, array_fill('i'::\"char\", array[cardinality(p.proargnames)]))) as a (n, m) where m = 'i'), '[]') as arguments,
               coalesce((select jsonb_agg(n) from unnest(p.proargnames, p.proargmodes) as a (n, m) where m = 't'), '[]') as columns, p.pronargs - p.pronargdefaults as required
             from pg_proc p where p.pronamespace = 'unstuck'::regnamespace and p.proname = '{name}'"
        ))
        .await;
    let names = |key: &str| {
        row[key]
            .as_array()
            .unwrap()
            .iter()
            .map(|name| name.as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let arguments = names("arguments");
    let required = usize::try_from(row["required"].as_i64().unwrap()).unwrap();
    [
        arguments.iter().cloned().collect(),
        arguments.into_iter().take(required).collect(),
        names("columns").into_iter().collect(),
    ]
}

#[tokio::test]
async fn every_typed_call_agrees_with_its_function() {
    let db = Database::fresh().await;
    let sources = Sources::read();
    assert!(sources.calls.len() >= 20, "the calls were not found: {}", sources.calls.len());
    for (call, local) in &sources.calls {
        let name = &call.function;
        assert_eq!(
            db.int(&format!(
                "select count(*) from pg_proc where pronamespace = 'unstuck'::regnamespace and proname = '{name}'"
            ))
            .await,
            1,
            "{name}"
        );
        let [arguments, required, columns] = function(&db, name).await;
        let (mut given, mut optional) = (BTreeSet::new(), BTreeSet::new());
        for part in call
            .types
            .iter()
            .filter(|part| !call.returns.contains(*part) || part.as_str() == "Attempt")
        {
            let (more, may) = sources.arguments(part, local);
            given.extend(more);
            optional.extend(may);
        }
        given.retain(|argument| !call.none.contains(argument) && argument.starts_with("p_"));
        let unknown: Vec<_> = given.difference(&arguments).collect();
        assert!(unknown.is_empty(), "{name} takes no {unknown:?}");
        let missing: Vec<_> = required
            .iter()
            .filter(|argument| {
                !given.contains(*argument)
                    || optional.contains(*argument) && call.none.contains(*argument)
            })
            .collect();
        assert!(missing.is_empty(), "{name} is called without {missing:?}");
        let read: BTreeSet<String> =
            call.returns.iter().flat_map(|part| sources.columns(part, local)).collect();
        let unreturned: Vec<_> = read.difference(&columns).collect();
        assert!(unreturned.is_empty(), "{name} returns no {unreturned:?}");
    }
}

#[tokio::test]
async fn whatever_is_called_by_name_exists() {
    let db = Database::fresh().await;
    for folder in ["shared/src", "functions"] {
        for file in sources::rust_files(folder) {
            for text in sources::read(&file).split('"').filter(|text| is_function(text)) {
                let known = db.int(&format!("select count(*) from pg_proc where pronamespace = 'unstuck'::regnamespace and proname = '{text}'")).await;
                assert_eq!(known, 1, "{}: {text}", file.display());
            }
        }
    }
}

#[tokio::test]
async fn every_function_has_a_test_that_names_it() {
    let db = Database::fresh().await;
    let tests: Vec<String> = ["tests/support", "tests/sql"]
        .into_iter()
        .flat_map(sources::rust_files)
        .map(sources::read)
        .collect();
    for row in db
        .rows("select proname as name from pg_proc where pronamespace = 'unstuck'::regnamespace")
        .await
    {
        let name = row["name"].as_str().unwrap();
        assert!(tests.iter().any(|text| text.contains(name)), "{name} is called by no test");
    }
}
