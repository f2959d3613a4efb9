// The user's balance and debt, and the listeners to them.

import type { Connection } from "./connection.js";
import { notify } from "./listeners.js";
import { QUEUE } from "./place.js";
import type { Balance } from "./types.js";

type Listener = (balance: Balance) => void;

export class Wallet {
  readonly #connection: Connection;
  readonly #listeners = new Set<Listener>();
  #told: Balance | undefined;
  /** Counts the reads, so that the answer to an older read is ignored. */
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
    notify(this.#listeners, balance);
  }

  /** Reads the balance after something that may have changed it. */
  refresh(): void {
    if (this.#listeners.size > 0) this.read().catch(() => {});
  }

  /** Forgets the balance when the user has changed. */
  forget(): void {
    this.#told = undefined;
    this.#turn += 1;
  }

  subscribe(listener: Listener): () => void {
    this.#listeners.add(listener);
    if (this.#told) notify([listener], this.#told);
    // The balance may have changed while there was no listener.
    this.refresh();
    return () => this.#listeners.delete(listener);
  }

  clear(): void {
    this.#listeners.clear();
    this.forget();
  }
}
