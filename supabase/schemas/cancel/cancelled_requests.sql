create table unstuck.cancelled_requests (
  user_id uuid not null,
  job_id uuid not null,
  at timestamptz not null default clock_timestamp(),
  primary key (user_id, job_id)
);

create index cancelled_requests_by_time on unstuck.cancelled_requests (at);

comment on table unstuck.cancelled_requests is $c$
Orders that users cancelled, also before they arrived: an order named here is refused while its row
is kept, a day. At most 1,000 rows per user.
$c$;

alter table unstuck.cancelled_requests enable row level security;
revoke all on unstuck.cancelled_requests from public, anon, authenticated, service_role;
grant select on unstuck.cancelled_requests to service_role;
