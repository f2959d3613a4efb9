//! Writes wrangler.toml, with one environment for each function.

use std::fmt::Write as _;

use crate::function::Function;

/// The newest compatibility date that the local workerd accepts.
pub const COMPATIBILITY_DATE: &str = "2026-07-30";

const HEAD: &str = "\
# Made by `cargo xtask generate` from functions/*/function.toml, the functions' operations and the
# settings in shared/src/core/config/settings.rs. Do not edit: a test compares it.
#
# One Worker an environment. Nothing above the environments names a Worker, so that
# `wrangler deploy` without `-e <function>` fails instead of publishing something by accident.
# Neither the local stack nor a deployment runs from it: `cargo xtask deploy <name>` reads
# deploy/<name>.toml and deploy/<name>.secrets. The vars are examples.
";

/// The file's text.
pub fn render(functions: &[Function]) -> String {
    let mut text = format!(
        "{HEAD}\ncompatibility_date = \"{COMPATIBILITY_DATE}\"\nsend_metrics = false\n\n[build]\n\
         command = \"echo 'Name the function to deploy: wrangler deploy -e <function>' >&2; \
         exit 1\"\n"
    );
    for function in functions {
        environment(&mut text, function);
    }
    text
}

fn environment(text: &mut String, function: &Function) {
    let name = &function.name;
    let mut line = |part: String| {
        text.push_str(&part);
        text.push('\n');
    };
    line(format!("\n[env.{name}]"));
    line(format!("name = \"{name}\""));
    line(format!("main = \"functions/{name}/build/index.js\""));
    line(format!("workers_dev = {}", function.assets.is_some()));
    line("preview_urls = false".to_owned());
    line(format!("build = {{ command = \"cargo xtask build {name}\" }}"));
    line("observability = { enabled = true }".to_owned());
    if let Some(cpu_ms) = function.cpu_ms {
        line(format!("limits = {{ cpu_ms = {cpu_ms} }}"));
    }
    if let Some(region) = &function.placement_region {
        line(format!("placement = {{ region = {region:?} }}"));
    }
    if !function.crons.is_empty() {
        line(format!("triggers = {{ crons = {:?} }}", function.crons));
    }
    if let Some(assets) = &function.assets {
        line(format!(
            "assets = {{ directory = {:?}, binding = {:?}, run_worker_first = {} }}",
            assets.directory, assets.binding, assets.run_worker_first
        ));
    }
    line_list(
        &mut line,
        "services",
        function.services.iter().map(|(binding, service)| {
            format!("{{ binding = \"{binding}\", service = \"{service}\" }}")
        }),
    );
    line_list(
        &mut line,
        "ratelimits",
        function.ratelimits.iter().map(|limit| {
            format!(
                "{{ name = \"{}\", namespace_id = \"{}\", \
                 simple = {{ limit = {}, period = 60 }} }}",
                limit.binding, limit.namespace, limit.limit
            )
        }),
    );
    if !function.producers.is_empty() {
        line(format!("\n[env.{name}.queues]"));
    }
    line_list(
        &mut line,
        "producers",
        function.producers.iter().map(|producer| {
            format!("{{ binding = \"{}\", queue = \"{}\" }}", producer.binding, producer.queue)
        }),
    );
    if let Some(consumer) = function.consumer {
        line(format!("\n[[env.{name}.queues.consumers]]\nqueue = \"{name}\""));
        line(format!("max_batch_size = {}", consumer.max_batch_size));
        line(format!("max_batch_timeout = {}", consumer.max_batch_timeout));
        line(format!("max_retries = {}", consumer.max_retries));
    }
    settings(&mut line, function);
}

/// Writes the variables with their examples, and the names of the secrets.
fn settings(line: &mut impl FnMut(String), function: &Function) {
    let name = &function.name;
    line(format!("\n[env.{name}.vars]"));
    for (name, example) in &function.vars {
        line(assignment(name, example));
    }
    line(format!("\n[env.{name}.secrets]"));
    let secrets = function.secrets_required.iter().map(|secret| format!("\"{secret}\""));
    line_list(line, "required", secrets);
    if !function.secrets_optional.is_empty() {
        line("# optional:".to_owned());
        function.secrets_optional.iter().for_each(|secret| line(format!("#   {secret}")));
    }
}

/// Writes a list with one entry per line; nothing if it is empty.
fn line_list(
    line: &mut impl FnMut(String),
    name: &str,
    entries: impl ExactSizeIterator<Item = String>,
) {
    if entries.len() == 0 {
        return;
    }
    let mut list = format!("{name} = [\n");
    for entry in entries {
        let _ = writeln!(list, "  {entry},");
    }
    line(list + "]");
}

/// Writes JSON without escapes, and a long value on a line of its own.
fn assignment(name: &str, value: &str) -> String {
    let short = format!("{name} = '{value}'");
    match value {
        _ if value.contains('\'') || !value.contains('"') => {
            format!("{name} = {}", toml::Value::from(value))
        }
        _ if short.chars().count() <= 100 => short,
        _ => format!("{name} = '''\n{value}'''"),
    }
}
