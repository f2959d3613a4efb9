-- Makes the accounts that rows written by hand left out: of the users of these jobs who have a
-- ledger.
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
