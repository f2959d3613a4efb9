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
  /** The user's token, once a session was read. */
  token: string | undefined;
  user: string | undefined;
  /** The token that `#renew` obtained last. If it is refused too, it is not renewed. */
  #renewed: string | undefined;
  readonly #base: string;
  /** The family of each tool, once the table `tools` was read. */
  #families: Map<string, string> | undefined;
  /** Resolves when a gateway has answered at the functions' address. */
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

  /** Throws if something other than a gateway answers at the functions' address. */
  async #findGateway(): Promise<void> {
    let response;
    try {
      response = await fetch(`${this.#base}/health`);
    } catch {
      // Without an answer now, the call may still get one.
    }
    const answer = await response?.json().catch(() => null);
    if (typeof answer?.ok === "boolean" || typeof answer?.request_id === "string") return;
    // The obstacle may be temporary, so the next call looks for a gateway again.
    this.#gateway = undefined;
    if (!response || response.status >= 500) return;
    // An HTML page with one of these statuses comes from a proxy that wants a pause or a captcha.
    if (!answer && [403, 429].includes(response.status)) return;
    const example = "https://<your gateway>/functions/v1";
    const advice = `set functionsUrl to your gateway's address: "${example}"`;
    throw new JobError("misconfigured", `No gateway answers at ${this.#base}; ${advice}`);
  }

  /** The session, or null if nobody is signed in. */
  async visit(): Promise<Session | null> {
    await (this.#gateway ??= this.#findGateway());
    const { data, error } = await this.supabase.auth.getSession();
    // The token has expired and cannot be renewed, because the auth server was not reached.
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

  /** The input with `file` renamed to the tool's own field for its file. */
  async named(tool: string, given: Record<string, any>): Promise<Record<string, any>> {
    const { file, ...rest } = given;
    return file ? { ...rest, [(await this.endpoints(tool)).fileField]: file } : rest;
  }

  /** The rows of a query. If the token had just expired, the query is sent a second time. */
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

  /** The body of a successful answer; throws a JobError for any other answer. */
  async answer(path: string, body?: object): Promise<any> {
    const response = await this.response(path, body);
    return response.json().catch(() => ({}));
  }

  /** A successful answer. If the token was refused, the call is repeated once with a new one. */
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

  /**
   * Gets another token of the same user in place of the refused one. Returns whether there is one.
   */
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
