//! A proxy before the front door, which counts requests, may publish another key set, and may drop
//! the connection of an upload.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use stand_ins::tokens::Es256Key;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

use super::World;

const KEY_SET: &str = "GET /auth/v1/.well-known/jwks.json ";

/// Passes every request on to the front door, except for the key set while a test publishes
/// another.
pub struct FrontDoorProxy {
    pub url: String,
    shared: Arc<Mutex<ProxyState>>,
}

#[derive(Default)]
struct ProxyState {
    /// The status and the body that replace the front door's key set.
    key_set: Option<(u16, Value)>,
    /// The first line of every request.
    requests: Vec<String>,
    /// For each drop of a connection that is still to come, after how many bytes of chunks it
    /// comes.
    cuts: VecDeque<u64>,
}

impl FrontDoorProxy {
    /// Starts a proxy that serves until this process ends.
    pub async fn start(world: &World) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let shared = Arc::<Mutex<ProxyState>>::default();
        let upstream = world.stack().info().url.trim_start_matches("http://").to_owned();
        let served = Arc::clone(&shared);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // A caller that disconnects in the middle is no failure of the proxy.
                tokio::spawn(serve(stream, upstream.clone(), Arc::clone(&served)));
            }
        });
        Self { url, shared }
    }

    pub fn publish(&self, keys: &[&Es256Key]) {
        let keys: Vec<Value> = keys.iter().map(|key| key.jwk()).collect();
        lock(&self.shared).key_set = Some((200, json!({ "keys": keys })));
    }

    /// From now on a request for the key set fails.
    pub fn fail(&self) {
        lock(&self.shared).key_set = Some((500, json!({})));
    }

    /// Drops the connection in the middle of an upload, once for each number: after that many bytes
    /// of chunks since the drop before.
    pub fn drop_line_after(&self, bytes: &[u64]) {
        lock(&self.shared).cuts = bytes.iter().copied().collect();
    }

    /// How many drops are still to come.
    pub fn drops_left(&self) -> usize {
        lock(&self.shared).cuts.len()
    }

    /// How many requests asked for the key set.
    pub fn fetches(&self) -> usize {
        self.count(KEY_SET)
    }

    /// How many requests had this text in their first line.
    pub fn count(&self, text: &str) -> usize {
        lock(&self.shared).requests.iter().filter(|line| line.contains(text)).count()
    }
}

fn lock(shared: &Mutex<ProxyState>) -> MutexGuard<'_, ProxyState> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(
    mut stream: TcpStream,
    upstream: String,
    shared: Arc<Mutex<ProxyState>>,
) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.windows(4).any(|four| four == b"\r\n\r\n") {
        if stream.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    let line = head.windows(2).position(|two| two == b"\r\n").unwrap_or_default();
    let key_set = {
        let mut shared = lock(&shared);
        shared.requests.push(String::from_utf8_lossy(&head[..line]).into_owned());
        shared.key_set.clone().filter(|_| head.starts_with(KEY_SET.as_bytes()))
    };
    if let Some((status, body)) = key_set {
        let body = body.to_string();
        let length = body.len();
        let answer = format!(
            "HTTP/1.1 {status} Answer\r\ncontent-type: application/json\r\ncontent-length: \
                {length}\r\nconnection: close\r\n\r\n{body}"
        );
        return stream.write_all(answer.as_bytes()).await;
    }
    // The front door closes the connection after one request, so that each request is counted here.
    let mut front_door = TcpStream::connect(upstream).await?;
    front_door
        .write_all(&[&head[..line], b"\r\nconnection: close", &head[line..]].concat())
        .await?;
    if head.starts_with(b"PATCH ") {
        return pass_chunk(stream, front_door, &shared).await;
    }
    copy_bidirectional(&mut stream, &mut front_door).await.map(drop)
}

/// Passes one chunk of an upload on, or drops the connection in its middle.
async fn pass_chunk(
    mut stream: TcpStream,
    mut front_door: TcpStream,
    shared: &Mutex<ProxyState>,
) -> std::io::Result<()> {
    let (mut from_client, mut to_client) = stream.split();
    let (mut answers, mut to_front_door) = front_door.split();
    let sending = async {
        let mut part = vec![0; 64 * 1024];
        loop {
            let size = from_client.read(&mut part).await?;
            if size == 0 || drops(shared, size as u64) {
                return Ok(());
            }
            to_front_door.write_all(&part[..size]).await?;
        }
    };
    let answering = tokio::io::copy(&mut answers, &mut to_client);
    // The one that ends first ends the other too.
    tokio::select! {
        sent = sending => sent,
        answered = answering => answered.map(drop),
    }
}

/// Whether the connection must drop before these bytes are passed on.
fn drops(shared: &Mutex<ProxyState>, size: u64) -> bool {
    let mut shared = lock(shared);
    let Some(left) = shared.cuts.front_mut() else { return false };
    *left = left.saturating_sub(size);
    let is_over = *left == 0;
    if is_over {
        shared.cuts.pop_front();
    }
    is_over
}
