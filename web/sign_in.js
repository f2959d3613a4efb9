// The sign-in page of studio and admin page: sign in, make an account, or get in without a
// password.

import { brand, button, h, icon } from "./elements.js";
import { arrival, supabase } from "./project.js";
import { t } from "./words.js";

/** Resolves to the signed-in user; shows the sign-in form until there is one. */
export async function signedIn(root) {
  const { data } = await supabase.auth.getSession();
  const isReset = arrival.get("type") === "recovery";
  const isOld = arrival.has("error_code");
  if (data.session && !isReset) return data.session.user;
  return new Promise((resolve) => {
    const door = createDoor(resolve);
    root.replaceChildren(door.element);
    door.show(isReset && data.session ? "renew" : "sign_in", isOld && t("auth_otp_expired"));
  });
}

/** The page to which the links in our mails lead. */
const home = () => `${location.origin}${location.pathname}`;

const EMAIL = ["email", "email", "username"];

/**
 * The forms by name: each has `fields`, the function `act`, and `leads`, the forms that it links
 * to. `act` resolves to `{ data, error }`. If there is no session in `data`, a mail was sent.
 */
const WAYS = {
  sign_in: {
    fields: [EMAIL, ["password", "password", "current-password"]],
    act: ({ email, password }) => supabase.auth.signInWithPassword({ email, password }),
    leads: ["reset", "link", "sign_up"],
  },
  sign_up: {
    fields: [EMAIL, ["password", "password", "new-password"]],
    act: ({ email, password }) =>
      supabase.auth.signUp({ email, password, options: { emailRedirectTo: home() } }),
    leads: ["sign_in"],
  },
  reset: {
    fields: [EMAIL],
    act: ({ email }) => supabase.auth.resetPasswordForEmail(email, { redirectTo: home() }),
    leads: ["sign_in"],
  },
  link: {
    fields: [EMAIL],
    act: async ({ email }) => {
      const options = { emailRedirectTo: home(), shouldCreateUser: false };
      const { error } = await supabase.auth.signInWithOtp({ email, options });
      // The form shows the same for an unknown address, so that nobody learns which addresses have
      // an account.
      return { error: error?.code === "otp_disabled" ? null : error };
    },
    leads: ["sign_in"],
  },
  renew: {
    fields: [["new_password", "password", "new-password"]],
    act: async ({ new_password: password }) => {
      const { error } = await supabase.auth.updateUser({ password });
      return error ? { error } : supabase.auth.getSession();
    },
    leads: [],
  },
};

/**
 * Makes the sign-in page: its element, and `show(form, problem)`. `onuser` gets the user who signed
 * in.
 */
function createDoor(onuser) {
  const place = h("div", { class: "door-form" });
  /** The e-mail address, which the next form takes over. */
  let known = "";

  function show(name, trouble = null) {
    const { fields, act, leads } = WAYS[name];
    const problem = h("p", { class: "problem", role: "alert", hidden: !trouble }, trouble);
    const submit = h("button", { class: "button primary wide", type: "submit" }, t(`${name}_do`));
    const onsubmit = async (event) => {
      event.preventDefault();
      submit.disabled = true;
      const given = Object.fromEntries(new FormData(event.target));
      known = given.email ?? known;
      const { data, error } = await act(given);
      submit.disabled = false;
      problem.hidden = !error;
      problem.textContent = error ? why(error) : "";
      if (error) return;
      const user = data?.session?.user;
      if (user) onuser(user);
      else mailed(name);
    };
    const inputs = fields.map((one) => field(one, known));
    const words = [h("h2", {}, t(`${name}_title`)), h("p", { class: "muted" }, t(`${name}_text`))];
    const ways = leads.map((way) => button(t(`to_${way}`), () => leave(way), "quiet small"));
    const links = ways.length > 0 && h("div", { class: "door-ways" }, ways);
    const form = h("form", { class: "panel", onsubmit }, words, problem, inputs, submit, links);
    const leave = (way) => {
      known = form.elements.email?.value ?? known;
      show(way);
      place.querySelector("input").focus();
    };
    place.replaceChildren(form);
  }

  /** Says that a mail was sent. It says the same for an unknown address, to which none was sent. */
  function mailed(name) {
    const back = button(t("to_sign_in"), () => show("sign_in"), "quiet");
    const title = h("h2", { tabindex: -1 }, t("mailed_title"));
    const text = h("p", { class: "muted" }, t(`${name}_mailed`, { email: known }));
    const box = h("div", { class: "panel", role: "status" }, icon("mail", 32), title, text, back);
    place.replaceChildren(box);
    title.focus();
  }

  return { element: h("main", { class: "door" }, pitch(), place), show };
}

/** The words for an error of the auth API, by its code. */
function why({ code, status, name }) {
  if (name === "AuthRetryableFetchError" || status === 0) return t("error_network");
  return t.maybe(`auth_${code}`) ?? t("auth_failed");
}

function pitch() {
  const points = ["pitch_1", "pitch_2", "pitch_3"];
  const list = points.map((key) => h("li", {}, icon("check"), t(key)));
  return h("section", { class: "pitch" }, brand(), h("h1", {}, t("pitch")), h("ul", {}, list));
}

function field([name, type, autocomplete], value) {
  const kept = type === "email" && value ? { value } : {};
  const input = h("input", { name, type, required: true, autocomplete, ...kept });
  return h("label", { class: "field" }, h("span", {}, t(name)), input);
}
