//! Makes the user with the e-mail address in the settings the first admin.

use anyhow::Result;
use uuid::Uuid;

use super::{HostedProject, ProjectAct, literal};

impl HostedProject<'_> {
    pub(super) async fn first_admin(&self) -> Result<ProjectAct> {
        let Some(email) = &self.deployment.admin_email else {
            return Ok(ProjectAct::already("admin_email is not set: no admin is made"));
        };
        if !self.is_installed().await? {
            let undo = "delete from unstuck.user_roles where role = 'admin';";
            return Ok(ProjectAct::done(format!("{email} is an admin, once signed up"), undo));
        }
        let query = "select is_readable, user_id from unstuck_private.auth_user(null, $1)";
        let found = self.client.query_one(query, &[email]).await?;
        let (is_readable, user): (bool, Option<Uuid>) = (found.get(0), found.get(1));
        let Some(user) = user else { return Ok(nobody(email, is_readable)) };

        let query = "select unstuck_private.host_has_role($1, 'admin'),
            exists (select from unstuck.user_roles where user_id = $1 and role = 'admin')";
        let holds = self.client.query_one(query, &[&user]).await?;
        let (by_app, by_us): (Option<bool>, bool) = (holds.get(0), holds.get(1));
        if by_app.unwrap_or(by_us) {
            return Ok(ProjectAct::already(format!("{email} is an admin")));
        }
        if by_app.is_some() {
            return Ok(ProjectAct::left(
                format!("{email} is no admin: the app's own public.has_role decides"),
                format!(
                    "Make the user {user} an admin as the app does, so that \
                     public.has_role({}, 'admin') is true.",
                    literal(&user.to_string())
                ),
            ));
        }
        let id = literal(&user.to_string());
        self.change(
            format!("{email} is an admin"),
            &format!(
                "insert into unstuck.user_roles (user_id, role) values ({id}, 'admin')
                on conflict do nothing;"
            ),
            &format!("delete from unstuck.user_roles where user_id = {id} and role = 'admin';"),
        )
        .await
    }
}

fn nobody(email: &str, is_readable: bool) -> ProjectAct {
    if is_readable {
        return ProjectAct::left(
            format!("nobody has signed up as {email} and confirmed the address"),
            "Sign up with it, then deploy once more.",
        );
    }
    ProjectAct::left(
        format!("our role cannot read auth.users, so {email} is no admin yet"),
        format!(
            "insert into unstuck.user_roles (user_id, role)
            select id, 'admin' from auth.users
            where lower(email) = lower({}) and email_confirmed_at is not null;",
            literal(email)
        ),
    )
}
