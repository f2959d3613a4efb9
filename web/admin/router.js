// Every job, user and list has an address: what is shown follows it, and Back works.

const listening = [];

/** Tells of each change of the address. */
export const onaddress = (listener) => listening.push(listener);

export const path = () => location.pathname.replace(/\/+$/, "");
export const query = () => Object.fromEntries(new URLSearchParams(location.search));

/** An address of the admin page; what is empty is left out. */
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
