//! Storage that deletes: what a call must look like, who may delete what, and what keeps whom.

use crate::running::{OTHER, Running, USER, png};
use crate::storage::{at, send, start_with_database};
use serde_json::{Value, json};

/// Uploads these files to `uploads` with the service key.
async fn fill(running: &Running, names: &[&str]) {
    for name in names {
        let upload = running.client.post(at(running, &format!("uploads/{name}")));
        let upload = upload.header("content-type", "image/png").header("apikey", "service-key");
        assert_eq!(send(upload.body(png(2, 2))).await.0, 200, "{name}");
    }
}

async fn delete(running: &Running, key: &str, body: &Value) -> (u16, Value) {
    let request = running.client.delete(at(running, "uploads")).json(body);
    send(request.header("apikey", key)).await
}

/// The names that an answer says are gone.
fn gone(answer: &(u16, Value)) -> Vec<&str> {
    assert_eq!(answer.0, 200, "{answer:?}");
    answer.1.as_array().unwrap().iter().map(|object| object["name"].as_str().unwrap()).collect()
}

async fn is_there(running: &Running, name: &str) -> bool {
    let read = running.client.get(at(running, &format!("public/uploads/{name}")));
    read.send().await.unwrap().status() == 200
}

/// supabase/storage, deleteObjects.ts and limits.ts.
#[tokio::test]
async fn a_deletion_names_1_to_1000_texts_and_answers_what_was_there() {
    let (running, _database) = start_with_database().await;
    fill(&running, &["a/1.png", "a/2.png"]).await;
    for body in [
        json!({}),
        json!([]),
        json!({"prefixes": []}),
        json!({"prefixes": "a/1.png"}),
        json!({"prefixes": ["a/1.png", 7]}),
        json!({"prefixes": ["a/1.png", null]}),
        json!({"prefixes": vec!["a/1.png"; 1001]}),
    ] {
        let (status, refused) = delete(&running, "service-key", &body).await;
        assert_eq!((status, &refused["statusCode"]), (400, &json!("400")), "{body}");
    }
    let untyped = running.client.delete(at(&running, "uploads")).header("apikey", "service-key");
    assert_eq!(send(untyped.body(r#"{"prefixes":["a/1.png"]}"#)).await.0, 400);
    assert!(is_there(&running, "a/1.png").await, "a refusal deletes nothing");
    // A folder, a name that no object can have and one that none has.
    let some = json!({"prefixes": ["a/", "..", "a/none.png", "a/1.png", "a/1.png"]});
    assert_eq!(gone(&delete(&running, "service-key", &some).await), ["a/1.png"]);
    assert!(is_there(&running, "a/2.png").await);
    let elsewhere = running.client.delete(at(&running, "nowhere")).header("apikey", "service-key");
    assert_eq!(gone(&send(elsewhere.json(&some)).await), [""; 0]);
}

#[tokio::test]
async fn a_file_that_the_database_keeps_keeps_all_that_are_named_with_it() {
    let (running, database) = start_with_database().await;
    fill(&running, &["a/1.png", "a/kept.png", "a/silent.png"]).await;
    let trigger = "create function keep() returns trigger language plpgsql as $$ begin
            if old.name = 'a/kept.png' then raise exception 'kept'; end if;
            return case when old.name = 'a/silent.png' then null else old end;
        end $$;
        create trigger keep before delete on storage.objects
        for each row execute function keep()";
    database.exec(trigger).await;
    let all = json!({"prefixes": ["a/1.png", "a/kept.png", "a/silent.png"]});
    let (status, refused) = delete(&running, "service-key", &all).await;
    assert_eq!((status, &refused["code"]), (500, &json!("DatabaseError")));
    for name in ["a/1.png", "a/kept.png", "a/silent.png"] {
        assert!(is_there(&running, name).await, "{name}");
    }
    let others = json!({"prefixes": ["a/1.png", "a/silent.png"]});
    assert_eq!(gone(&delete(&running, "service-key", &others).await), ["a/1.png"]);
    assert!(is_there(&running, "a/silent.png").await, "which the answer does not name");
    // A table of the app that names files.
    let references = "drop trigger keep on storage.objects;
        create table pictures (object uuid references storage.objects);
        create function refer() returns trigger language plpgsql security definer as $$ begin
            insert into public.pictures values (new.id);
            return new;
        end $$;
        create trigger refer after insert on storage.objects
        for each row execute function refer()";
    database.exec(references).await;
    let (status, refused) = delete(&running, "service-key", &all).await;
    assert_eq!((status, &refused["statusCode"]), (400, &json!("409")), "{refused}");
    assert_eq!(refused["code"], "ResourceReferenced");
    assert_eq!(database.count("storage.objects").await, 0, "the attempt is rolled back");
}

#[tokio::test]
async fn a_user_deletes_what_a_policy_shows_and_lets_go() {
    let (running, database) = start_with_database().await;
    let (mine, others) = (format!("{USER}/a.png"), format!("{OTHER}/a.png"));
    fill(&running, &[&mine, &others]).await;
    let token = running.sign_in("user1@example.com").await;
    let by_user = async || {
        let request = running.client.delete(at(&running, "uploads")).bearer_auth(&token);
        send(request.json(&json!({"prefixes": [mine, others]}))).await
    };
    assert_eq!(gone(&by_user().await), [""; 0], "no policy lets a user delete");
    let one = running.client.delete(at(&running, &format!("uploads/{mine}"))).bearer_auth(&token);
    assert_eq!(send(one).await.1["statusCode"], "403");
    database
        .exec(
            "create policy seen on storage.objects for select to authenticated using (true);
            create policy own on storage.objects for delete to authenticated
            using (auth.uid()::text = (storage.foldername(name))[1])",
        )
        .await;
    assert_eq!(gone(&by_user().await), [mine.as_str()]);
    assert!(is_there(&running, &others).await);
    let one = |name: &str| {
        let request = running.client.delete(at(&running, &format!("uploads/{name}")));
        send(request.bearer_auth(&token))
    };
    assert_eq!(one(&mine).await.1["statusCode"], "404");
    assert_eq!(one(&others).await.1["statusCode"], "403");
}
