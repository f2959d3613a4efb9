-- Locks the purchases that name the user who is erased, and then the user's account. Not the other
-- way round: a transaction that records a purchase has locked it and waits for the account. If a
-- purchase that names the user was recorded meanwhile, it releases the locks and starts anew.
create or replace function unstuck_private.user_lock(p_user_id uuid) returns void
language plpgsql
set search_path = ''
as
$$
declare
  v_ids uuid[];
begin
  loop
    begin
      v_ids := array(
        select l.id
        from (
          select p.id
          from unstuck.purchases p
          where p.id in (select unstuck_private.purchases_naming(p_user_id))
          order by p.id
          for update
        ) l
      );
      perform unstuck_private.account_lock(p_user_id);
      if not exists (
        select
        from unstuck_private.purchases_naming(p_user_id) as n (id)
        where n.id <> all (v_ids)
      ) then
        return;
      end if;
      -- One was recorded meanwhile: this lets go of the account.
      raise sqlstate 'UN409';
    exception when sqlstate 'UN409' then
      null;
    end;
  end loop;
end $$;

revoke all on function unstuck_private.user_lock from public, anon, authenticated, service_role;
