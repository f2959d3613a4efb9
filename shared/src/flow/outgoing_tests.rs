//! Tests what one run sends and reports, whatever the receiver answers.

use super::send_owed;
use crate::core::config::Config;
use crate::core::transport::{self, HttpRequest, HttpResponse, Transport, TransportError};
use crate::flow::Cx;
use crate::testing::single_step::SingleStepWorld;
use crate::testing::unused_calls;
use futures_util::FutureExt;
use serde_json::{Value, json};
use std::cell::{Cell, RefCell};

/// The app's back end, and a database that owes it messages.
struct ReceiverScript {
    owed: Cell<usize>,
    /// The status of its answers; 0 is silence until the time limit.
    status: u16,
    now: Cell<u64>,
    posts: RefCell<Vec<HttpRequest>>,
    /// `p_is_taken` of each report.
    reports: RefCell<Vec<Value>>,
    log: RefCell<Vec<Value>>,
}

impl ReceiverScript {
    fn new(owed: usize, status: u16) -> Self {
        let (posts, reports, log) = Default::default();
        Self { owed: Cell::new(owed), status, now: Cell::new(1_000_000), posts, reports, log }
    }

    fn rpc(&self, function: &str, args: &Value) -> Value {
        match function {
            "ends_due_v1" => {
                let limit = usize::try_from(args["p_limit"].as_u64().unwrap()).unwrap();
                let due = self.owed.get().min(limit);
                self.owed.set(self.owed.get() - due);
                (0..due).map(|id| json!({"id": id.to_string(), "body": {"type": "t"}})).collect()
            }
            "message_sent_v1" => {
                self.reports.borrow_mut().push(args["p_is_taken"].clone());
                Value::Null
            }
            other => panic!("there is no double of {other}"),
        }
    }
}

impl Transport for ReceiverScript {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, TransportError> {
        self.now.set(self.now.get() + 5);
        let mut answer = HttpResponse { status: 200, headers: Vec::new(), body: String::new() };
        if let Some((_, function)) = request.url.split_once("/rpc/") {
            let args = serde_json::from_str(request.body.as_deref().unwrap()).unwrap();
            answer.body = self.rpc(function, &args).to_string();
            return Ok(answer);
        }
        if self.status == 0 {
            self.now.set(self.now.get() + u64::from(request.timeout_ms));
        }
        self.posts.borrow_mut().push(request);
        answer.status = self.status;
        if self.status == 0 {
            Err(TransportError::Unknown("silence".to_owned()))
        } else {
            Ok(answer)
        }
    }

    fn now_ms(&self) -> u64 {
        self.now.get()
    }

    async fn sleep(&self, _: u32) {
        panic!("nothing waits");
    }

    fn log(&self, line: &Value) {
        self.log.borrow_mut().push(line.clone());
    }

    unused_calls!(copy upload download random notify);
}

fn run(script: &ReceiverScript, url: &str) {
    let config = Config {
        outgoing_webhook_url: Some(url.to_owned()),
        outgoing_webhook_secrets: vec!["a secret".to_owned()],
        ..SingleStepWorld::config()
    };
    let cx = Cx { transport: script, config: &config, request_id: "ends", caller: None };
    send_owed(&cx).now_or_never().expect("nothing waits");
}

const URL: &str = "https://app.example/hook";

#[test]
fn all_that_is_due_is_sent_and_reported_within_the_bound_of_a_run() {
    for (owed, sent) in [(0, 0), (1, 1), (16, 16), (50, 50), (500, 160)] {
        let script = ReceiverScript::new(owed, 204);
        run(&script, URL);
        assert_eq!(script.posts.borrow().len(), sent, "{owed}");
        assert_eq!(*script.reports.borrow(), vec![json!(true); sent], "{owed}");
        let log = script.log.borrow();
        for count in ["claimed", "taken"] {
            let logged: u64 = log.iter().filter_map(|line| line[count].as_u64()).sum();
            assert_eq!(logged, sent as u64, "{count} of {owed}");
        }
    }
}

#[test]
fn a_receiver_that_takes_nothing_is_left_alone_until_the_next_run() {
    for status in [0, 302, 410, 429, 500, 503] {
        let script = ReceiverScript::new(50, status);
        run(&script, URL);
        assert_eq!(script.posts.borrow().len(), 4, "{status}");
        assert_eq!(*script.reports.borrow(), vec![json!(false); 4], "{status}");
    }
}

#[test]
fn nothing_is_sent_inside_of_a_network() {
    let script = ReceiverScript::new(5, 200);
    run(&script, "https://10.0.0.1/hook");
    assert!(script.posts.borrow().is_empty());
    assert_eq!(script.owed.get(), 5, "and the database is not asked, so it owes nothing more");
}
