// Each job, user and list has a URL. The page shown follows it, so that Back works.

const listening = [];

/** Calls the listener at each change of the URL. */
export const onaddress = (listener) => listening.push(listener);

export const path = () => location.pathname.replace(/\/+$/, "");
export const query = () => Object.fromEntries(new URLSearchParams(location.search));

/** A URL of the admin page, without empty parameters. */
export function address(place, parameters = {}) {
  const given = Object.entries(parameters).filter(([, value]) => value !== "" && value != null);
  const search = new URLSearchParams(given).toString();
  return `/admin${place}${search && `?${search}`}`;
}

export function go(href, { replace = false } = {}) {
  history[replace ? "replaceState" : "pushState"](null, "", href);
  for (const listener of listening) listener();
}

addEventListener("popstate", () => {
  for (const listener of listening) listener();
});
addEventListener("click", (event) => {
  const link = event.target.closest?.("a[href^='/admin']");
  const plain = !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;
  if (!link || link.target || link.download || event.button !== 0 || !plain) return;
  event.preventDefault();
  go(link.getAttribute("href"));
});
