//! Serves every function's requests: does all work before and after the function's own handler.
//!
//! It never fails and never shows a handler a raw header.

use std::cell::RefCell;
use std::rc::Rc;

use futures_channel::oneshot;
use serde_json::Value;
use url::form_urlencoded;
use worker::wasm_bindgen::JsValue;
use worker::web_sys::Response;
use worker::{Context, Env, js_sys};

use crate::core::auth::policy::{Admission, admit};
use crate::core::auth::{Caller, Identity, Policy, Quota, behalf};
use crate::core::body::{add_query, parse};
use crate::core::error::{ApiError, ErrorCode};
use crate::core::id::{self, UserId};
use crate::core::reply::{Reply, ReplyBody};
use crate::core::transport::Transport;
use crate::core::webhook::{self, Signature};
use crate::edge::bridge::{self, Incoming, ReadHeader};
use crate::edge::call::{Call, OwnedCx};
use crate::edge::fetch::Fetch;
use crate::edge::log::LogLine;
use crate::edge::op::Op;
use crate::edge::spec::{Spec, route};
use crate::edge::{body, config, identity, rate};

/// The facts about a request before its handler runs, for the log line.
struct RequestTrace {
    function: &'static str,
    op: &'static str,
    caller: &'static str,
    job_id: Rc<RefCell<Option<String>>>,
    request_id: Rc<str>,
    fetch: Fetch,
    started_ms: u64,
}

impl RequestTrace {
    fn log(&self, outcome: &Result<Reply, ApiError>) {
        let error = outcome.as_ref().err();
        LogLine {
            function: self.function,
            op: self.op,
            event: "fetch",
            request_id: &self.request_id,
            status: outcome
                .as_ref()
                .map_or_else(|error| error.code.http_status(), |reply| reply.status),
            caller: self.caller,
            job_id: self.job_id.borrow().as_deref(),
            duration_ms: self.fetch.now_ms().saturating_sub(self.started_ms),
            error,
        }
        .write();
    }
}

/// Answers one request.
pub async fn serve(spec: &'static Spec, request: Incoming, env: Env, context: Context) -> Response {
    let fetch = Fetch::new(env).reached_at(request.url());
    let request_id = request_id(&request, &fetch);
    if request.method() == "OPTIONS" {
        return bridge::plain(204, &request_id);
    }
    let mut trace = RequestTrace {
        function: spec.name,
        op: "",
        caller: "unknown",
        job_id: Rc::default(),
        request_id: Rc::clone(&request_id),
        started_ms: fetch.now_ms(),
        fetch,
    };
    let outcome = match prepare(spec, &request, context, &mut trace).await {
        Ok((op, call)) => finished(spec, op, call, trace).await,
        Err(error) => {
            body::discard(&request).await;
            let refused = Err(error);
            trace.log(&refused);
            refused
        }
    };
    answer(outcome, &request_id)
}

/// Runs the handler to its end even if the caller leaves. In that case the platform stops all work
/// at once that is not under `wait_until`, and the rest after 30 s.
async fn finished(
    spec: &'static Spec,
    op: &'static Op,
    call: Call,
    trace: RequestTrace,
) -> Result<Reply, ApiError> {
    let (tell, told) = oneshot::channel();
    let context = Rc::clone(&call.context);
    context.wait_until(async move {
        let after = spec.after_schedule.filter(|_| op.policy == Policy::Scheduled);
        let after = after.map(|work| (work, call.cx.clone()));
        let outcome = (op.handler)(call).await;
        trace.log(&outcome);
        // Sending fails if the caller has left; then the outcome is not needed.
        let _ = tell.send(outcome);
        if let Some((work, cx)) = after {
            work(cx).await;
        }
    });
    told.await.unwrap_or_else(|_| Err(ApiError::internal("the handler did not end")))
}

/// Routes and admits a request and reads its body. Authenticates before it reads the body; a
/// provider's token is in its path. A seller signs the body, which its handler verifies.
async fn prepare(
    spec: &'static Spec,
    request: &Incoming,
    context: Context,
    trace: &mut RequestTrace,
) -> Result<(&'static Op, Call), ApiError> {
    let route = route(spec, request.method(), request.path())?;
    trace.op = route.op.path;
    let config = config::config(trace.fetch.env(), spec.requires)?;
    let request_id = Rc::clone(&trace.request_id);
    let mut cx = OwnedCx::of(trace.fetch.clone(), config, request_id);
    let mut caller = match route.op.policy {
        Policy::Public | Policy::Seller => Caller::Public,
        Policy::Provider => admit_webhook(&route.path, &cx)?,
        _ => admitted(route.op, request, &cx, trace).await?,
    };
    trace.caller = caller.kind();
    let raw_body = match request.method() {
        "GET" | "HEAD" => String::new(),
        _ => body::read(request, route.op.body_bytes_max()).await?,
    };
    let (mut body, signature) = match route.op.policy {
        Policy::Provider | Policy::Seller => (Value::Null, signature(request)),
        _ => (parse(&raw_body)?, Signature::default()),
    };
    if route.op.reads_query() {
        add_query(&mut body, form_urlencoded::parse(request.query().as_bytes()).into_owned());
    }
    let named = behalf::named(route.op.policy, route.op.quota, &caller, &body)?;
    if let Some(user) = named {
        caller = on_behalf(route.op, user, &cx).await?;
        cx.is_on_behalf = true;
    }
    let call = Call {
        caller,
        body,
        raw_body,
        signature,
        path: route.path,
        idempotency_key: request.header(ReadHeader::IdempotencyKey).map(str::to_owned),
        job_id: Rc::clone(&trace.job_id),
        cx,
        context: Rc::new(context),
    };
    Ok((route.op, call))
}

/// Admits the caller of a webhook URL made by us. Answers 401 if its token is not valid.
fn admit_webhook(tail: &[String], cx: &OwnedCx) -> Result<Caller, ApiError> {
    let secrets = cx.config.webhook_secrets()?;
    match webhook::WebhookAddress::of_path(tail) {
        Some((address, token)) if webhook::verify(&secrets, address, token) => Ok(Caller::Public),
        _ => Err(ApiError::unauthorized()),
    }
}

/// Returns the caller whom the policy admits. The rate limit comes before the question to the
/// database whether a user is an admin, so that the limit also covers that question.
async fn admitted(
    op: &Op,
    request: &Incoming,
    cx: &OwnedCx,
    trace: &mut RequestTrace,
) -> Result<Caller, ApiError> {
    let authorization = request.header(ReadHeader::Authorization);
    let apikey = request.header(ReadHeader::Apikey).filter(|_| authorization.is_none());
    let identity = identity::identify(authorization, apikey, cx).await?;
    trace.caller = identity.kind();
    let admission = admission(op, identity, cx);
    if let Admission::Refused(error) = admission {
        return Err(error);
    }
    let address = request.header(ReadHeader::CfConnectingIp);
    rate::admitted(cx.fetch.env(), op.quota, identity, address).await?;
    match admission {
        Admission::Granted(caller) => Ok(caller),
        Admission::IfAdmin(Caller::User { id, anonymous, .. })
            if identity::is_admin(id, cx).await? =>
        {
            Ok(Caller::User { id, anonymous, admin: true })
        }
        Admission::IfAdmin(_) | Admission::Refused(_) => Err(ApiError::forbidden()),
    }
}

/// Returns the service as the caller on behalf of a user. The user's own limits apply, and those of
/// an anonymous user.
async fn on_behalf(op: &Op, user: UserId, cx: &OwnedCx) -> Result<Caller, ApiError> {
    rate::count(cx.fetch.env(), op.quota, user).await?;
    let anonymous = identity::is_anonymous(user, cx).await?;
    match admission(op, Identity::User { id: user, anonymous }, cx) {
        Admission::Granted(_) => Ok(Caller::Behalf(user)),
        Admission::IfAdmin(_) => Err(ApiError::forbidden()),
        Admission::Refused(error) => Err(error),
    }
}

fn admission(op: &Op, identity: Identity, cx: &OwnedCx) -> Admission {
    admit(identity, op.policy, op.quota == Quota::Order, cx.config.allow_anonymous_users)
}

/// Returns the caller's request id if it is well-formed, else a new one.
pub fn request_id(request: &Incoming, fetch: &Fetch) -> Rc<str> {
    match request.header(ReadHeader::RequestId) {
        Some(given) if id::is_sane_request_id(given) => given.into(),
        _ => id::request_id(fetch.random()).into(),
    }
}

/// Reads the headers of the Standard Webhooks scheme, and Stripe's.
fn signature(request: &Incoming) -> Signature {
    let text = |name| request.header(name).unwrap_or_default().to_owned();
    Signature {
        id: text(ReadHeader::WebhookId),
        timestamp: text(ReadHeader::WebhookTimestamp),
        entries: text(ReadHeader::WebhookSignature),
        stripe: text(ReadHeader::StripeSignature),
    }
}

/// Turns any outcome into an answer of the contract, with CORS headers.
pub fn answer(outcome: Result<Reply, ApiError>, request_id: &str) -> Response {
    let mut lines = format!("x-request-id\n{request_id}");
    let mut add = |name: &str, value: &str| {
        for part in ["\n", name, "\n", value] {
            lines.push_str(part);
        }
    };
    let Reply { status, body } = outcome.unwrap_or_else(|mut error| {
        if let Some(seconds) = error.retry_after_s {
            add("retry-after", &seconds.to_string());
        }
        if error.code == ErrorCode::MethodNotAllowed
            && let Some(Value::String(allow)) = error.fields.remove("allow")
        {
            add("allow", &format!("{allow}, OPTIONS"));
        }
        Reply { status: error.code.http_status(), body: ReplyBody::Json(error.to_body(request_id)) }
    });
    let text = |text: &str| JsValue::from_str(text);
    let (content_type, body) = match body {
        ReplyBody::Json(body) => ("application/json", text(&body.to_string())),
        ReplyBody::Text { content_type, text: body } => (content_type, text(&body)),
        ReplyBody::Download { name, content_type, bytes } => {
            add("content-disposition", &format!("attachment; filename=\"{name}\""));
            (content_type, js_sys::Uint8Array::from(bytes.as_slice()).into())
        }
    };
    add("content-type", content_type);
    bridge::answer(status, &lines, body)
}
