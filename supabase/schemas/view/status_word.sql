-- Returns the word that the older pages of a table use for a status of a job or step.
create or replace function unstuck_private.status_word(p_table text, p_status text) returns text
language sql
immutable
as
$$
  select case
    when unstuck_private.is_final(p_status) then p_status
    when p_status in ('pending', 'queued', 'blocked') then
      case
        when p_table in (
          'generation_jobs', 'generation_tasks', 'replicate_tasks', 'generation_history'
        ) then 'pending'
        else 'queued'
      end
    when p_table in ('generation_jobs', 'generation_tasks', 'replicate_tasks') then 'processing'
    when p_table = 'generation_history' then 'generating'
    else 'running'
  end
$$;

revoke all on function unstuck_private.status_word from public, anon, authenticated, service_role;
grant execute on function unstuck_private.status_word to authenticated, service_role;
