//! The repository's own rules: what must agree agrees, and files are written as CONTRIBUTING.md
//! says.

mod admin_page;
mod bridge;
mod circles;
mod client_package;
mod contract;
mod deploy;
mod docs;
mod generated;
mod requirements;
mod sql_text;
mod tidy;
mod type_names;
mod vocabulary;
mod width;
mod words;
