//! The work of a task: it fetches the files, makes the result, stores it and sends the webhook. A
//! picture or a video becomes exactly twice its size. Of two pictures the person is on the left,
//! and the other one, resized to the same size, on the right.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::sync::Semaphore;

use super::request::{RunningHubSource, RunningHubWork, Submit};
use super::tasks::{RunningHubState, RunningHubTask};
use super::{RunningHubShared, webhook};
use crate::media::{picture, video};
use crate::providers::script::WebhookFault;

/// It is short, because every test waits for it.
const WORK_MS: u64 = 300;
const INPUT_BYTES_MAX: usize = 64 * 1024 * 1024;
const FETCH_LIMIT: Duration = Duration::from_secs(20);
/// Files need much memory while they are changed, so only two are at once.
static IN_WORK: Semaphore = Semaphore::const_new(2);

/// Runs one task to its end, and sends its webhook.
pub(super) async fn run(hub: Arc<RunningHubShared>, task: RunningHubTask) {
    if task.behaviour.hang {
        hub.tasks.start(task.id);
        return;
    }
    // An early webhook is sent before the submit's answer, so the task does not wait unless the
    // script says so.
    let usual = if task.behaviour.webhook == Some(WebhookFault::Early) { 0 } else { WORK_MS };
    let id = task.id.to_string();
    let mut time = hub.running.begin(&id, &task.submit_text, &task.behaviour, usual);
    time.queued().await;
    hub.tasks.start(task.id);
    time.worked().await;
    let state = outcome(&hub, &task).await;
    // No webhook is sent for a cancelled task.
    if let Some(task) = hub.tasks.finish(task.id, state) {
        let early = task.behaviour.webhook == Some(WebhookFault::Early);
        let delivery = tokio::spawn(webhook::send(hub, task));
        if early {
            let _ = delivery.await;
        }
    }
}

async fn outcome(hub: &RunningHubShared, task: &RunningHubTask) -> RunningHubState {
    let code = task.behaviour.code.unwrap_or(805);
    if let Some(reason) = &task.behaviour.fail {
        return RunningHubState::Failed { code, reason: reason.clone() };
    }
    if task.behaviour.node_errors.is_some() {
        return RunningHubState::Failed {
            code,
            reason: "Prompt outputs failed validation".to_owned(),
        };
    }
    match make(hub, &task.submit).await {
        Ok(files) => RunningHubState::Success { files },
        Err(error) => RunningHubState::Failed { code: 805, reason: format!("{error:#}") },
    }
}

/// The files of the task: a preview that could be mistaken for the result, and then the result.
/// Nodes that show their input save it too, and Video Combine saves the first frame beside its
/// video (Kosinkadink/ComfyUI-VideoHelperSuite#169).
async fn make(hub: &RunningHubShared, submit: &Submit) -> anyhow::Result<Vec<String>> {
    let mut inputs = Vec::new();
    for source in &submit.sources {
        inputs.push(input(hub, source).await?);
    }
    let _place = IN_WORK.acquire().await?;
    let task = submit.task;
    let made = tokio::task::spawn_blocking(move || output(task, &inputs)).await??;
    let preview = hub.files.save("png", picture::png(4, 4, |_, _| [128; 3])).await?;
    Ok(vec![preview, hub.files.save_late(made.0, made.1).await?])
}

async fn input(hub: &RunningHubShared, source: &RunningHubSource) -> anyhow::Result<Vec<u8>> {
    match source {
        RunningHubSource::Url(url) => {
            let bytes = hub
                .client
                .download(url, INPUT_BYTES_MAX, FETCH_LIMIT)
                .await
                .context("file not readable")?;
            Ok(bytes)
        }
        RunningHubSource::Uploaded(name) => {
            hub.files.load(name).await.context("no such uploaded file")
        }
    }
}

fn output(task: RunningHubWork, inputs: &[Vec<u8>]) -> anyhow::Result<(&'static str, Vec<u8>)> {
    match (task, inputs) {
        (RunningHubWork::EnlargePicture, [input]) => Ok(("png", picture::enlarged(input)?)),
        (RunningHubWork::EnlargeVideo, [input]) => Ok(("mp4", video::enlarged(input)?)),
        (RunningHubWork::Compose, [person, other]) => {
            Ok(("png", picture::side_by_side(person, other)?))
        }
        _ => bail!("wrong number of files"),
    }
}
