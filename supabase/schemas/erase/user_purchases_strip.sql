-- Takes the user's id and e-mail address out of the purchases of an erased user, those that wait
-- for the user included, and deletes the user's debts. The purchases stay as the books of what was
-- sold; whatever a seller tells about them later gives and takes nothing.
create or replace function unstuck_private.user_purchases_strip(p_user_id uuid) returns void
language sql
set search_path = ''
as
$$
  update unstuck.purchases p
  set
    user_id = unstuck_private.erased_user(),
    email = null,
    waits = false,
    facts = (
      select jsonb_agg(distinct f.value - array['userId', 'email'])
      from jsonb_array_elements(p.facts) f
    )
  where p.user_id = p_user_id
    or p.user_id is null
    and p.email = (select a.confirmed_email from unstuck_private.auth_user(p_user_id, null) a);

  -- Whose purchase another fact told.
  update unstuck.purchases p
  set facts = (
    select jsonb_agg(distinct case
      when f.value ->> 'userId' = p_user_id::text then f.value - array['userId', 'email']
      else f.value
    end)
    from jsonb_array_elements(p.facts) f
  )
  where p.facts @> jsonb_build_array(jsonb_build_object('userId', p_user_id));

  delete from unstuck.credit_debts d
  where d.user_id = p_user_id
$$;

revoke all on function unstuck_private.user_purchases_strip
from public, anon, authenticated, service_role;
