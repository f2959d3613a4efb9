//! The work: fetch the picture, enlarge it to exactly twice its size with Lanczos, store it, tell the caller.

use std::io::Cursor;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use image::imageops::FilterType;
use image::{ImageFormat, ImageReader, Limits};
use tokio::sync::Semaphore;

use super::request::Source;
use super::tasks::{State, Task};
use super::{Hub, webhook};
use crate::providers::script::WebhookFault;

/// Short, because every test waits for it.
const WORK_MS: u64 = 300;
const INPUT_BYTES_MAX: usize = 64 * 1024 * 1024;
const FETCH_LIMIT: Duration = Duration::from_secs(20);
const INPUT_SIDE_MAX: u32 = 8192;
/// A picture in work is large in memory; two at a time is plenty for a stand-in.
static IN_WORK: Semaphore = Semaphore::const_new(2);

/// Runs one task to its end, and sends its webhook.
pub(super) async fn run(hub: Arc<Hub>, task: Task) {
    if task.behaviour.hang {
        hub.tasks.start(task.id);
        return;
    }
    // An early webhook overtakes the submit's answer, so there is nothing to wait for unless the script says so.
    let usual = if task.behaviour.webhook == Some(WebhookFault::Early) { 0 } else { WORK_MS };
    let work_ms = task.behaviour.work_ms.unwrap_or(usual);
    tokio::time::sleep(Duration::from_millis(work_ms / 3)).await;
    hub.tasks.start(task.id);
    tokio::time::sleep(Duration::from_millis(work_ms - work_ms / 3)).await;
    let state = outcome(&hub, &task).await;
    // A cancelled task is over: nobody is told.
    if let Some(task) = hub.tasks.finish(task.id, state) {
        let early = task.behaviour.webhook == Some(WebhookFault::Early);
        let telling = tokio::spawn(webhook::tell(hub, task));
        if early {
            let _ = telling.await;
        }
    }
}

async fn outcome(hub: &Hub, task: &Task) -> State {
    let code = task.behaviour.code.unwrap_or(805);
    if let Some(reason) = &task.behaviour.fail {
        return State::Failed { code, reason: reason.clone() };
    }
    if task.behaviour.node_errors.is_some() {
        return State::Failed { code, reason: "Prompt outputs failed validation".to_owned() };
    }
    match make(hub, &task.submit.source).await {
        Ok(file) => State::Success { file },
        Err(error) => State::Failed { code: 805, reason: format!("{error:#}") },
    }
}

async fn make(hub: &Hub, source: &Source) -> anyhow::Result<String> {
    let input = match source {
        Source::Url(url) => {
            hub.client.download(url, INPUT_BYTES_MAX, FETCH_LIMIT).await.context("image not readable")?.1.to_vec()
        }
        Source::Uploaded(name) => hub.files.load(name).await.context("no such uploaded file")?,
    };
    let _place = IN_WORK.acquire().await?;
    let output = tokio::task::spawn_blocking(move || enlarge(input)).await??;
    hub.files.save("png", output).await
}

/// Exactly twice the width and the height, as PNG.
fn enlarge(input: Vec<u8>) -> anyhow::Result<Vec<u8>> {
    let mut reader = ImageReader::new(Cursor::new(input)).with_guessed_format()?;
    if reader.format().is_none() {
        bail!("not a picture");
    }
    let mut limits = Limits::default();
    limits.max_image_width = Some(INPUT_SIDE_MAX);
    limits.max_image_height = Some(INPUT_SIDE_MAX);
    reader.limits(limits);
    let picture = reader.decode().context("picture not readable")?;
    let enlarged = picture.resize_exact(picture.width() * 2, picture.height() * 2, FilterType::Lanczos3);
    let mut output = Cursor::new(Vec::new());
    enlarged.write_to(&mut output, ImageFormat::Png)?;
    Ok(output.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{DynamicImage, RgbImage};

    #[test]
    fn the_output_is_a_png_of_exactly_twice_the_size() {
        for format in [ImageFormat::Png, ImageFormat::Jpeg] {
            let mut input = Cursor::new(Vec::new());
            DynamicImage::ImageRgb8(RgbImage::from_pixel(7, 3, image::Rgb([200, 10, 10])))
                .write_to(&mut input, format)
                .unwrap();
            let output = enlarge(input.into_inner()).unwrap();
            assert_eq!(image::guess_format(&output).unwrap(), ImageFormat::Png);
            let picture = image::load_from_memory(&output).unwrap();
            assert_eq!((picture.width(), picture.height()), (14, 6));
        }
    }

    #[test]
    fn what_is_no_picture_is_refused() {
        assert!(enlarge(b"hello".to_vec()).is_err());
        assert!(enlarge(b"\x89PNG\r\n\x1a\n----".to_vec()).is_err());
    }
}
