// The door of both pages.

import { brand, h, icon } from "./elements.js";
import { supabase } from "./project.js";
import { t } from "./words.js";

/** Resolves to the signed-in user; shows the form until there is one. */
export async function signedIn(root) {
  const { data } = await supabase.auth.getSession();
  if (data.session) return data.session.user;
  return new Promise((resolve) => root.replaceChildren(door(resolve)));
}

function door(onuser) {
  const problem = h("p", { class: "problem", role: "alert", hidden: true });
  const button = h("button", { class: "button primary wide", type: "submit" }, t("sign_in"));
  const onsubmit = async (event) => {
    event.preventDefault();
    button.disabled = true;
    const { email, password } = Object.fromEntries(new FormData(event.target));
    const { data, error } = await supabase.auth.signInWithPassword({ email, password });
    button.disabled = false;
    problem.hidden = !error;
    problem.textContent = error ? t(error.status === 400 ? "sign_in_wrong" : "error_network") : "";
    if (!error) onuser(data.user);
  };
  const fields = [
    field("email", "email", "username"),
    field("password", "password", "current-password"),
  ];
  const welcome = [h("h2", {}, t("welcome")), h("p", { class: "muted" }, t("welcome_text"))];
  const form = h("form", { class: "panel", onsubmit }, welcome, fields, problem, button);
  return h("main", { class: "door" }, pitch(), form);
}

function pitch() {
  const points = ["pitch_1", "pitch_2", "pitch_3"];
  const list = points.map((key) => h("li", {}, icon("check"), t(key)));
  return h("section", { class: "pitch" }, brand(), h("h1", {}, t("pitch")), h("ul", {}, list));
}

function field(name, type, autocomplete) {
  const input = h("input", { name, type, required: true, autocomplete });
  return h("label", { class: "field" }, h("span", {}, t(name)), input);
}
