//! `placed-run` calls providers from an allowed region, even if a cron runs elsewhere.

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use unstuck_tests::e2e;
use unstuck_tests::e2e::cards::{CREATE, Cards, PLACED, PROCESS};
use unstuck_tests::e2e::website::{self, Website};

/// A proxy that passes a request on to `providers` if it comes from an allowed region, and refuses
/// it as Gemini does otherwise.
async fn guard_region(providers: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(pass_if_placed(stream, providers.clone()));
        }
    });
    address
}

async fn pass_if_placed(mut client: TcpStream, providers: String) -> std::io::Result<()> {
    let mut begin = Vec::new();
    while !begin.windows(4).any(|part| part == b"\r\n\r\n") {
        if client.read_buf(&mut begin).await? == 0 {
            return Ok(());
        }
    }
    if !String::from_utf8_lossy(&begin).contains("cf-placement: remote-") {
        let body = json!({ "error": { "code": 400, "status": "FAILED_PRECONDITION",
            "message": "User location is not supported for the API use." } })
        .to_string();
        let head = "HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: ";
        return client.write_all(format!("{head}{}\r\n\r\n{body}", body.len()).as_bytes()).await;
    }
    // Each connection carries one request, so that every request is checked.
    let line_end = begin.iter().position(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let (request_line, rest) = begin.split_at(line_end);
    let mut provider = TcpStream::connect(providers).await?;
    provider.write_all(request_line).await?;
    provider.write_all(b"connection: close\r\n").await?;
    provider.write_all(rest).await?;
    tokio::io::copy_bidirectional(&mut client, &mut provider).await.map(drop)
}

#[test]
fn r04_cards_and_websites_are_made_from_an_allowed_region() {
    e2e::run(async |world| {
        let providers = world.stack().info().providers_url.replace("http://", "");
        let guard = guard_region(providers).await;
        let guarded = [
            ("GEMINI_BASE_URL".to_owned(), Some(format!("http://{guard}/gemini"))),
            ("LLM_BASE_URL".to_owned(), Some(format!("http://{guard}/llm/v1"))),
        ];
        let lost = |queue: &str| [(queue.to_owned(), None)].into();
        let overrides = [
            (PLACED.to_owned(), guarded.into()),
            (CREATE.to_owned(), lost("GEMINI_HINTS")),
            (website::TOOL.to_owned(), lost("LLM_HINTS")),
        ];
        world.restart_workers(overrides.into()).await;
        let cards = Cards::ordered(world, &[0]).await;
        let site = Website::order(world, "a page from elsewhere").await;
        world.fire(PROCESS).await;
        world.fire(website::TOOL).await;
        cards.until_over(world, "completed", 1).await;
        site.assert_completed(world, 0).await;
    });
}

#[test]
fn r04_the_gateway_knows_no_placed_function() {
    e2e::run(async |world| {
        let body = json!({ "claimForMs": 1 });
        for target in ["placed-run", "placed-run/cards", "placed-run/websites"] {
            world.call(target).by_service().json(&body).refused(404, "not_found").await;
        }
    });
}
