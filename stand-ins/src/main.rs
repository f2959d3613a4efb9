//! The binary: reads one configuration file, listens on its ports and prints `ready`.

use anyhow::{Context, bail};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let path = match (arguments.next().as_deref(), arguments.next()) {
        (Some("--config"), Some(path)) => path,
        _ => bail!("usage: stand-ins --config <file.json>"),
    };
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let config =
        serde_json::from_str(&text).with_context(|| format!("{path} is not a configuration"))?;
    stand_ins::run(config).await
}
