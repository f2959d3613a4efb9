// Tells when a cron fires.

// The platform's five fields: minute hour day month weekday, in UTC; 1 is Sunday.
function matchesField(field, value, lowest) {
  return field.split(",").some((part) => {
    const [range, step = "1"] = part.split("/");
    const [from, to = part.includes("/") ? Infinity : from] =
      range === "*" ? [lowest, Infinity] : range.split("-").map(Number);
    return value >= from && value <= to && (value - from) % Number(step) === 0;
  });
}

export function matchesCron(cron, at) {
  const [minute, hour, day, month, weekday] = cron.trim().split(/\s+/);
  return (
    matchesField(minute, at.getUTCMinutes(), 0) &&
    matchesField(hour, at.getUTCHours(), 0) &&
    matchesField(day, at.getUTCDate(), 1) &&
    matchesField(month, at.getUTCMonth() + 1, 1) &&
    matchesField(weekday, at.getUTCDay() + 1, 1)
  );
}
