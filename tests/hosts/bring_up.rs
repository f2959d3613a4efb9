//! `deploy`'s part in the database: one call brings up a project in which nothing of ours is
//! installed. A second call changes nothing, one that breaks off can be repeated, and nothing of
//! the project's own is overwritten.

use serde_json::{Value, json};
use stand_ins::management::HostedApi;
use unstuck_tests::Session;
use unstuck_tests::bare_project::{BareDatabase, BareProject};
use unstuck_tests::pg_cron;
use unstuck_tests::wire_cut::WireCut;
use xtask::deploy::deployment::Deployment;
use xtask::deploy::project::{BringUp, ProjectAct, bring_up};
use xtask::migration::Project;
use xtask::postgres;

const EMAIL: &str = "owner@example.com";
const TOKEN: &str = "sbp_0123456789abcdef";
/// The schemas that a project exposes by default.
const DEFAULT: &str = "public, graphql_public";

/// The settings of a deployment whose API tells which schemas it exposes.
fn settings(database: &BareDatabase<'_>, api: &HostedApi) -> Deployment {
    settings_at(database.url(), api)
}

fn settings_at(database_url: String, api: &HostedApi) -> Deployment {
    let mut deployment = Deployment { name: "shop".to_owned(), ..Deployment::default() };
    deployment.admin_email = Some(EMAIL.to_owned());
    deployment.access.database_url = database_url;
    let secrets = [("SUPABASE_SERVICE_ROLE_KEY", "sb_secret_1")];
    deployment.secrets = secrets.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let url = api.url();
    let vars = [("DEPLOYMENT_ID", "shop"), ("SUPABASE_URL", &url), ("RESULTS_BUCKET", "results")];
    deployment.vars = vars.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    deployment
}

async fn api() -> HostedApi {
    HostedApi::start("abc", TOKEN, DEFAULT).await.unwrap()
}

async fn sign_up(database: &BareDatabase<'_>, confirmed: &str) {
    let sql = format!(
        "insert into auth.users (email, email_confirmed_at) values ('{EMAIL}', {confirmed})"
    );
    database.exec(&sql).await;
}

async fn brought_up(deployment: &Deployment) -> Vec<ProjectAct> {
    let acts = bring_up(deployment, BringUp::default()).await;
    acts.unwrap_or_else(|error| panic!("{error:#}"))
}

async fn refused(deployment: &Deployment) -> String {
    format!("{:#}", bring_up(deployment, BringUp::default()).await.unwrap_err())
}

/// What was changed, or would be changed.
fn changed(acts: &[ProjectAct]) -> Vec<&str> {
    acts.iter().filter(|act| act.done).map(|act| act.what.as_str()).collect()
}

/// What is left to do by hand.
fn left(acts: &[ProjectAct]) -> Vec<&str> {
    acts.iter().filter_map(|act| act.by_hand.as_deref()).collect()
}

/// PostgREST's list in the settings of its role, for all databases and for this one.
async fn lists(database: &BareDatabase<'_>) -> Vec<Value> {
    let sql = "select s.setdatabase <> 0 as here, c.setting from pg_db_role_setting s
        cross join unnest(s.setconfig) as c (setting)
        where s.setrole = 'authenticator'::regrole and c.setting like 'pgrst.%'
          and (s.setdatabase = 0
            or s.setdatabase = (select oid from pg_database where datname = current_database()))
        order by 1";
    database.rows(sql).await
}

fn exposed_everywhere() -> [Value; 1] {
    [json!({"here": false, "setting": "pgrst.db_schemas=public, graphql_public, unstuck"})]
}

/// The rows and objects that the calls make, the migrations by their hashes.
async fn end(database: &BareDatabase<'_>) -> Value {
    let sql = "select jsonb_build_object(
        'history', (select jsonb_agg(m.hash order by number) from unstuck_private.migrations m),
        'owner', (select jsonb_agg(to_jsonb(d)) from unstuck_private.deployment d),
        'admins', (select jsonb_agg(to_jsonb(r)) from unstuck.user_roles r),
        'policies', (select jsonb_agg(polname) from pg_policy
            where polrelid = 'storage.objects'::regclass),
        'buckets', (select jsonb_agg(to_jsonb(b) - 'created_at' - 'updated_at' order by id)
            from storage.buckets b)) as whole";
    let mut end = database.value(sql).await;
    end["lists"] = json!(lists(database).await);
    end
}

async fn reset_lists(database: &BareDatabase<'_>) {
    database.exec("alter role authenticator reset pgrst.db_schemas").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bare_project_is_brought_up_and_a_second_run_changes_nothing() {
    let (project, api) = (BareProject::start().await, api().await);
    let database = project.database().await;
    sign_up(&database, "now()").await;
    let deployment = settings(&database, &api);

    let plan = BringUp { plan_only: true, ..BringUp::default() };
    let planned = bring_up(&deployment, plan.clone()).await.unwrap();
    assert_eq!(database.value("select to_regnamespace('unstuck')").await, Value::Null);
    assert_eq!((lists(&database).await, database.count("storage.buckets").await), (vec![], 0));

    let acts = brought_up(&deployment).await;
    assert_eq!(left(&acts), [""; 0]);
    assert!(acts.iter().all(|act| act.done && act.undo.is_some()), "{acts:#?}");
    let migrations = Project::here().migrations().unwrap().len();
    assert_eq!(acts.len(), migrations + 6, "{acts:#?}");
    assert_eq!(planned.len(), acts.len(), "{planned:#?}");

    let end = end(&database).await;
    let owner = json!([{"id": "shop", "supabase_url": api.url(), "uploads_bucket": "uploads",
        "results_bucket": "results"}]);
    assert_eq!(end["owner"], owner);
    assert_eq!(end["lists"], json!(exposed_everywhere()));
    assert_eq!(end["policies"], json!(["unstuck uploads insert"]));
    assert_eq!(end["admins"].as_array().map(Vec::len), Some(1));
    let sizes = [("results", 512 * 1024 * 1024), ("uploads", 50 * 1024 * 1024)];
    for (bucket, (id, limit)) in end["buckets"].as_array().unwrap().iter().zip(sizes) {
        assert_eq!((&bucket["id"], &bucket["file_size_limit"]), (&json!(id), &json!(limit)));
    }

    let again = brought_up(&deployment).await;
    assert_eq!((changed(&again), left(&again)), (vec![], vec![]));
    assert_eq!(changed(&bring_up(&deployment, plan).await.unwrap()), [""; 0]);
    assert_eq!(self::end(&database).await, end);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bucket_of_uploads_has_the_name_of_the_setting() {
    let (project, api) = (BareProject::start().await, api().await);
    let database = project.database().await;
    sign_up(&database, "now()").await;
    let mut deployment = settings(&database, &api);
    let policy = "select pg_get_expr(polwithcheck, polrelid) from pg_policy
        where polrelid = 'storage.objects'::regclass";
    let of_the_app =
        "insert into storage.buckets (id, name, public) values ('media', 'media', true)";
    database.exec(of_the_app).await;
    // The files of a bucket of the app look abandoned to us, and are kept.
    for (name, former, is_deleted) in
        [("inputs", None, 1), ("media", Some("inputs"), 0), ("inputs", Some("media"), 0)]
    {
        deployment.vars.insert("UPLOADS_BUCKET".to_owned(), name.to_owned());
        let plan = BringUp { plan_only: true, ..BringUp::default() };
        bring_up(&deployment, plan).await.unwrap();
        let acts = brought_up(&deployment).await;
        let buckets = format!("storage.buckets where id = '{name}' and public");
        assert_eq!(database.count(&buckets).await, 1);
        let allowed = database.value(policy).await;
        assert!(allowed.to_string().contains(&format!("'{name}'")), "{allowed}");
        let abandoned =
            "unstuck.retention where kind = 'abandoned_uploads' and keep = interval '7 days'";
        assert_eq!(database.count(abandoned).await, is_deleted, "{name}");
        let row = "select uploads_bucket from unstuck_private.deployment";
        assert_eq!(database.value(row).await, name);
        let left = match former {
            Some(former) => {
                format!(
                    "In the dashboard, Storage: empty the bucket `{former}` when no job needs it"
                )
            }
            None => "In the dashboard, Storage: delete the bucket `uploads`".to_owned(),
        };
        assert_eq!(self::left(&acts), [left]);
        let policy = acts.iter().find(|act| act.what.starts_with("the policy")).unwrap();
        assert!(policy.done);
        database.exec(policy.undo.as_ref().unwrap()).await;
        assert_eq!(
            changed(&brought_up(&deployment).await),
            ["the policy \"unstuck uploads insert\""]
        );
        assert_eq!(changed(&brought_up(&deployment).await), [""; 0]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pg_cron_that_is_turned_on_later_gets_our_job_with_the_next_deploy() {
    let Some(server) = pg_cron::server("pg_cron turned on after the first deploy").await else {
        return;
    };
    let (url, api) = (server.url("postgres"), api().await);
    let platform = xtask::paths::root().join("supabase/local/platform.sql");
    postgres::apply(&postgres::connect(&url).await.unwrap(), &[platform]).await.unwrap();
    let (database, deployment) = (Session::connect(&url).await, settings_at(url, &api));
    brought_up(&deployment).await;

    database.exec("create extension pg_cron").await;
    let ours = "select jsonb_agg(active) from cron.job where jobname = 'unstuck-cleanup'";
    let plan = BringUp { plan_only: true, ..BringUp::default() };
    let scheduled = ["the SQL healer each minute, in pg_cron"];
    assert_eq!(changed(&bring_up(&deployment, plan).await.unwrap()), scheduled);
    assert_eq!(database.value(ours).await, Value::Null);
    let acts = brought_up(&deployment).await;
    assert_eq!(changed(&acts), scheduled);
    assert_eq!(database.value(ours).await, json!([true]));

    // A job that somebody has paused stays paused.
    database.exec("update cron.job set active = false where jobname = 'unstuck-cleanup'").await;
    assert_eq!(changed(&brought_up(&deployment).await), [""; 0]);
    assert_eq!(database.value(ours).await, json!([false]));

    let undo = acts.iter().find(|act| act.done).and_then(|act| act.undo.as_deref());
    database.exec(undo.expect("an undo")).await;
    assert_eq!(database.value(ours).await, Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_project_exposes_is_kept_wherever_it_is_written() {
    let (project, api) = (BareProject::start().await, api().await);
    let database = project.database().await;
    sign_up(&database, "now()").await;
    let deployment = settings(&database, &api);
    brought_up(&deployment).await;
    assert_eq!(lists(&database).await, exposed_everywhere());
    reset_lists(&database).await;

    // If the role has a list for this database, that list counts, and the schema is added to it.
    let platform = database.platform().await;
    let here = database.value("select current_database()").await;
    let here = here.as_str().unwrap();
    platform.exec("alter role authenticator set pgrst.db_schemas = 'everywhere'").await;
    let own = format!("alter role authenticator in database {here} set pgrst.db_schemas");
    platform.exec(&format!("{own} = 'public,api'")).await;
    let acts = brought_up(&deployment).await;
    let [act] = &acts.iter().filter(|act| act.done).collect::<Vec<_>>()[..] else {
        panic!("{acts:#?}")
    };
    let both = [
        json!({"here": false, "setting": "pgrst.db_schemas=everywhere"}),
        json!({"here": true, "setting": "pgrst.db_schemas=public,api, unstuck"}),
    ];
    assert_eq!(lists(&database).await, both);
    database.exec(act.undo.as_deref().unwrap()).await;
    assert_eq!(lists(&database).await[1]["setting"], "pgrst.db_schemas=public,api");

    // Otherwise the role's own list counts.
    platform.exec(&format!("alter role authenticator in database {here} reset all")).await;
    brought_up(&deployment).await;
    let all = [json!({"here": false, "setting": "pgrst.db_schemas=everywhere, unstuck"})];
    assert_eq!(lists(&database).await, all);
    assert_eq!(changed(&brought_up(&deployment).await), [""; 0]);

    // If no API tells which schemas are exposed, nothing is changed.
    reset_lists(&database).await;
    let mut silent = deployment.clone();
    silent.vars.insert("SUPABASE_URL".to_owned(), "http://127.0.0.1:9".to_owned());
    let how = BringUp { take_over: true, ..BringUp::default() };
    let acts = bring_up(&silent, how).await.unwrap();
    let [by_hand] = left(&acts)[..] else { panic!("{acts:#?}") };
    assert!(by_hand.contains("add `unstuck`"), "{by_hand}");
    assert_eq!(lists(&database).await, Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_token_the_dashboards_own_list_is_added_to() {
    let (project, api) = (BareProject::start().await, api().await);
    let database = project.database().await;
    let mut deployment = settings(&database, &api);
    deployment.vars.insert("SUPABASE_URL".to_owned(), "https://abc.supabase.co".to_owned());
    deployment.access.supabase_token = Some("sbp_wrong".to_owned());
    let how = BringUp { management_url: api.url(), ..BringUp::default() };

    let error = format!("{:#}", bring_up(&deployment, how.clone()).await.unwrap_err());
    assert!(error.contains("SUPABASE_ACCESS_TOKEN is refused"), "{error}");
    assert!(error.starts_with("after: the migration 0001_unstuck.sql"), "{error}");
    assert!(!error.contains("sbp_wrong"), "{error}");

    deployment.access.supabase_token = Some(TOKEN.to_owned());
    let acts = bring_up(&deployment, how.clone()).await.unwrap();
    assert_eq!(api.changes(), [json!({"db_schema": "public, graphql_public, unstuck"})]);
    assert_eq!(lists(&database).await, Vec::<Value>::new(), "{acts:#?}");
    bring_up(&deployment, how.clone()).await.unwrap();
    assert_eq!(api.changes().len(), 1);

    // A list of the role hides the dashboard's list.
    database.exec("alter role authenticator set pgrst.db_schemas = 'public'").await;
    bring_up(&deployment, how).await.unwrap();
    assert_eq!(
        (lists(&database).await[0]["setting"].as_str(), api.changes().len()),
        (Some("pgrst.db_schemas=public, unstuck"), 1)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_exists_keeps_its_settings_and_what_does_not_fit_is_told() {
    let (project, api) = (BareProject::start().await, api().await);
    let database = project.database().await;
    let buckets = "insert into storage.buckets
            (id, name, public, file_size_limit, allowed_mime_types)
        values ('uploads', 'uploads', true, 1048576, null),
            ('results', 'results', false, null, array['image/*'])";
    database.exec(buckets).await;
    let kept = "select id, public, file_size_limit, allowed_mime_types from storage.buckets
        order by id";
    let before = database.rows(kept).await;
    let acts = brought_up(&settings(&database, &api)).await;
    assert_eq!(database.rows(kept).await, before);
    let mut told = left(&acts);
    told.retain(|text| text.contains("storage.buckets"));
    assert_eq!(
        told,
        [
            "update storage.buckets set file_size_limit = 52428800 where id = 'uploads';",
            "update storage.buckets set public = true where id = 'results';",
            "update storage.buckets set allowed_mime_types = allowed_mime_types || \
            array['video/mp4'] where id = 'results';",
        ]
    );
    for statement in told {
        database.exec(statement).await;
    }
    let acts = brought_up(&settings(&database, &api)).await;
    assert!(left(&acts).iter().all(|text| !text.contains("storage.buckets")), "{acts:#?}");
}

/// Brings a project up over a connection that breaks off after so many statements. Returns whether
/// it succeeded, and the statements that were sent.
async fn cut(project: &BareProject, deployment: &Deployment, most: usize) -> (bool, Vec<String>) {
    let wire = WireCut::after(most, project.port()).await;
    let mut through = deployment.clone();
    let direct = format!(":{}/", project.port());
    let own = format!(":{}/", wire.port());
    through.access.database_url = deployment.access.database_url.replace(&direct, &own);
    let done = bring_up(&through, BringUp::default()).await;
    (done.is_ok(), wire.statements().await)
}

/// The run breaks off after each statement behind the migrations, and after some of theirs:
/// `broken_off` tests all of those.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_breaks_off_at_any_statement_is_repeated_to_the_same_end() {
    let (project, api) = (BareProject::start().await, api().await);
    let before = project.database().await;
    sign_up(&before, "now()").await;
    let before = before.copy().await;
    let whole = before.copy().await;
    let (done, statements) = cut(&project, &settings(&whole, &api), usize::MAX).await;
    assert!(done);
    let wanted = end(&whole).await;
    reset_lists(&whole).await;

    let is_history = |text: &String| text.contains("insert into unstuck_private.migrations");
    let after = 1 + statements.iter().rposition(is_history).unwrap();
    let within = [3, after / 3, after - 1];
    assert!(statements.len() > after + 15, "{statements:#?}");
    for most in within.into_iter().chain(after..statements.len()) {
        let database = before.copy().await;
        let deployment = settings(&database, &api);
        let (done, sent) = cut(&project, &deployment, most).await;
        assert!(!done && sent.len() == most, "{most} of {}", statements.len());
        let acts = brought_up(&deployment).await;
        assert_eq!(left(&acts), [""; 0], "{most}");
        assert_eq!(end(&database).await, wanted, "after {:?}", sent.last());
        reset_lists(&database).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_without_rights_is_told_the_statements_to_send() {
    let (project, api) = (BareProject::start().await, api().await);
    let database = project.database().await;
    sign_up(&database, "now()").await;
    let platform = database.platform().await;
    platform
        .exec(
            "revoke all on storage.buckets, auth.users from postgres, anon, authenticated,
                service_role;
            grant select on storage.buckets to postgres;
            revoke platform_policies, authenticator, pg_read_all_data from postgres;
            revoke set on parameter \"pgrst.db_schemas\" from postgres",
        )
        .await;
    let deployment = settings(&database, &api);
    let acts = brought_up(&deployment).await;
    assert_eq!(left(&acts).len(), 5, "{acts:#?}");
    for told in left(&acts) {
        // A warning ends with the statement to run.
        let statement = told
            .split_once("As who owns ")
            .map_or(told, |(_, rest)| rest.split_once(": ").unwrap().1);
        platform.exec(statement).await;
    }
    let again = brought_up(&deployment).await;
    assert_eq!(changed(&again), [""; 0]);
    assert_eq!(lists(&database).await, exposed_everywhere());
    assert_eq!(platform.count("unstuck.user_roles").await, 1);
    assert_eq!(platform.count("storage.buckets").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_another_deployment_is_refused_until_it_is_taken_over() {
    let (project, api) = (BareProject::start().await, api().await);
    let original = project.database().await;
    let production = settings(&original, &api);
    brought_up(&production).await;
    let copy = original.copy().await;
    let mut staging = settings(&copy, &api);
    staging.name = "staging".to_owned();
    staging.vars.insert("DEPLOYMENT_ID".to_owned(), "staging".to_owned());
    let before = end(&copy).await;

    let error = refused(&staging).await;
    for word in ["`shop`", "`staging`", "cargo xtask deploy staging --take-over"] {
        assert!(error.contains(word), "{error}");
    }
    // A database with the same name in another project is a copy as well.
    let mut moved = settings(&copy, &api);
    moved.vars.insert("SUPABASE_URL".to_owned(), "http://elsewhere.test".to_owned());
    assert!(refused(&moved).await.contains("http://elsewhere.test"));
    assert_eq!(end(&copy).await, before);

    let how = BringUp { take_over: true, ..BringUp::default() };
    let acts = bring_up(&staging, how.clone()).await.unwrap();
    let [act] = &acts.iter().filter(|act| act.done).collect::<Vec<_>>()[..] else {
        panic!("{acts:#?}")
    };
    assert!(act.what.contains("no more to `shop`") && act.what.contains("0 live jobs"));
    assert_eq!(end(&copy).await["owner"][0]["id"], "staging");
    assert_eq!(changed(&bring_up(&staging, how).await.unwrap()), [""; 0]);
    copy.exec(act.undo.as_deref().unwrap()).await;
    assert_eq!(end(&copy).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_admin_is_a_confirmed_user_and_not_against_the_apps_own_roles() {
    let (project, api) = (BareProject::start().await, api().await);
    let database = project.database().await;
    let deployment = settings(&database, &api);
    let acts = brought_up(&deployment).await;
    assert_eq!(left(&acts), ["Sign up with it, then deploy once more."]);

    sign_up(&database, "null").await;
    assert_eq!(left(&brought_up(&deployment).await).len(), 1, "whoever typed the address");
    assert_eq!(database.count("unstuck.user_roles").await, 0);

    database
        .exec(
            "update auth.users set email_confirmed_at = now();
            create table public.admins (id uuid);
            drop function if exists public.has_role(uuid, unstuck.app_role);
            create function public.has_role(_user_id uuid, _role text) returns boolean
            language sql stable as 'select exists (select from public.admins where id = $1)'",
        )
        .await;
    let acts = brought_up(&deployment).await;
    let [by_hand] = left(&acts)[..] else { panic!("{acts:#?}") };
    assert!(by_hand.contains("public.has_role("), "{by_hand}");
    assert_eq!(database.count("unstuck.user_roles").await, 0);
    database.exec("insert into public.admins select id from auth.users").await;
    assert_eq!(left(&brought_up(&deployment).await), [""; 0]);
}

#[tokio::test]
async fn addresses_that_cannot_serve_are_refused_and_show_no_password() {
    let mut deployment = Deployment::default();
    for (url, words) in [
        ("postgres://postgres:hush@127.0.0.1:6543/postgres", "session pooler"),
        ("postgres://postgres:hush@127.0.0.1:9/postgres", "cannot connect to 127.0.0.1"),
        ("postgres//hush", "no address of a database"),
    ] {
        deployment.access.database_url = url.to_owned();
        let error = refused(&deployment).await;
        assert!(error.contains(words) && !error.contains("hush"), "{error}");
    }
}
