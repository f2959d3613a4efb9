//! RunningHub as the application uses it: the v2 API and the older envelopes share one set of
//! tasks, which really enlarge a picture or a video, or compose two pictures. The nodes of an app
//! decide which. It refuses what the contract does not name, so that a mistake shows here first. It
//! behaves as badly as the service (its v2 reference and public clients): it reports a success
//! before it lists the files, and the first of these is a preview; the files are on another host;
//! and its cancel does not know the tasks of apps.
//!
//! | module | for |
//! |---|---|
//! | `request` | reads or refuses a submit |
//! | `tasks` | the tasks, their states, and the limit of a key |
//! | `v2`, `legacy` | writes the answers of each API |
//! | `work` | the work itself |
//! | `webhook` | the webhook of a finished task |

mod legacy;
mod request;
mod tasks;
mod upload;
mod v2;
mod webhook;
mod work;

use std::sync::Arc;

use super::ProviderTools;
use super::files::ProviderFiles;
use super::log::Log;
use super::provider::{Answering, Arrival, Concern, ProviderAnswer, StandInProvider};
use super::script::{Behaviour, WebhookFault};
use super::work_time::RunningTasks;
use crate::client::Client;
use crate::config::StandInConfig;
use request::RunningHubApi;
use tasks::Tasks;

const NAME: &str = "runninghub";
const LOCAL_KEY: &str = "rh-local-key";

/// The state that all parts share.
pub(super) struct RunningHubShared {
    tasks: Tasks,
    keys: Vec<String>,
    apps: Vec<String>,
    client: Client,
    files: ProviderFiles,
    log: Arc<Log>,
    running: RunningTasks,
}

#[derive(Clone)]
pub(super) struct RunningHub(Arc<RunningHubShared>);

impl RunningHub {
    pub(super) fn new(config: &StandInConfig, tools: ProviderTools) -> Self {
        let ProviderTools { client, files, log, running } = tools;
        let keys =
            config.provider_keys.get(NAME).cloned().unwrap_or_else(|| vec![LOCAL_KEY.to_owned()]);
        Self(Arc::new(RunningHubShared {
            tasks: Tasks::default(),
            keys,
            apps: config.runninghub_apps.clone(),
            client,
            files,
            log,
            running,
        }))
    }

    async fn route(&self, arrival: &Arrival, behaviour: &Behaviour) -> ProviderAnswer {
        let hub = &self.0;
        if arrival.route(NAME) == "/api/webapp/apiCallDemo" {
            return legacy::call_demo(hub, arrival);
        }
        if arrival.method != axum::http::Method::POST {
            return ProviderAnswer::text(405, "Method Not Allowed".to_owned());
        }
        let route = arrival.route(NAME);
        if let (Some(api), Some(code)) = (RunningHubApi::of(route), refusal_code(behaviour)) {
            return api.scripted_refusal(code, behaviour);
        }
        if let Some(app) = request::app_of(route) {
            return self.submit(arrival, behaviour, RunningHubApi::V2, Some(app)).await;
        }
        match route {
            "/openapi/v2/query" => v2::query(hub, arrival),
            "/openapi/v2/media/upload/binary" => upload::v2(hub, arrival).await,
            "/task/openapi/create" | "/task/openapi/ai-app/run" => {
                self.submit(arrival, behaviour, RunningHubApi::Legacy, None).await
            }
            "/task/openapi/status" => legacy::status(hub, arrival),
            "/task/openapi/outputs" => legacy::outputs(hub, arrival),
            "/task/openapi/cancel" => legacy::cancel(hub, arrival),
            "/task/openapi/upload" => upload::legacy(hub, arrival).await,
            "/uc/openapi/accountStatus" => legacy::account(hub, arrival),
            _ => ProviderAnswer::text(404, "Not Found".to_owned()),
        }
    }

    async fn submit(
        &self,
        arrival: &Arrival,
        behaviour: &Behaviour,
        api: RunningHubApi,
        app: Option<&str>,
    ) -> ProviderAnswer {
        let read = match api {
            RunningHubApi::V2 => request::v2(arrival, &self.0.keys, app.unwrap_or_default()),
            RunningHubApi::Legacy => request::legacy(arrival, &self.0.keys),
        };
        let accepted = read
            .and_then(|submit| self.0.tasks.accept(submit, arrival.rule_text(), behaviour.clone()));
        let task = match accepted {
            Ok(task) => task,
            Err(refusal) => return api.refuse(&refusal),
        };
        let work = tokio::spawn(work::run(Arc::clone(&self.0), task.clone()));
        if behaviour.webhook == Some(WebhookFault::Early) {
            // The task ends and its webhook is sent before this answer is written.
            let _ = work.await;
        }
        let id = task.id.to_string();
        match api {
            RunningHubApi::V2 => v2::started(&task).about(id),
            RunningHubApi::Legacy => legacy::started(&task).about(id),
        }
    }
}

/// The code with which the submit is refused. With `fail` the code belongs to the later failure.
fn refusal_code(behaviour: &Behaviour) -> Option<i64> {
    behaviour.code.filter(|_| behaviour.fail.is_none())
}

impl StandInProvider for RunningHub {
    fn name(&self) -> &'static str {
        NAME
    }

    fn concern(&self, arrival: &Arrival) -> Concern {
        let route = arrival.route(NAME);
        if request::is_submit(route) {
            return Concern { is_submit: true, ..Concern::default() };
        }
        let id = arrival.json().and_then(|body| request::task_id(&body));
        let submit_text = id.and_then(|id| self.0.tasks.get(id)).map(|task| task.submit_text);
        Concern { is_submit: false, task_id: id.map(|id| id.to_string()), submit_text }
    }

    fn answer<'a>(&'a self, arrival: &'a Arrival, behaviour: &'a Behaviour) -> Answering<'a> {
        Box::pin(self.route(arrival, behaviour))
    }

    fn set_capacity(&self, limit: usize) {
        self.0.tasks.set_capacity(limit);
    }

    fn reset(&self) {
        self.0.tasks.reset();
    }
}
