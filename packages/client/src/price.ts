// The price of an order, and whether the user can pay it.

import type { Connection } from "./connection.js";
import { isPassing, JobError } from "./errors.js";
import { withoutFiles } from "./files.js";
import { mayBePaid } from "./payable.js";
import type { Balance, Price } from "./types.js";

/** The time that a browser gets to read a video's metadata. */
const METADATA_MS = 3000;

export async function priceOf(
  connection: Connection,
  tool: string,
  given: Record<string, any>,
): Promise<Price> {
  const named = await connection.named(tool, given);
  const durationSeconds = await secondsOf(Object.values(named).find(isVideo));
  const input = { ...(durationSeconds && { durationSeconds }), ...withoutFiles(named) };
  await connection.visit();
  const answer = await connection.answer("quote", { tool, input });
  const { credits, balance = null, enough = null, etaSeconds = null } = answer;
  const { unmeasured = null, lowest = credits } = answer;
  return { credits, balance, enough, etaSeconds, unmeasured, lowest };
}

/**
 * Refuses an order that cannot be paid or costs more than the user agreed to. It compares the
 * lowest possible price; the order itself checks the final one.
 */
export async function refuseUnpaid(
  connection: Connection,
  readBalance: () => Promise<Balance>,
  tool: string,
  given: Record<string, any>,
  maxCredits: number | null,
): Promise<void> {
  const asked = Promise.all([priceOf(connection, tool, given), readBalance()]);
  const [price, wallet] = await asked.catch((error) => {
    if (isPassing(error) || error.code === "not_found") return [null, null];
    throw error;
  });
  if (!price || !wallet) return;
  const { lowest } = price;
  if (maxCredits !== null && lowest > maxCredits)
    throw new JobError("price_changed", `This costs ${lowest} credits now`, 409, {
      credits: lowest,
    });
  if (mayBePaid(price) && wallet.debt === 0) return;
  const details = { balance: price.balance, required: lowest, debt: wallet.debt };
  throw new JobError("insufficient_credits", "There are not enough credits", 402, details);
}

const isVideo = (value: unknown) => value instanceof Blob && value.type.startsWith("video/");

/**
 * The length of a video in seconds; null outside of a browser, or if the browser cannot read it.
 */
async function secondsOf(video: Blob | undefined): Promise<number | null> {
  if (!video?.size || !globalThis.document) return null;
  const element = document.createElement("video");
  const address = URL.createObjectURL(video);
  await new Promise((resolve) => {
    element.onloadedmetadata = element.onerror = resolve;
    setTimeout(resolve, METADATA_MS);
    element.preload = "metadata";
    element.src = address;
  });
  URL.revokeObjectURL(address);
  return Number.isFinite(element.duration) && element.duration > 0 ? element.duration : null;
}
