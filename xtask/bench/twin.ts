// The list of `jobs` as one writes it in TypeScript: Hono, jose and postgrest-js. It verifies the
// token, counts the call, makes the same RPC, answers with the same headers and logs one line.

import { PostgrestClient } from "@supabase/postgrest-js";
import { Hono } from "hono";
import { cors } from "hono/cors";
import { requestId } from "hono/request-id";
import { jwtVerify } from "jose";

interface Limiter {
  limit(options: { key: string }): Promise<{ success: boolean }>;
}

interface Bindings {
  SUPABASE_URL: string;
  SUPABASE_SERVICE_ROLE_KEY: string;
  SUPABASE_JWT_SECRET: string;
  READ_LIMIT: Limiter;
}

const app = new Hono<{ Bindings: Bindings; Variables: { requestId: string } }>();
let secret: Uint8Array | undefined;
let database: PostgrestClient<any, any, any> | undefined;

app.use(requestId());
app.use(
  cors({
    origin: "*",
    allowMethods: ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"],
    exposeHeaders: ["x-request-id", "retry-after"],
    maxAge: 86400,
  }),
);

app.get("/functions/v1/jobs", async (c) => {
  const began = Date.now();
  const token = c.req.header("authorization")?.replace(/^Bearer /, "") ?? "";
  secret ??= new TextEncoder().encode(c.env.SUPABASE_JWT_SECRET);
  const { payload } = await jwtVerify(token, secret, { audience: "authenticated" });
  const { success } = await c.env.READ_LIMIT.limit({ key: payload.sub ?? "" });
  if (!success) return c.json({ error: "Too many requests" }, 429, { "retry-after": "60" });
  const key = c.env.SUPABASE_SERVICE_ROLE_KEY;
  database ??= new PostgrestClient(`${c.env.SUPABASE_URL}/rest/v1`, {
    headers: { apikey: key, authorization: `Bearer ${key}` },
    schema: "unstuck",
  });
  const { data, error } = await database.rpc("jobs_list_v1", {
    p_user_id: payload.sub,
    p_cursor: c.req.query("cursor") ?? null,
    p_status: c.req.query("status") ?? null,
    p_limit: Number(c.req.query("limit") ?? 20),
  });
  if (error) return c.json({ error: error.message }, 503);
  const line = { function: "jobs", request_id: c.get("requestId"), status: 200, caller: "user" };
  console.log(JSON.stringify({ ...line, duration_ms: Date.now() - began }));
  return c.json(data[0]);
});

export default app;
