//! A proxy before Postgres that sends on one statement at a time and drops the connection after a
//! number of them.
//!
//! It reads the wire protocol, version 3. A query of several statements is sent on as several
//! messages, and the client sees one end of all their answers. The answer to the last statement
//! that is sent on is withheld, as if the network failed at that moment. The proxy offers no TLS.

use std::io::{Error, ErrorKind, Result};

use tokio::io::{AsyncReadExt, AsyncWriteExt, BufStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use xtask::migration::text;

type Stream = BufStream<TcpStream>;

/// The code that a client sends in place of a protocol version to ask for TLS.
const SSL_REQUEST: u32 = 80_877_103;

/// One connection, which is dropped after `most` statements.
pub struct WireCut {
    port: u16,
    relay: JoinHandle<Vec<String>>,
}

impl WireCut {
    /// Listens in front of the server on `port`.
    pub async fn after(most: usize, port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let own = listener.local_addr().expect("its address").port();
        let relay = tokio::spawn(async move {
            let mut sent = Vec::new();
            if let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(("127.0.0.1", port)).await.expect("the server");
                client.set_nodelay(true).expect("an open socket");
                server.set_nodelay(true).expect("an open socket");
                let (client, server) = (BufStream::new(client), BufStream::new(server));
                // A client that has finished closes the connection, which is no failure.
                let _ = Relay { client, server, most }.run(&mut sent).await;
            }
            sent
        });
        Self { port: own, relay }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The statements that were sent on; it waits until the connection is closed.
    pub async fn statements(self) -> Vec<String> {
        self.relay.await.expect("the relay does not panic")
    }
}

struct Relay {
    client: Stream,
    server: Stream,
    most: usize,
}

/// A message's kind and what follows its length.
type Message = (u8, Vec<u8>);

impl Relay {
    async fn run(mut self, sent: &mut Vec<String>) -> Result<()> {
        let mut startup = body(&mut self.client).await?;
        if startup == SSL_REQUEST.to_be_bytes() {
            self.client.write_all(b"N").await?;
            self.client.flush().await?;
            startup = body(&mut self.client).await?;
        }
        self.server.write_u32(length(&startup)).await?;
        self.server.write_all(&startup).await?;
        self.server.flush().await?;
        let (_, ready) = self.answers(true).await?;
        write(&mut self.client, &ready).await?;
        let mut prepared = String::new();
        let mut executes = false;
        loop {
            let message = read(&mut self.client).await?;
            if sent.len() >= self.most {
                return Ok(());
            }
            match message.0 {
                b'Q' => {
                    self.send_each(&message.1, sent).await?;
                    continue;
                }
                b'P' => prepared = String::from_utf8_lossy(&message.1).into_owned(),
                b'E' => executes = true,
                _ => {}
            }
            put(&mut self.server, &message).await?;
            if message.0 == b'S' {
                self.server.flush().await?;
                if std::mem::take(&mut executes) {
                    sent.push(prepared.clone());
                }
                let (_, ready) = self.answers(sent.len() < self.most).await?;
                write(&mut self.client, &ready).await?;
            }
        }
    }

    /// Sends each statement of a query as a query of its own, until one fails.
    async fn send_each(&mut self, query: &[u8], sent: &mut Vec<String>) -> Result<()> {
        let query = String::from_utf8_lossy(query.strip_suffix(b"\0").unwrap_or(query));
        let statements = text::statements(&query);
        for (at, statement) in statements.iter().enumerate() {
            let message = (b'Q', [statement.as_bytes(), b"\0"].concat());
            write(&mut self.server, &message).await?;
            sent.push((*statement).to_owned());
            let (failed, ready) = self.answers(sent.len() < self.most).await?;
            if failed || at + 1 == statements.len() {
                return write(&mut self.client, &ready).await;
            }
        }
        Ok(())
    }

    /// Passes the server's answers on up to `ReadyForQuery`, and tells whether one was an error. If
    /// `shown` is false, it withholds them and drops the connection after them.
    async fn answers(&mut self, shown: bool) -> Result<(bool, Message)> {
        let mut failed = false;
        loop {
            let message = read(&mut self.server).await?;
            failed |= message.0 == b'E';
            match (message.0, shown) {
                (b'Z', true) => {
                    self.client.flush().await?;
                    return Ok((failed, message));
                }
                (b'Z', false) => return Err(Error::from(ErrorKind::ConnectionAborted)),
                (_, true) => put(&mut self.client, &message).await?,
                (_, false) => {}
            }
        }
    }
}

async fn read(stream: &mut Stream) -> Result<Message> {
    let kind = stream.read_u8().await?;
    Ok((kind, body(stream).await?))
}

/// Reads what follows a message's length. The length counts itself.
async fn body(stream: &mut Stream) -> Result<Vec<u8>> {
    let length = stream.read_u32().await?;
    let mut body = vec![0; (length as usize).saturating_sub(4)];
    stream.read_exact(&mut body).await?;
    Ok(body)
}

async fn write(stream: &mut Stream, message: &Message) -> Result<()> {
    put(stream, message).await?;
    stream.flush().await
}

async fn put(stream: &mut Stream, (kind, body): &Message) -> Result<()> {
    stream.write_u8(*kind).await?;
    stream.write_u32(length(body)).await?;
    stream.write_all(body).await
}

fn length(body: &[u8]) -> u32 {
    u32::try_from(body.len()).map_or(u32::MAX, |length| length + 4)
}
