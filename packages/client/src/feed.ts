// Listens by Realtime to changes of the user's jobs. It only makes updates faster: each job is also
// queried at intervals.

import type { RealtimeChannel } from "@supabase/supabase-js";
import type { Connection } from "./connection.js";
import { uuid } from "./uuid.js";

export class Feed {
  /** Whether Realtime reports changes at present. */
  isJoined = false;
  readonly #connection: Connection;
  readonly #onChange: (job: string) => void;
  readonly #onTurn: () => void;
  #channel: RealtimeChannel | undefined;

  /** `onChange` is called with the id of a changed job, `onTurn` when `isJoined` changes. */
  constructor(connection: Connection, onChange: (job: string) => void, onTurn: () => void) {
    this.#connection = connection;
    this.#onChange = onChange;
    this.#onTurn = onTurn;
  }

  open(user: string): void {
    if (this.#channel) return;
    const filter = `user_id=eq.${user}`;
    const wanted = { event: "*", schema: "unstuck", table: "jobs", filter } as const;
    const channel = this.#connection.supabase.channel(`unstuck-${uuid()}`);
    this.#channel = channel
      .on("postgres_changes", wanted, ({ new: row }) => {
        if ("id" in row) this.#onChange(row.id);
      })
      // To be joined to the channel is not enough: this message says whether the table's changes
      // are sent.
      .on("system", {}, ({ extension, status }) => {
        if (extension === "postgres_changes") this.#turn(channel, status === "ok");
      })
      .subscribe((status) => {
        if (status !== "SUBSCRIBED") this.#turn(channel, false);
      });
  }

  #turn(channel: RealtimeChannel, isJoined: boolean): void {
    if (channel !== this.#channel || isJoined === this.isJoined) return;
    this.isJoined = isJoined;
    this.#onTurn();
  }

  close(): void {
    const channel = this.#channel;
    this.#channel = undefined;
    this.isJoined = false;
    if (channel) this.#connection.supabase.removeChannel(channel).catch(() => {});
  }
}
