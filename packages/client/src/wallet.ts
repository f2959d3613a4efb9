// What the user has and owes, and who wants to know.

import type { Connection } from "./connection.js";
import { QUEUE } from "./place.js";
import type { Balance } from "./types.js";

type Listener = (balance: Balance) => void;

export class Wallet {
  readonly #connection: Connection;
  readonly #listeners = new Set<Listener>();
  #told: Balance | undefined;
  /** Counts what was asked, so that a late answer is told apart. */
  #turn = 0;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  async read(): Promise<Balance> {
    const turn = ++this.#turn;
    const balance = await this.#fetched();
    if (turn === this.#turn) this.#tell(balance);
    return balance;
  }

  async #fetched(): Promise<Balance> {
    const connection = this.#connection;
    await connection.session();
    const read = () =>
      connection.rows(connection.from("my_balance").select("balance, debt, waits"));
    let [wallet] = await read();
    if (wallet?.waits) {
      // This call grants pending credits. If it fails, the balance stays as it was.
      await connection.answer(`${QUEUE}/check-user-active`).catch(() => {});
      [wallet] = await read();
    }
    return { balance: wallet?.balance ?? 0, debt: wallet?.debt ?? 0 };
  }

  #tell(balance: Balance): void {
    const told = this.#told;
    if (told && told.balance === balance.balance && told.debt === balance.debt) return;
    this.#told = balance;
    for (const listener of this.#listeners) listener(balance);
  }

  /** Something may have changed it. */
  refresh(): void {
    if (this.#listeners.size > 0) this.read().catch(() => {});
  }

  /** It is another user's now, or nobody's. */
  forget(): void {
    this.#told = undefined;
    this.#turn += 1;
  }

  subscribe(listener: Listener): () => void {
    this.#listeners.add(listener);
    if (this.#told) listener(this.#told);
    // What was told may be older than the last charge: nobody listened.
    this.refresh();
    return () => this.#listeners.delete(listener);
  }

  clear(): void {
    this.#listeners.clear();
    this.forget();
  }
}
