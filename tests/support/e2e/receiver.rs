//! An HTTP server outside to which our functions post. It keeps each request and gives the answer
//! that a test has set.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::RUNTIME;

/// One request as it came, and the answer that it got.
#[derive(Clone, Debug)]
pub struct ReceivedRequest {
    pub head: String,
    pub body: String,
    answer: String,
}

impl ReceivedRequest {
    pub fn header(&self, name: &str) -> String {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        let mut found =
            lines.filter(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value);
        found.next_back().unwrap_or_default().to_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// A server on a port of its own.
#[derive(Clone)]
pub struct HttpReceiver {
    address: SocketAddr,
    received: Arc<Mutex<Vec<ReceivedRequest>>>,
    answer: Arc<Mutex<String>>,
}

impl HttpReceiver {
    /// Starts a server that answers 204 until `answers` sets another answer.
    pub fn start() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let receiver = Self {
            address: listener.local_addr().unwrap(),
            received: Arc::default(),
            answer: Arc::new(Mutex::new("204 Taken".to_owned())),
        };
        let serving = receiver.clone();
        RUNTIME.spawn(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                serving.receive(stream).await;
            }
        });
        receiver
    }

    /// The address of `path`, which begins with `/`.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Sets the answer of the following requests: the status, and headers after it.
    pub fn answers(&self, answer: &str) {
        answer.clone_into(&mut self.answer.lock().unwrap());
    }

    /// Every request so far.
    pub fn received(&self) -> Vec<ReceivedRequest> {
        self.received.lock().unwrap().clone()
    }

    /// The bodies of the requests that were answered with success.
    pub fn taken(&self) -> Vec<Value> {
        let received = self.received();
        let taken = received.iter().filter(|request| request.answer.starts_with('2'));
        taken.map(ReceivedRequest::json).collect()
    }

    async fn receive(&self, mut stream: TcpStream) {
        let mut text = String::new();
        let mut chunk = [0; 4096];
        while let Ok(read) = stream.read(&mut chunk).await {
            text.push_str(&String::from_utf8_lossy(&chunk[..read]));
            let body = text.split_once("\r\n\r\n").map(|(_, body)| body);
            if read == 0 || body.is_some_and(|body| body.ends_with('}')) {
                break;
            }
        }
        let answer = self.answer.lock().unwrap().clone();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let (head, body) = (head.to_owned(), body.to_owned());
            let request = ReceivedRequest { head, body, answer: answer.clone() };
            self.received.lock().unwrap().push(request);
        }
        let rest = "connection: close\r\ncontent-length: 0\r\n\r\n";
        let _ = stream.write_all(format!("HTTP/1.1 {answer}\r\n{rest}").as_bytes()).await;
    }
}
