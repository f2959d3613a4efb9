//! The typed calls of `shared/src/db` and the SQL functions are one contract: every call names a
//! function that exists, with arguments that it takes and columns that it returns. The calls are
//! read from the sources, so that nobody keeps a list by hand.

use std::collections::{BTreeMap, BTreeSet};

use syn::parse::{Parse, ParseStream};
use syn::visit::Visit;
use unstuck_tests::{Database, Session, sources};

/// A struct as serde sees it.
#[derive(Default, Debug, Clone)]
struct Shape {
    serialized: BTreeSet<String>,
    /// Names whose value may be null.
    nullable: BTreeSet<String>,
    /// Types whose fields are taken in.
    flattened: Vec<String>,
    /// The types that each field names.
    types: BTreeMap<String, BTreeSet<String>>,
    writes: bool,
}

/// One method that `rpc!` declares.
#[derive(Debug)]
struct DeclaredCall {
    /// What the function returns: `rows`, `row`, `maybe_row`, `value` or `void`.
    form: String,
    function: String,
    /// Parameters that are sent by name.
    named: BTreeSet<String>,
    /// Of these, those that may be null.
    nullable: BTreeSet<String>,
    /// Of the named, those that are left out without a value.
    optional: BTreeSet<String>,
    /// Types whose fields are sent as parameters.
    spread: BTreeSet<String>,
    returns: BTreeSet<String>,
}

impl Parse for DeclaredCall {
    fn parse(input: ParseStream) -> syn::Result<Self> {
        input.call(syn::Attribute::parse_outer)?;
        let form = input.parse::<syn::Ident>()?.to_string();
        let function = input.parse::<syn::Ident>()?.to_string();
        let mut named = BTreeSet::new();
        let (mut nullable, mut optional) = (BTreeSet::new(), BTreeSet::new());
        let mut spread = BTreeSet::new();
        let arguments;
        syn::parenthesized!(arguments in input);
        while !arguments.is_empty() {
            let name: syn::Ident = arguments.parse()?;
            arguments.parse::<syn::Token![:]>()?;
            let of_type: syn::Type = arguments.parse()?;
            if arguments.parse::<Option<syn::Token![as]>>()?.is_none() {
                let name = format!("p_{name}");
                if Names::of(&of_type).contains("Option") {
                    nullable.insert(name.clone());
                }
                named.insert(name);
            } else if arguments.parse::<Option<syn::Token![?]>>()?.is_some() {
                named.insert(format!("p_{name}"));
                optional.insert(format!("p_{name}"));
            } else if arguments.parse::<Option<syn::Token![..]>>()?.is_some() {
                spread.extend(Names::of(&of_type));
            } else {
                named.insert(arguments.parse::<syn::LitStr>()?.value());
            }
            arguments.parse::<Option<syn::Token![,]>>()?;
        }
        let returns = match input.parse::<syn::ReturnType>()? {
            syn::ReturnType::Default => BTreeSet::new(),
            syn::ReturnType::Type(_, returned) => Names::of(&returned),
        };
        input.parse::<syn::Token![;]>()?;
        Ok(Self { form, function, named, nullable, optional, spread, returns })
    }
}

struct DeclaredCalls(Vec<DeclaredCall>);

impl Parse for DeclaredCalls {
    fn parse(input: ParseStream) -> syn::Result<Self> {
        let mut calls = Vec::new();
        while !input.is_empty() {
            calls.push(input.parse()?);
        }
        Ok(Self(calls))
    }
}

/// The columns that `row!` reads into one type.
#[derive(Default)]
struct DeclaredRow {
    columns: BTreeSet<String>,
    /// Fields that hold columns of another row.
    inner: BTreeSet<String>,
}

struct DeclaredRows(Vec<(String, DeclaredRow)>);

impl Parse for DeclaredRows {
    fn parse(input: ParseStream) -> syn::Result<Self> {
        let mut rows = Vec::new();
        while !input.is_empty() {
            let name = input.parse::<syn::Ident>()?.to_string();
            let mut row = DeclaredRow::default();
            let fields;
            syn::braced!(fields in input);
            while !fields.is_empty() {
                let field = fields.parse::<syn::Ident>()?.to_string();
                if fields.parse::<Option<syn::Token![as]>>()?.is_none() {
                    row.columns.insert(field);
                } else if fields.parse::<Option<syn::Token![..]>>()?.is_some() {
                    row.inner.insert(field);
                } else if fields.parse::<Option<syn::Token![?]>>()?.is_none() {
                    row.columns.insert(fields.parse::<syn::LitStr>()?.value());
                }
                fields.parse::<Option<syn::Token![,]>>()?;
            }
            rows.push((name, row));
        }
        Ok(Self(rows))
    }
}

#[derive(Default)]
struct Sources {
    shapes: BTreeMap<String, Shape>,
    rows: BTreeMap<String, DeclaredRow>,
    calls: Vec<DeclaredCall>,
}

impl<'ast> Visit<'ast> for Sources {
    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        self.shapes.insert(item.ident.to_string(), shape(item));
    }

    fn visit_item_macro(&mut self, item: &'ast syn::ItemMacro) {
        if item.mac.path.is_ident("rpc") {
            self.calls.extend(item.mac.parse_body::<DeclaredCalls>().unwrap().0);
        } else if item.mac.path.is_ident("row") {
            self.rows.extend(item.mac.parse_body::<DeclaredRows>().unwrap().0);
        }
    }
}

#[derive(Default)]
struct Names(BTreeSet<String>);

impl Names {
    fn of(of_type: &syn::Type) -> BTreeSet<String> {
        let mut names = Self::default();
        names.visit_type(of_type);
        names.0
    }
}

impl<'ast> Visit<'ast> for Names {
    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.0.extend(path.segments.last().map(|last| last.ident.to_string()));
        syn::visit::visit_path(self, path);
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
    let mut shape = Shape { writes: derives.contains("Serialize"), ..Shape::default() };
    for field in &item.fields {
        let serde = attributes(&field.attrs, "serde");
        let Some(name) = field.ident.as_ref().map(ToString::to_string) else { continue };
        shape.types.insert(name.clone(), Names::of(&field.ty));
        if serde.contains("flatten") {
            shape.flattened.extend(Names::of(&field.ty));
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
        assert!(!serde.contains("skip_serializing_if"), "{name}: a call leaves no parameter out");
        if Names::of(&field.ty).contains("Option") {
            shape.nullable.insert(written.clone());
        }
        shape.serialized.insert(written);
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

    fn arguments(&self, name: &str) -> BTreeSet<String> {
        let Some(shape) = self.shapes.get(name).filter(|shape| shape.writes) else {
            return BTreeSet::new();
        };
        let mut all = shape.serialized.clone();
        all.extend(shape.flattened.iter().flat_map(|inner| self.arguments(inner)));
        all
    }

    fn columns(&self, name: &str) -> BTreeSet<String> {
        let (Some(shape), Some(row)) = (self.shapes.get(name), self.rows.get(name)) else {
            return BTreeSet::new();
        };
        let types = row.inner.iter().flat_map(|field| &shape.types[field]);
        let inner = types.flat_map(|inner| self.columns(inner));
        row.columns.iter().cloned().chain(inner).collect()
    }
}

/// What `pg_proc` says of a function: arguments, those that must be given, columns.
async fn function(db: &Session, name: &str) -> [BTreeSet<String>; 3] {
    let row = db
        .row(&format!(
            "select coalesce((select jsonb_agg(n)
                from unnest(p.proargnames, coalesce(p.proargmodes, array_fill('i'::\"char\",
                array[coalesce(cardinality(p.proargnames), 0)]))) as a (n, m)
               where m = 'i'), '[]') as arguments,
               coalesce((select jsonb_agg(n) from unnest(p.proargnames, p.proargmodes) as a (n, m)
               where m = 't'), '[]') as columns, p.pronargs - p.pronargdefaults as required
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
    let functions = public_functions(&db).await;
    let sources = Sources::read();
    assert!(sources.calls.len() >= 30, "the calls were not found: {}", sources.calls.len());
    for call in &sources.calls {
        let name = &call.function;
        assert_eq!(functions.iter().filter(|known| *known == name).count(), 1, "{name}");
        let [arguments, required, columns] = function(&db, name).await;
        let mut given = call.named.clone();
        given.extend(call.spread.iter().flat_map(|part| sources.arguments(part)));
        let unknown: Vec<_> = given.difference(&arguments).collect();
        assert!(unknown.is_empty(), "{name} takes no {unknown:?}");
        let missing: Vec<_> = required
            .iter()
            .filter(|argument| !given.contains(*argument) || call.optional.contains(*argument))
            .collect();
        assert!(missing.is_empty(), "{name} is called without {missing:?}");
        let read: BTreeSet<String> =
            call.returns.iter().flat_map(|part| sources.columns(part)).collect();
        let unreturned: Vec<_> = read.difference(&columns).collect();
        assert!(unreturned.is_empty(), "{name} returns no {unreturned:?}");
        match call.form.as_str() {
            "row" | "rows" | "maybe_row" => assert!(!read.is_empty(), "{name}: reads no column"),
            "value" => assert!(columns.is_empty(), "{name} returns rows, not a value"),
            "void" => assert!(call.returns.is_empty(), "{name}: its result is not read"),
            other => panic!("{name}: there is no form {other}"),
        }
    }
}

/// For an `Option` without a value, a declared call sends null where the function has no default,
/// and leaves the parameter out (`as ?`) where it has one: the local PostgREST reads null as ''.
#[tokio::test]
async fn an_optional_parameter_with_a_default_is_left_out() {
    let db = Database::fresh().await;
    let sources = Sources::read();
    for call in &sources.calls {
        let mut nullable = call.nullable.clone();
        nullable.extend(
            call.spread.iter().flat_map(|part| sources.shapes[part].nullable.iter().cloned()),
        );
        let defaults = db
            .rows(&format!(
                "select d.name, d.value
                 from pg_proc p,
                   unnest(
                     p.proargnames[p.pronargs - p.pronargdefaults + 1:p.pronargs],
                     string_to_array(pg_get_expr(p.proargdefaults, 0), ', ')
                   ) as d (name, value)
                 where p.pronamespace = 'unstuck'::regnamespace and p.proname = '{}'",
                call.function
            ))
            .await;
        for default in defaults {
            let name = default["name"].as_str().unwrap();
            assert!(!nullable.contains(name), "{}: declare {name} with `as ?`", call.function);
        }
    }
}

/// The names of the public SQL functions, each as often as it is overloaded.
async fn public_functions(db: &Session) -> Vec<String> {
    db.texts("select proname from pg_proc where pronamespace = 'unstuck'::regnamespace").await
}

#[tokio::test]
async fn every_sql_function_called_by_name_exists() {
    let db = Database::fresh().await;
    let functions = public_functions(&db).await;
    for folder in ["shared/src", "functions"] {
        for file in sources::rust_files(folder) {
            for text in sources::read(&file).split('"').filter(|text| is_function(text)) {
                let known = functions.iter().filter(|name| *name == text).count();
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
    for name in public_functions(&db).await {
        assert!(tests.iter().any(|text| text.contains(&name)), "{name} is called by no test");
    }
}
