-- How long a step of a tool held its slot lately, in seconds; measured = false where nothing of the
-- provider was measured yet.
create type unstuck_private.tool_time as (tool text, seconds numeric, measured boolean);
