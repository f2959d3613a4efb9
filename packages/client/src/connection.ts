// Calls the functions, the database and the storage as the signed-in user.

import type { Session } from "@supabase/supabase-js";
import { endpoints, type Endpoints } from "./endpoints.js";
import { JobError } from "./errors.js";
import type { Options, SupabaseClient } from "./types.js";

type Bucket = ReturnType<SupabaseClient["storage"]["from"]>;

interface RowsAnswer {
  data: any[] | null;
  error: { message: string } | null;
  status?: number;
}

export class Connection {
  readonly supabase: SupabaseClient;
  readonly bucketName: string;
  readonly projectUrl: string;
  readonly projectKey: string;
  /** Of the user, once somebody was seen to be signed in. */
  token: string | undefined;
  user: string | undefined;
  /** The token that `#renew` obtained last: if it is refused too, it is not renewed. */
  #renewed: string | undefined;
  readonly #base: string;
  /** The family of each tool, once it was read. */
  #families: Map<string, string> | undefined;
  /** Done once a gateway was seen to answer at the functions' address. */
  #gateway: Promise<void> | undefined;

  constructor(supabase: SupabaseClient, options: Options) {
    this.supabase = supabase;
    // Both are `protected` in supabase-js, which offers them nowhere else.
    const project = supabase as unknown as { supabaseUrl: string; supabaseKey: string };
    this.projectUrl = project.supabaseUrl;
    this.projectKey = project.supabaseKey;
    this.#base = (options.functionsUrl ?? `${this.projectUrl}/functions/v1`).replace(/\/$/, "");
    this.bucketName = options.bucket ?? "uploads";
  }

  get bucket(): Bucket {
    return this.supabase.storage.from(this.bucketName);
  }

  /** Refuses an address where something else answers than a gateway. */
  async #findGateway(): Promise<void> {
    let response;
    try {
      response = await fetch(`${this.#base}/health`);
    } catch {
      // One that does not answer now may answer the call.
    }
    const answer = await response?.json().catch(() => null);
    if (typeof answer?.ok === "boolean" || typeof answer?.request_id === "string") return;
    // Whatever is in its way may pass, so that the next call asks anew.
    this.#gateway = undefined;
    if (!response || response.status >= 500) return;
    // A page in place of JSON is what a proxy says that wants a pause or a person.
    if (!answer && [403, 429].includes(response.status)) return;
    const example = "https://<your gateway>/functions/v1";
    const advice = `set functionsUrl to your gateway's address: "${example}"`;
    throw new JobError("misconfigured", `No gateway answers at ${this.#base}; ${advice}`);
  }

  /** The session, or null where nobody is signed in. */
  async visit(): Promise<Session | null> {
    await (this.#gateway ??= this.#findGateway());
    const { data, error } = await this.supabase.auth.getSession();
    // The token has expired and cannot be renewed now: the auth server was not reached.
    if (error?.name === "AuthRetryableFetchError") throw new JobError("network", error.message);
    this.#take(data.session);
    return data.session;
  }

  async session(): Promise<Session> {
    const session = await this.visit();
    if (!session) throw new JobError("unauthorized", "Sign in first", 401);
    return session;
  }

  #take(session: Session | null) {
    this.token = session?.access_token;
    this.user = session?.user.id;
  }

  from(table: string) {
    return this.supabase.schema("unstuck").from(table);
  }

  async family(tool: string): Promise<string | undefined> {
    if (!this.#families) {
      const tools = await this.rows(this.from("tools").select("tool, table_name"));
      this.#families = new Map(tools.map((row) => [row.tool, row.table_name]));
    }
    return this.#families.get(tool);
  }

  async endpoints(tool: string): Promise<Endpoints> {
    return endpoints(tool, await this.family(tool));
  }

  /** The input with the tool's own name for its file in place of `file`. */
  async named(tool: string, given: Record<string, any>): Promise<Record<string, any>> {
    const { file, ...rest } = given;
    return file ? { ...rest, [(await this.endpoints(tool)).fileField]: file } : rest;
  }

  /** The rows of a query, which is sent anew where its token was just over. */
  async rows(query: PromiseLike<RowsAnswer>): Promise<any[]> {
    const used = this.token;
    let { data, error, status } = await query;
    if (status === 401 && (await this.#renew(used))) ({ data, error } = await query);
    if (error) throw new JobError("network", error.message);
    return data ?? [];
  }

  request(path: string, body?: object, init?: RequestInit): Promise<Response> {
    return fetch(`${this.#base}/${path}`, {
      method: body ? "POST" : "GET",
      headers: {
        authorization: `Bearer ${this.token ?? this.projectKey}`,
        apikey: this.projectKey,
        ...(body && { "content-type": "application/json" }),
      },
      ...(body && { body: JSON.stringify(body) }),
      ...init,
    });
  }

  /** Calls a function as the signed-in user. */
  async call(path: string, body?: object): Promise<any> {
    await this.session();
    return this.answer(path, body);
  }

  /** The body of a good answer; throws a JobError for every other one. */
  async answer(path: string, body?: object): Promise<any> {
    const response = await this.response(path, body);
    return response.json().catch(() => ({}));
  }

  /** A good answer. A call whose token was refused is repeated once with a new one. */
  async response(path: string, body?: object): Promise<Response> {
    const used = this.token;
    let response = await this.#sent(path, body);
    if (response.status === 401 && (await this.#renew(used)))
      response = await this.#sent(path, body);
    if (response.ok) return response;
    const answer = await response.json().catch(() => ({}));
    const retryAfter = Number(response.headers.get("retry-after")) || null;
    const [code, message] = [answer.code ?? "internal", answer.message ?? response.statusText];
    throw new JobError(code, message, response.status, { ...answer, retryAfter });
  }

  async #sent(path: string, body?: object): Promise<Response> {
    try {
      return await this.request(path, body);
    } catch (error) {
      throw new JobError("network", error instanceof Error ? error.message : String(error));
    }
  }

  /** Gets another token of the same user than the one that was refused, if there is one. */
  async #renew(refused: string | undefined): Promise<boolean> {
    const { user } = this;
    if (!refused || refused === this.#renewed) return false;
    const { auth } = this.supabase;
    let { session } = (await auth.getSession()).data;
    if (session?.access_token === refused) ({ session } = (await auth.refreshSession()).data);
    if (!session || session.user.id !== user || session.access_token === refused) return false;
    this.#take(session);
    this.#renewed = session.access_token;
    return true;
  }
}
