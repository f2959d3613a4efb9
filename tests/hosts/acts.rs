//! What existing apps do to the jobs in their own tables and to their own wallets.

use unstuck_tests::hosts::App;

/// An act of the app: SQL with `$job`, `$user` and `$admin`, and the caller who runs it.
pub struct HostAct {
    pub name: &'static str,
    pub by: CalledBy,
    pub sql: &'static str,
    /// The credits that it takes from the wallet without charging a job.
    pub spends: i64,
    /// The credits that it refunds of a job which the app itself has charged.
    pub returns: i64,
}

/// The caller of an act.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum CalledBy {
    User,
    Admin,
    /// The app's own servers and its scheduler.
    Owner,
}

const fn act(name: &'static str, by: CalledBy, sql: &'static str) -> HostAct {
    HostAct { name, by, sql, spends: 0, returns: 0 }
}

impl HostAct {
    const fn returns(self, returns: i64) -> Self {
        Self { returns, ..self }
    }

    const fn spends(self, spends: i64) -> Self {
        Self { spends, ..self }
    }
}

const TOOLS_ACTS: [HostAct; 8] = [
    act(
        "consume_ and refund_upscaler_credits",
        CalledBy::Owner,
        "begin; set local request.jwt.claims = '{\"role\":\"service_role\"}';
            select consume_upscaler_credits($user, 2, 'x');
            select refund_upscaler_credits($user, 1, 'x'); commit",
    )
    .spends(1),
    act("admin_cancel_job", CalledBy::Admin, "select admin_cancel_job('upscaler_jobs', $job)")
        .returns(60),
    // The app's refund refuses to be called by a user, and the user's own cancel ignores that.
    act("user_cancel_ai_job", CalledBy::User, "select user_cancel_ai_job('upscaler_jobs', $job)"),
    act(
        "mark_pending_job_as_failed",
        CalledBy::User,
        "select mark_pending_job_as_failed('upscaler_jobs', $job)",
    ),
    act(
        "cleanup_all_stale_ai_jobs",
        CalledBy::Owner,
        "update upscaler_jobs set created_at = now() - interval '1 day',
            started_at = now() - interval '1 day' where id = $job;
        select cleanup_all_stale_ai_jobs()",
    )
    .returns(60),
    act(
        "cleanup_stale_upscaler_jobs",
        CalledBy::Owner,
        "update upscaler_jobs set created_at = now() - interval '1 day',
            started_at = now() - interval '1 day' where id = $job;
        select cleanup_stale_upscaler_jobs()",
    )
    .returns(60),
    act(
        "a server that gives up",
        CalledBy::Owner,
        "update upscaler_jobs set status = 'failed', completed_at = now() where id = $job",
    ),
    act(
        "a page that cancels twice",
        CalledBy::User,
        "select user_cancel_ai_job('upscaler_jobs', $job);
        select user_cancel_ai_job('upscaler_jobs', $job)",
    ),
];

const CARDS_ACTS: [HostAct; 5] = [
    act(
        "spend_ and refund_tokens",
        CalledBy::Owner,
        "select spend_tokens($user, 2), refund_tokens($user, 1)",
    )
    .spends(1),
    act(
        "a server that gives up",
        CalledBy::Owner,
        "update generation_jobs set status = 'failed' where id = $job",
    ),
    act(
        "a server that gives its cards up",
        CalledBy::Owner,
        "update generation_tasks set status = 'failed' where job_id = $job
            and status <> 'completed'",
    ),
    act("update_job_progress", CalledBy::Owner, "select update_job_progress($job)"),
    act(
        "cleanup_old_generations",
        CalledBy::Owner,
        "update generation_jobs set created_at = now() - interval '91 days' where id = $job;
        select cleanup_old_generations()",
    ),
];

const SITES_ACTS: [HostAct; 3] = [
    act(
        "a server that takes from the team",
        CalledBy::Owner,
        "begin;
            update teams set balance = balance - 0.01 where id = $user;
            insert into credit_transactions
                (team_id, type, amount, balance_before, balance_after, credit_limit)
            values ($user, 'generation', -0.01, 0, 0, 0); commit",
    )
    .spends(1),
    act(
        "cleanup_stale_generations",
        CalledBy::Owner,
        "update generation_history set created_at = now() - interval '1 day' where id = $job;
        update system_limits set last_cleanup_at = null;
        select cleanup_stale_generations()",
    ),
    act(
        "a server that gives up",
        CalledBy::Owner,
        "update generation_history set status = 'failed' where id = $job",
    ),
];

/// An app and all its acts on a job.
pub struct ActingApp {
    pub app: App,
    pub steps: usize,
    pub price: i64,
    pub acts: &'static [HostAct],
    /// Gives 1,000 credits to `$user`; in the app of websites a team with the user's id has them.
    pub funds: &'static str,
    /// Makes all later orders free.
    pub is_free: &'static str,
    /// By how much the balance of `$user` has changed, and the sum of the app's own records of it.
    pub purse: &'static str,
    /// The table of the app's records, and the condition for refunds of `$user`.
    pub movements: (&'static str, &'static str),
    /// The insert of a job by a page.
    pub insert: &'static str,
}

pub const TOOLS: ActingApp = ActingApp {
    app: App::Tools,
    steps: 1,
    price: 60,
    acts: &TOOLS_ACTS,
    funds: "insert into profiles (id, name, email) values ($user, 'x', $user || '@x');
        insert into upscaler_credits (user_id, balance, monthly_balance)
        values ($user, 1000, 1000)",
    is_free: "update ai_tool_settings set credit_cost = 0",
    purse: "select balance - 1000 as net, (select coalesce(sum(t.amount), 0)::int
            from upscaler_credit_transactions t where t.user_id = c.user_id) as moved
        from upscaler_credits c where user_id = $user",
    movements: (
        "upscaler_credit_transactions",
        "new.transaction_type = 'refund' and new.user_id = $user",
    ),
    insert: "insert into upscaler_jobs (id, session_id, user_id, status)
        values ($job, 's', $user, 'queued')",
};

pub const CARDS_APP: ActingApp = ActingApp {
    app: App::Cards,
    steps: 2,
    price: 6,
    acts: &CARDS_ACTS,
    funds: "begin; set local app.bypass_token_protection = 'true';
        update profiles set tokens_balance = 1000 where id = $user; commit",
    is_free: "update unstuck.tools set credit_cost = 0",
    purse: "select tokens_balance - 1000 as net, (select coalesce(sum(t.amount), 0)::int
            from token_transactions t where t.user_id = p.id) as moved
        from profiles p where id = $user",
    movements: ("token_transactions", "new.transaction_type = 'refund' and new.user_id = $user"),
    insert: "insert into generation_jobs (id, user_id, product_name, category, description)
        values ($job, $user, 'x', 'x', 'x')",
};

pub const SITES: ActingApp = ActingApp {
    app: App::Sites,
    steps: 1,
    price: 350,
    acts: &SITES_ACTS,
    funds: "insert into teams (id, name, created_by, balance) values ($user, 'x', $user, 10);
        insert into team_members (team_id, user_id, role, status)
        values ($user, $user, 'owner', 'approved');
        insert into team_pricing (team_id, html_price) values ($user, 3.50)",
    is_free: "create function free() returns trigger language plpgsql as
            'begin new.html_price := 0; return new; end';
        create trigger free before insert on team_pricing for each row execute function free()",
    purse: "select (100 * balance)::int - 1000 as net,
            (select coalesce(sum(100 * t.amount), 0)::int
            from credit_transactions t where t.team_id = p.id) as moved
        from teams p where id = $user",
    movements: ("credit_transactions", "new.type = 'refund' and new.team_id = $user"),
    insert: "insert into generation_history (id, prompt, user_id, website_type)
        values ($job, 'x', $user, 'html')",
};
