create or replace function unstuck.provider_alarm_v1(
  p_provider text,
  p_tool text,
  p_about text,
  p_code text,
  p_detail text
)
returns void
language plpgsql
security definer
set search_path = ''
set statement_timeout = '5s'
as
$$
declare
  -- Some servers of the PostgREST protocol pass a null as ''.
  v_tool text := nullif(p_tool, '');
  v_about text := nullif(p_about, '');
  v_code text := left(p_code, 200);
  v_detail text := left(nullif(p_detail, ''), 500);
  v_now timestamptz;
  v_until timestamptz;
begin
  perform unstuck_private.refuse_other_deployment();
  if coalesce(v_code, '') = ''
    or not exists (select from unstuck.providers p where p.provider = p_provider)
  then
    perform unstuck_private.refuse(400, 'bad_request');
  end if;
  -- Two equal alarms become one row. Claims need the provider's own row, and most alarms do not.
  perform pg_advisory_xact_lock(hashtextextended(p_provider || ' ' || v_code, 0));
  v_now := clock_timestamp();
  v_until := v_now + unstuck_private.circuit_pause();
  update unstuck.provider_alarms a
  set count = a.count + 1,
    last_at = v_now,
    detail = v_detail
  where a.provider = p_provider
    and a.tool is not distinct from v_tool
    and a.code = v_code
    and a.at > v_now - interval '1 hour';
  if not found then
    insert into unstuck.provider_alarms (at, last_at, provider, tool, code, detail)
    values (v_now, v_now, p_provider, v_tool, v_code, v_detail);
  end if;
  -- A fault while the circuit is open moves no time: the claim of each trial has set it.
  if v_about in ('account', 'place') then
    update unstuck.providers p
    set account_faults = least(p.account_faults, 999999) + 1,
      circuit_open_until = case
        when p.account_faults >= 2 then coalesce(p.circuit_open_until, v_until)
        else p.circuit_open_until
      end,
      circuit_opened_at = case
        when p.account_faults >= 2 then coalesce(p.circuit_opened_at, v_now)
        else p.circuit_opened_at
      end,
      circuit_reason = case when p.account_faults >= 2 then v_about else p.circuit_reason end
    where p.provider = p_provider;
  elsif v_about = 'app' then
    update unstuck.tools t
    set account_faults = least(t.account_faults, 999999) + 1,
      circuit_open_until = case
        when t.account_faults >= 2 then coalesce(t.circuit_open_until, v_until)
        else t.circuit_open_until
      end,
      circuit_opened_at = case
        when t.account_faults >= 2 then coalesce(t.circuit_opened_at, v_now)
        else t.circuit_opened_at
      end,
      circuit_reason = case when t.account_faults >= 2 then v_about else t.circuit_reason end
    where t.tool = v_tool;
  end if;
end $$;

comment on function unstuck.provider_alarm_v1 is $c$
Caller: a worker that met a fault which only the operator can mend.

Effect: counts equal alarms of an hour in one row of provider_alarms. A fault of a submit or a call
says what it is about: the third of `account` or `place` without an accepted step between them opens
the provider's circuit, the third of `app` the tool's. While a circuit is open, steps wait, and one
step a minute is let through. Null: the alarm counts towards no circuit.

Refuses: bad_request (no such provider, no code).

Replay: counts once more.
$c$;

revoke all on function unstuck.provider_alarm_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.provider_alarm_v1 to service_role;
