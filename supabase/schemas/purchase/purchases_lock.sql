-- Locks these keys of a seller and every purchase that has one of them, and returns the purchases,
-- the oldest first. Until the transaction ends, nobody else writes a purchase with these keys or
-- joins one of these purchases. Keys are locked before rows, both in a fixed order, and rows before
-- accounts.
create or replace function unstuck_private.purchases_lock(p_seller text, p_keys text[])
returns uuid[]
language plpgsql
set search_path = ''
as
$$
declare
  v_lock bigint;
  v_ids uuid[];
begin
  for v_lock in
    select distinct hashtextextended(p_seller || ' ' || k.key, 0)
    from unnest(p_keys) as k (key)
    order by 1
  loop
    perform pg_advisory_xact_lock(v_lock);
  end loop;
  loop
    v_ids := unstuck_private.purchases_named(p_seller, p_keys);
    begin
      perform
      from unstuck.purchases p
      where p.id = any (v_ids)
      order by p.id
      for update;
      if v_ids = unstuck_private.purchases_named(p_seller, p_keys) then
        return v_ids;
      end if;
      -- Another fact joined some of them meanwhile: this lets go of the rows.
      raise sqlstate 'UN409';
    exception when sqlstate 'UN409' then
      null;
    end;
  end loop;
end $$;

revoke all on function unstuck_private.purchases_lock
from public, anon, authenticated, service_role;
