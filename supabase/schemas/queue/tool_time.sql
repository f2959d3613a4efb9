-- How long a step of a tool held its slot lately, in seconds.
create type unstuck_private.tool_time as (tool text, seconds numeric);
