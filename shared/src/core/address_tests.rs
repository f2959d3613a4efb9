//! Tests which URLs are our own, and which may be read.

use super::{InputUrl, input, output};
use crate::core::config::Config;
use crate::core::id::UserId;

const ME: &str = "00000000-0000-4000-8000-000000000001";

fn config(base: &str, inputs: &[&str]) -> Config {
    let list = |hosts: &[&str]| hosts.iter().map(|host| (*host).to_owned()).collect();
    Config {
        supabase_url: Some(base.to_owned()),
        allowed_input_hosts: list(inputs),
        provider_output_hosts: list(&["cdn.example", "127.0.0.1:54323"]),
        uploads_bucket: "uploads".to_owned(),
        results_bucket: "results".to_owned(),
        ..Config::default()
    }
}

fn check(text: &str) -> Result<InputUrl, &'static str> {
    input(text, UserId::parse(ME).unwrap(), &config("https://p.supabase.test", &["pics.example"]))
}

/// Source: RunningHub's v2 reference and the settings of public clients.
#[test]
fn r02_the_buckets_of_runninghub_are_in_the_shipped_wrangler_toml() {
    let shipped = include_str!("../../../wrangler.toml");
    let values = shipped.lines().filter_map(|line| {
        let hosts = line.strip_prefix("PROVIDER_OUTPUT_HOSTS = \"")?.strip_suffix('"')?;
        hosts.contains("runninghub").then_some(hosts)
    });
    let mut count = 0;
    for hosts in values {
        let provider_output_hosts = hosts.split(',').map(str::to_owned).collect();
        let config = Config { provider_output_hosts, ..Config::default() };
        for host in [
            "rh-images-1252422369.cos.ap-beijing.myqcloud.com",
            "rh-hk-images-1252422369.cos.ap-hongkong.myqcloud.com",
            "rh-images-switch-1252422369.cos.ap-guangzhou.myqcloud.com",
            "rh-images.xiaoyaoyou.com",
        ] {
            assert!(output(&format!("https://{host}/a/b.png"), &config).is_ok(), "{host}");
        }
        for host in ["evil-1252422369.cos.ap-beijing.myqcloud.com", "myqcloud.com"] {
            assert!(output(&format!("https://{host}/a/b.png"), &config).is_err(), "{host}");
        }
        count += 1;
    }
    assert!(count > 3, "each function that copies results names the hosts");
}

#[test]
fn own_objects_pass_in_both_spellings_and_become_public_urls() {
    for prefix in ["", "public/"] {
        for bucket in ["uploads", "results"] {
            let text = format!(
                "https://p.supabase.test/storage/v1/object/{prefix}{bucket}/{ME}/j/a%20b.png?x"
            );
            let object = format!("{bucket}/{ME}/j/a%20b.png");
            let url = format!("https://p.supabase.test/storage/v1/object/public/{object}");
            assert_eq!(check(&text), Ok(InputUrl::Own { object, url }), "{text}");
        }
    }
}

#[test]
fn only_the_buckets_of_the_settings_hold_own_objects() {
    let config =
        Config { uploads_bucket: "inputs".to_owned(), ..config("https://p.supabase.test", &[]) };
    let me = UserId::parse(ME).unwrap();
    let check = |bucket: &str| {
        let path = format!("storage/v1/object/public/{bucket}/{ME}/a.png");
        input(&format!("https://p.supabase.test/{path}"), me, &config).is_ok()
    };
    assert!(check("inputs") && check("results") && !check("uploads"));
}

/// Source: storage-js, `useNewHostname`.
#[test]
fn c23_the_projects_storage_host_is_our_own() {
    let me = UserId::parse(ME).unwrap();
    let check = |host: &str, owner: &str| {
        let config = config("https://abc.supabase.co", &["abc.storage.supabase.co"]);
        let path = format!("storage/v1/object/public/uploads/{owner}/a.png");
        input(&format!("https://{host}/{path}"), me, &config)
    };
    let object = format!("uploads/{ME}/a.png");
    let url = format!("https://abc.supabase.co/storage/v1/object/public/{object}");
    assert_eq!(check("abc.storage.supabase.co", ME), Ok(InputUrl::Own { object, url }));
    let other = "00000000-0000-4000-8000-000000000002";
    let foreign = Err("is not one of your own uploads");
    assert_eq!(check("abc.storage.supabase.co", other), foreign);
    for host in ["abd.storage.supabase.co", "x.abc.storage.supabase.co", "storage.supabase.co"] {
        assert!(!matches!(check(host, ME), Ok(InputUrl::Own { .. })), "{host}");
    }
}

#[test]
fn our_own_host_refuses_everything_but_the_callers_objects() {
    let other = "00000000-0000-4000-8000-000000000002";
    let object = |path: &str| format!("/storage/v1/object/public/{path}");
    for path in [
        object(&format!("uploads/{other}/a.png")),
        object(&format!("secret/{ME}/a.png")),
        object(&format!("uploads/{ME}/../{other}/a.png")),
        object(&format!("uploads/{ME}/..%2f{other}/a.png")),
        object(&format!("uploads/{ME}/%2e%2e/{other}/a.png")),
        object(&format!("uploads/{ME}\\..\\{other}\\a.png")),
        object(&format!("uploads/{ME}//a.png")),
        object(&format!("uploads/{ME}/")),
        object(&format!("uploads/{ME}")),
        "/rest/v1/jobs".to_owned(),
        String::new(),
    ] {
        assert!(check(&format!("https://p.supabase.test{path}")).is_err(), "{path}");
    }
}

#[test]
fn a_path_that_does_not_decode_to_text_is_refused() {
    for odd in [
        "%c0%ae",
        "%C0%AF",
        "%",
        "%2",
        "%zz",
        "%+1",
        "a%",
        "%00",
        "%01",
        "%0a",
        "%7f",
        "%c2%85",
        "%ff",
        "%fe%ff",
        "%ed%a0%80",
        "%f5%80%80%80",
        "%e2%82",
        "%80",
        "%u0041",
        "%2G",
        "a%e4.png",
    ] {
        let text = format!("https://p.supabase.test/storage/v1/object/public/uploads/{ME}/{odd}");
        assert_eq!(check(&text), Err("is not one of your own uploads"), "{odd}");
    }
    for good in [
        "a%20b.png",
        "%C3%A4.png",
        "%F0%9F%98%80.png",
        "100%25.png",
        "%252e%252e",
        "a+b.png",
        "ä.png",
    ] {
        let text = format!("https://p.supabase.test/storage/v1/object/public/uploads/{ME}/{good}");
        assert!(check(&text).is_ok(), "{good}");
    }
}

#[test]
fn an_entry_without_a_full_domain_allows_no_host() {
    let me = UserId::parse(ME).unwrap();
    for hosts in [".", "..", "", "com", ".com", "localhost", "127"] {
        let config = config("https://p.supabase.test", &[hosts]);
        for host in [
            "evil.example",
            "evil.example.",
            "evil.com",
            "evil.com.",
            "a.localhost",
            "10.0.0.127",
            "x..",
        ] {
            assert!(
                input(&format!("https://{host}/a.png"), me, &config).is_err(),
                "{hosts:?} allows {host}"
            );
        }
    }
}

#[test]
fn other_hosts_pass_only_if_the_setting_names_them() {
    for good in [
        "https://pics.example/a.png",
        "https://eu.pics.example/a.png",
        "https://PICS.example/a.png",
    ] {
        assert!(matches!(check(good), Ok(InputUrl::Other { .. })), "{good}");
    }
    for bad in [
        "https://evilpics.example/a.png",
        "https://pics.example.evil/a.png",
        "https://pics.example:8443/a.png",
        "https://u@pics.example/a.png",
        "https://u:p@pics.example/a.png",
        "http://pics.example/a.png",
        "http://127.0.0.1/a.png",
        "http://169.254.169.254/latest",
        "https://[::1]/a.png",
        "ftp://pics.example/a.png",
        "data:image/png;base64,AAAA",
        "pics.example/a.png",
        "",
    ] {
        assert!(check(bad).is_err(), "{bad}");
    }
    assert_eq!(check(&format!("https://pics.example/{}", "a".repeat(2_048))), Err("is too long"));
}

#[test]
fn loopback_passes_only_if_the_setting_names_host_and_port() {
    let url = format!("http://127.0.0.1:54321/storage/v1/object/public/uploads/{ME}/a.png");
    let me = UserId::parse(ME).unwrap();
    let local = config("http://127.0.0.1:54321", &["127.0.0.1:54321"]);
    assert!(matches!(input(&url, me, &local), Ok(InputUrl::Own { .. })));
    let closed = config("http://127.0.0.1:54321", &[]);
    assert!(input(&url, me, &closed).is_err());
    assert!(input("http://127.0.0.1:54322/a.png", me, &local).is_err());
}

#[test]
fn outputs_pass_only_from_named_hosts() {
    let config = config("https://p.supabase.test", &[]);
    for good in [
        "https://cdn.example/a.png",
        "https://eu.cdn.example/a.png?sig=1",
        "http://127.0.0.1:54323/files/a.png",
    ] {
        assert!(output(good, &config).is_ok(), "{good}");
    }
    for bad in [
        "https://evilcdn.example/a.png",
        "http://cdn.example/a.png",
        "http://127.0.0.1:54322/a.png",
        "https://p.supabase.test/x",
    ] {
        assert!(output(bad, &config).is_err(), "{bad}");
    }
}
