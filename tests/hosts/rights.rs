//! The rights on our objects are the same whatever a project's default privileges are.

use std::collections::BTreeSet;

use unstuck_tests::hosts::{self, App, Host, Rights};

/// The rights on our schemas and fronts as `object: grantee privilege`, with the defaults spelt
/// out.
const RIGHTS_ON_OURS: &str = "
with ours as (
  select oid from pg_namespace where nspname in ('unstuck', 'unstuck_private')
), front as (
  select classoid, objoid from pg_description where description like 'Unstuck front of %'
), object (name, kind, owner, acl) as (
  select 'schema ' || nspname, 'n', nspowner, nspacl from pg_namespace
  where oid in (select oid from ours)
  union all
  select c.oid::regclass::text, case c.relkind when 'S' then 's' else 'r' end, c.relowner, c.relacl
  from pg_class c
  where c.relkind in ('r', 'v', 'm', 'S', 'p')
    and (c.relnamespace in (select oid from ours) or (c.tableoid, c.oid) in (select * from front))
  union all
  select p.oid::regprocedure::text, 'f', p.proowner, p.proacl from pg_proc p
  where p.pronamespace in (select oid from ours) or (p.tableoid, p.oid) in (select * from front)
  union all
  select t.oid::regtype::text, 'T', t.typowner, t.typacl from pg_type t
  where t.typelem = 0 and t.typrelid = 0
    and (t.typnamespace in (select oid from ours) or (t.tableoid, t.oid) in (select * from front))
), each as (
  select o.name, (aclexplode(coalesce(o.acl, acldefault(o.kind::\"char\", o.owner)))).*, o.owner
  from object o
  union all
  select format('%s.%s', a.attrelid::regclass, a.attname), (aclexplode(a.attacl)).*, c.relowner
  from pg_attribute a join pg_class c on c.oid = a.attrelid
  where a.attacl is not null and c.relnamespace in (select oid from ours)
)
select format('%s: %s %s%s', name, coalesce(r.rolname, 'public'), lower(privilege_type),
  case when is_grantable then ' with grant option' end) as line
from each left join pg_roles r on r.oid = grantee
where grantee <> owner";

async fn lines(host: &Host) -> BTreeSet<String> {
    host.exec("set search_path = ''").await;
    host.texts(RIGHTS_ON_OURS).await.into_iter().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn rights_on_ours_are_the_same_whatever_is_granted_by_default() {
    for app in hosts::APPS {
        let open = lines(&Host::installed(app, Rights::Open).await).await;
        assert!(open.len() > 100, "{}", open.len());
        for rights in [Rights::Closed, Rights::Global] {
            let other = lines(&Host::installed(app, rights).await).await;
            let differ: Vec<_> = open.symmetric_difference(&other).collect();
            assert_eq!(differ, Vec::<&String>::new(), "{app:?} {rights:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rights_on_ours_are_the_same_in_every_app() {
    let small = lines(&Host::installed(App::Small, Rights::Closed).await).await;
    let ours = |lines: &BTreeSet<String>| -> BTreeSet<String> {
        lines
            .iter()
            .filter(|line| line.trim_start_matches("schema ").starts_with("unstuck"))
            .cloned()
            .collect()
    };
    for app in [App::Tools, App::Cards, App::Sites] {
        assert_eq!(
            ours(&lines(&Host::installed(app, Rights::Closed).await).await),
            ours(&small),
            "{app:?}"
        );
    }
}

/// What a caller without a user may read: the packs and prices.
const OF_ANON: [&str; 3] = [
    "schema unstuck: anon usage",
    "unstuck.credit_packs: anon select",
    "unstuck.tool_prices: anon select",
];

#[tokio::test(flavor = "multi_thread")]
async fn the_service_may_call_every_function_and_anon_none() {
    for rights in hosts::RIGHTS {
        let host = Host::installed(App::Tools, rights).await;
        let refused = "select p.oid::regprocedure::text as name from pg_proc p
            where p.pronamespace = 'unstuck'::regnamespace
              and not has_function_privilege('service_role', p.oid, 'execute')
            union all
            select c.oid::regclass::text from pg_class c
            where c.relnamespace = 'unstuck'::regnamespace and c.relkind in ('r', 'v')
              and not has_table_privilege('service_role', c.oid, 'select')";
        assert_eq!(host.rows(refused).await, Vec::<serde_json::Value>::new(), "{rights:?}");
        let lines = lines(&host).await;
        let strangers: Vec<_> = lines
            .iter()
            .filter(|line| line.contains(": public ") || line.contains(": anon "))
            .filter(|line| !line.ends_with(": public usage") || line.starts_with("schema"))
            // All columns of a tool but those of its circuit.
            .filter(|line| !line.starts_with("unstuck.tools.") || line.contains(".circuit_"))
            .collect();
        assert_eq!(strangers, OF_ANON, "{rights:?}");
        let writes: Vec<_> =
            lines.iter().filter(|line| line.contains(": service_role insert")).collect();
        assert_eq!(
            writes,
            Vec::<&String>::new(),
            "{rights:?}: the service writes no table directly"
        );
    }
}
