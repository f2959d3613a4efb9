//! Which requests are accepted. Every other one is refused with a 400 that names the field, before
//! anything is changed.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use unstuck_tests::assert_has;
use unstuck_tests::e2e::{self, World};
use uuid::Uuid;

use unstuck_tests::e2e::order::{
    Order, PRICE, RUN, assert_nothing_happened, until_cancelled_at_provider,
};

/// The order's body with these fields replaced.
fn with(order: &Order, fields: &Value) -> Value {
    let mut body = order.body.clone();
    body.as_object_mut().expect("a body").extend(fields.as_object().expect("fields").clone());
    body
}

async fn assert_refused(world: &World, order: &Order, fields: &Value, named: &str) {
    let refusal = world
        .call(RUN)
        .by(&order.user)
        .json(&with(order, fields))
        .refused(400, "bad_request")
        .await;
    let message = refusal["message"].as_str().unwrap_or_default();
    assert!(message.contains(named), "{fields}: {message}");
}

#[test]
fn a_field_at_fault_is_named() {
    e2e::run(async |world| {
        let order = Order::new(world).await;
        let cases = [
            (
                "resolution",
                vec![
                    json!(511),
                    json!(8193),
                    json!("2048"),
                    json!(2048.5),
                    json!(-1),
                    json!(true),
                    json!([]),
                ],
            ),
            ("detailDenoise", vec![json!(-0.01), json!(1.01), json!("0.5"), json!({})]),
            ("prompt", vec![json!("x".repeat(2001)), json!(7), json!(["x"])]),
            ("version", vec![json!("ultra"), json!(""), json!(1)]),
            ("category", vec![json!(1), json!("x".repeat(5000))]),
            ("framingMode", vec![json!({})]),
            ("maxCredits", vec![json!(-1), json!(60.5), json!("60"), json!([])]),
            ("sessionId", vec![json!(5), json!("x".repeat(5000))]),
            (
                "jobId",
                vec![
                    json!("x"),
                    json!(""),
                    json!(7),
                    json!("00000000-0000-4000-8000-00000000000g"),
                ],
            ),
            ("imageUrl", vec![json!(null), json!(7), json!([]), json!("")]),
        ];
        for (field, values) in cases {
            for value in values {
                assert_refused(world, &order, &json!({ field: value }), field).await;
            }
        }
        let mut without = order.body.clone();
        without.as_object_mut().expect("a body").remove("imageUrl");
        let refusal =
            world.call(RUN).by(&order.user).json(&without).refused(400, "bad_request").await;
        assert!(refusal["message"].as_str().unwrap_or_default().contains("imageUrl"), "{refusal}");
        assert_nothing_happened(world, &order).await;
    });
}

#[test]
fn the_limits_themselves_are_allowed() {
    e2e::run(async |world| {
        world.set_provider("runninghub", "enabled = false").await;
        let best = json!({ "resolution": 8192, "detailDenoise": 1, "version": "pro" });
        for (fields, price) in [
            (json!({ "resolution": 512, "detailDenoise": 0, "version": "standard" }), PRICE),
            (json!({ "resolution": 512.0, "detailDenoise": 1.0, "maxCredits": 60.0 }), PRICE),
            (best, 150),
            (
                json!({ "prompt": "ü".repeat(2000), "category": "people", "framingMode": "fit" }),
                PRICE,
            ),
            (
                json!({ "resolution": null, "detailDenoise": null, "prompt": null, "version": null,
                    "sessionId": null, "jobId": null, "maxCredits": null }),
                PRICE,
            ),
            (json!({ "prompt": "", "creditCost": 0, "userId": Uuid::nil(), "priority": 1 }), PRICE),
        ] {
            let order = Order::new(world).await;
            let answer = world.call(RUN).by(&order.user).json(&with(&order, &fields)).ok().await;
            assert_has!(answer, { "status": "queued", "creditsCharged": price }, "{fields}");
        }
    });
}

#[test]
fn the_id_and_its_header_must_agree() {
    e2e::run(async |world| {
        let order = Order::new(world).await;
        for key in [Uuid::new_v4().to_string(), "x".to_owned()] {
            let refusal =
                order.run(world).header("idempotency-key", &key).refused(400, "bad_request").await;
            let message = refusal["message"].as_str().unwrap_or_default();
            assert!(message.contains("Idempotency-Key"), "{message}");
        }
        assert_nothing_happened(world, &order).await;
        let answer = order
            .run(world)
            .header("idempotency-key", &order.job.to_string().to_uppercase())
            .ok()
            .await;
        assert_eq!(answer["jobId"], json!(order.job));
        order.assert_completed(world).await;
    });
}

#[test]
fn a_body_is_an_object_of_clean_text() {
    e2e::run(async |world| {
        let order = Order::new(world).await;
        let url = order.body["imageUrl"].as_str().expect("a URL");
        let field = |name: &str, value: &str| {
            format!("{{\"imageUrl\":\"{url}\",\"jobId\":\"{}\",\"{name}\":{value}}}", order.job)
                .into_bytes()
        };
        let mut not_utf8 = field("prompt", "\"x\"");
        let at = not_utf8.iter().rposition(|byte| *byte == b'x').expect("an x");
        not_utf8[at] = 0xff;
        let refused = [
            field("prompt", "\"a\\u0000b\""),
            field("sessionId", "\"\\u0000\""),
            field("category", "\"x\\u0000\""),
            field("prompt", "\"\\ud800\""),
            field("prompt", "\"\\udc00x\""),
            b"[]".to_vec(),
            b"\"x\"".to_vec(),
            b"null".to_vec(),
            b"{".to_vec(),
            b"imageUrl=x".to_vec(),
            format!("[{}", "[".repeat(100_000)).into_bytes(),
        ];
        for body in refused {
            let shown = String::from_utf8_lossy(&body).chars().take(80).collect::<String>();
            let answer = world
                .call(RUN)
                .by(&order.user)
                .header("content-type", "application/json")
                .body(body)
                .send()
                .await;
            assert_eq!(answer.status, 400, "{shown}: {}", answer.text);
            answer.expect_refusal(400, "bad_request");
        }
        let large = field("prompt", &format!("\"{}\"", "x".repeat(300 * 1024)));
        world.call(RUN).by(&order.user).body(large).refused(413, "payload_too_large").await;
        assert_nothing_happened(world, &order).await;
        // A body that is not UTF-8 is refused, or read with replacement characters; it is no
        // internal error.
        let answer = world.call(RUN).by(&order.user).body(not_utf8).send().await;
        assert!(matches!(answer.status, 200 | 400), "{answer:?}");
    });
}

#[test]
fn pictures_lie_in_the_callers_own_folder() {
    e2e::run(async |world| {
        let order = Order::new(world).await;
        let other = Order::new(world).await;
        let origin = &world.stack().info().url;
        let (me, you) = (order.user.id, other.user.id);
        let own = order.body["imageUrl"].as_str().expect("a URL");
        let object = |path: &str| format!("{origin}/storage/v1/object/{path}");
        let cases = [
            other.body["imageUrl"].as_str().expect("a URL").to_owned(),
            object(&format!("public/uploads/{me}/{}/missing.png", Uuid::new_v4())),
            object(&format!("uploads/{me}/missing.png")),
            object(&format!("public/results/{you}/x.png")),
            object(&format!("public/secrets/{me}/x.png")),
            object(&format!("public/uploads/{me}/../{you}/x.png")),
            object(&format!("public/uploads/{me}/%2e%2e/{you}/x.png")),
            object(&format!("public/uploads/{me}/..%2f{you}/x.png")),
            object(&format!("public/uploads/{me}")),
            object(&format!("sign/uploads/{me}/x.png")),
            format!("{origin}/rest/v1/jobs"),
            format!("{origin}/"),
            own.replace("http://", "https://"),
            own.replace("http://", "ftp://"),
            own.replace("http://", "http://user@"),
            own.replace("http://", "http://user:word@"),
            own.replace("127.0.0.1", "localhost"),
            own.replace("127.0.0.1", "127.0.0.1.evil.example"),
            format!("{own}?{}", "x".repeat(2048)),
        ];
        // None of these names is one of the user's objects: some cannot be decoded, some must not
        // be decoded twice, and the others do not exist.
        let odd = [
            "%c0%ae",
            "%",
            "%2",
            "%zz",
            "a%",
            "%00",
            "%01",
            "%0a",
            "%7f",
            "%ff",
            "%ed%a0%80",
            "%e2%82",
            "%u0041",
            "..%c0%afx",
            "%25%00",
            "%252e%252e%252fx",
            "%20",
            "a%20b",
            "~",
            ";x=1",
            "x:y",
            "[x]",
            "x|y",
            "😀",
            "%F0%9F%98%80",
        ];
        let cases =
            cases.into_iter().chain(odd.map(|name| object(&format!("public/uploads/{me}/{name}"))));
        for url in cases {
            assert_refused(world, &order, &json!({ "imageUrl": url }), "imageUrl").await;
        }
        assert_nothing_happened(world, &order).await;
        assert_eq!(world.provider_log().await.len(), 0, "the provider heard of none of them");
    });
}

#[test]
fn pictures_elsewhere_only_on_allowed_hosts() {
    e2e::run(async |world| {
        let hosts =
            format!("{},pics.example", world.stack().info().url.trim_start_matches("http://"));
        let hosts = BTreeMap::from([("ALLOWED_INPUT_HOSTS".to_owned(), Some(hosts))]);
        world.restart_workers(BTreeMap::from([("runninghub-upscaler".to_owned(), hosts)])).await;
        world
            .script(json!({ "runninghub": { "all": true, "hang": true, "cancellable": true } }))
            .await;
        let order = Order::new(world).await;
        for url in [
            "https://evilpics.example/a.png",
            "https://pics.example.evil/a.png",
            "https://pics.example:8443/a.png",
            "https://user@pics.example/a.png",
            "https://user:word@pics.example/a.png",
            "https://pics.example@evil.example/a.png",
            "http://pics.example/a.png",
            "http://169.254.169.254/latest/meta-data",
            "https://169.254.169.254/latest/meta-data",
            "https://[::1]/a.png",
            "https://example/a.png",
            "file:///etc/passwd",
            "data:image/png;base64,AAAA",
            "pics.example/a.png",
            "//pics.example/a.png",
        ] {
            assert_refused(world, &order, &json!({ "imageUrl": url }), "imageUrl").await;
        }
        assert_nothing_happened(world, &order).await;
        for url in [
            "https://pics.example/a.png",
            "https://eu.pics.example/a.png?sig=1",
            "https://PICS.example:443/a.png",
        ] {
            let order = Order::of(world.new_user(60).await, url);
            order.starts(world).await;
            let task = order.task(world).await;
            world.admin_cancels("upscaler_jobs", order.job).await;
            until_cancelled_at_provider(world, &task).await;
        }
    });
}
