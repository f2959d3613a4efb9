-- Which rows of the tables users may read: their own rows, an admin all rows, and everybody, signed
-- in or not, what is sold. No policy lets anybody write.

create policy tools_read on unstuck.tools
for select to anon, authenticated
using (true);

create policy tool_prices_read on unstuck.tool_prices
for select to anon, authenticated
using (true);

create policy providers_read on unstuck.providers
for select to authenticated
using (true);

create policy jobs_read on unstuck.jobs
for select to authenticated
using (user_id = (select auth.uid()) or (select unstuck_private.is_admin()));

-- Whoever may read the job may read its steps: the policy on `jobs` applies in the subquery.
create policy job_steps_read on unstuck.job_steps
for select to authenticated
using (exists (select from unstuck.jobs j where j.id = job_id));

create policy job_events_read on unstuck.job_events
for select to authenticated
using ((select unstuck_private.is_admin()));

create policy credit_accounts_read on unstuck.credit_accounts
for select to authenticated
using (user_id = (select auth.uid()) or (select unstuck_private.is_admin()));

create policy credit_entries_read on unstuck.credit_entries
for select to authenticated
using (user_id = (select auth.uid()) or (select unstuck_private.is_admin()));

create policy admin_log_read on unstuck.admin_log
for select to authenticated
using ((select unstuck_private.is_admin()));

create policy provider_alarms_read on unstuck.provider_alarms
for select to authenticated
using ((select unstuck_private.is_admin()));

create policy user_roles_read on unstuck.user_roles
for select to authenticated
using (user_id = (select auth.uid()) or (select unstuck_private.is_admin()));

create policy credit_packs_read_offered on unstuck.credit_packs
for select to anon, authenticated
using (enabled);

create policy credit_packs_read on unstuck.credit_packs
for select to authenticated
using ((select unstuck_private.is_admin()));

create policy purchases_read on unstuck.purchases
for select to authenticated
using ((select unstuck_private.is_admin()));

create policy credit_debts_read on unstuck.credit_debts
for select to authenticated
using (user_id = (select auth.uid()) or (select unstuck_private.is_admin()));
