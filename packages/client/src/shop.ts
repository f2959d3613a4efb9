// Reads the tools and packs on sale, and the user's ledger.

import type { Connection } from "./connection.js";
import type { Entry, LedgerPage, LedgerQuery, Pack, Tool } from "./types.js";

export async function toolsOf(connection: Connection): Promise<Tool[]> {
  const [sold, rules] = await Promise.all([
    connection.rows(
      connection
        .from("tools")
        .select("tool, credit_cost, priced_per")
        .eq("enabled", true)
        .order("tool"),
    ),
    connection.rows(
      connection
        .from("tool_prices")
        .select("tool, matches, credits, priced_per, credits_min")
        .order("position"),
    ),
  ]);
  return sold.map(({ tool, credit_cost: credits, priced_per: pricedPer }) => ({
    tool,
    credits,
    pricedPer,
    rules: rules
      .filter((rule) => rule.tool === tool)
      .map((rule) => ({
        matches: rule.matches,
        credits: rule.credits,
        pricedPer: rule.priced_per,
        creditsMin: rule.credits_min,
      })),
  }));
}

export function packsOf(connection: Connection): Promise<Pack[]> {
  return connection.rows(
    connection
      .from("credit_packs")
      .select("pack, credits, recurring, words")
      .eq("enabled", true)
      .order("position"),
  );
}

/** The URL of the page where a pack is paid. */
export async function checkoutOf(
  connection: Connection,
  buyUrl: string | null | undefined,
  wanted: { pack: string; returnUrl: string | undefined },
): Promise<string> {
  const { user } = await connection.session();
  if (!buyUrl) return (await connection.call("purchase-checkout", wanted)).url;
  // The app's own shop gets the user's id by the same parameter as a payment link.
  const url = new URL(buyUrl);
  url.searchParams.set("client_reference_id", user.id);
  return url.href;
}

/** A page of the user's ledger entries, newest first. */
export async function ledgerOf(
  connection: Connection,
  { cursor = null, limit = 20 }: LedgerQuery = {},
): Promise<LedgerPage> {
  const { user } = await connection.session();
  let query = connection
    .from("credit_entries")
    .select("id, created_at, kind, amount, balance_after, reason, job_id")
    .eq("user_id", user.id);
  if (cursor !== null) query = query.lt("id", cursor);
  // One entry more than a page shows whether there is a next page.
  const found = await connection.rows(query.order("id", { ascending: false }).limit(limit + 1));
  const page = found.slice(0, limit);
  const ids = [...new Set(page.flatMap(({ job_id: id }) => id ?? []))];
  const jobs = ids.length
    ? await connection.rows(connection.from("jobs").select("id, tool").in("id", ids))
    : [];
  const toolOf = new Map(jobs.map(({ id, tool }) => [id, tool]));
  const entries: Entry[] = page.map((row) => ({
    id: row.id,
    at: row.created_at,
    kind: row.kind,
    amount: row.amount,
    balanceAfter: row.balance_after,
    reason: row.reason,
    jobId: row.job_id,
    tool: toolOf.get(row.job_id) ?? null,
  }));
  return { entries, next: found.length > limit ? (page.at(-1)?.id ?? null) : null };
}
