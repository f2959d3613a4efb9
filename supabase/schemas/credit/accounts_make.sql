-- Creates an account for each user of these jobs who has none although credits were taken or
-- refunded for the job: rows that were written by hand may leave it out.
create or replace function unstuck_private.accounts_make(p_ids uuid[]) returns void
language plpgsql
set search_path = ''
as
$$
begin
  if exists (
    select from unstuck.jobs j
    where j.id = any (p_ids)
      and not exists (select from unstuck.credit_accounts a where a.user_id = j.user_id)
  ) then
    insert into unstuck.credit_accounts (user_id)
    select distinct j.user_id
    from unstuck.jobs j
    where j.id = any (p_ids)
      and not exists (select from unstuck.credit_accounts a where a.user_id = j.user_id)
      and unstuck_private.has_ledger_entries(j.id)
    order by 1
    on conflict do nothing;
  end if;
end $$;

revoke all on function unstuck_private.accounts_make from public, anon, authenticated, service_role;
