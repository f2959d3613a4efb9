-- A queued step that may be claimed: the first (`nth` = 1), the second and so on of its user.
create type unstuck_private.turn as (
  job_id uuid,
  step int,
  user_id uuid,
  nth bigint,
  turn_at timestamptz
);
