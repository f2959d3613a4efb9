// Shows a website that a model wrote, from files that the studio sends. This page has a content
// security policy and an origin of its own, so that the website's scripts reach neither the studio
// nor a network. Each page of the website is loaded into an inner frame, which ends the scripts of
// the page before.

const frame = document.createElement("iframe");
frame.title = "Website";
frame.setAttribute("sandbox", "allow-scripts");
Object.assign(document.documentElement.style, { height: "100%" });
Object.assign(frame.style, {
  position: "fixed",
  inset: "0",
  width: "100%",
  height: "100%",
  border: "0",
});
/** The text of each file, by path. */
let files = new Map();

/** Runs inside the website: reports to this page which file a clicked link names. */
function followLinks() {
  addEventListener("click", (event) => {
    const href = event.target.closest?.("a[href]")?.getAttribute("href");
    if (!href || href.startsWith("#")) return;
    event.preventDefault();
    parent.postMessage({ href }, "*");
  });
}

/**
 * A path with its percent escapes decoded. A path with a plain % in a name is returned as it is.
 */
function decoded(path) {
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}

/**
 * The path of the file that an address names within the file `from`; null if it names none of the
 * website.
 */
function resolved(address, from) {
  const base = new URL(from, "https://website.invalid/");
  if (!URL.canParse(address, base)) return null;
  const { host, pathname } = new URL(address, base);
  if (host !== base.host) return null;
  const path = decoded(pathname.slice(1)) || "index.html";
  return [path, `${path}.html`, `${path}/index.html`].find((name) => files.has(name)) ?? null;
}

const TYPES = { svg: "image/svg+xml" };

/** The HTML of one page, with the files that it links to put into it. */
function assembled(path) {
  const page = new DOMParser().parseFromString(files.get(path), "text/html");
  const named = (element, name) => {
    const address = element.getAttribute(name);
    return address ? resolved(address, path) : null;
  };
  for (const link of page.querySelectorAll("link[rel~=stylesheet]")) {
    const style = page.createElement("style");
    style.textContent = files.get(named(link, "href")) ?? "";
    link.replaceWith(style);
  }
  for (const script of page.querySelectorAll("script[src]")) {
    const text = files.get(named(script, "src")) ?? "";
    script.textContent = text.replaceAll("</script", "<\\/script");
    // An inline script cannot be deferred, so it is moved to the end of the page.
    if (script.defer) page.body.append(script);
    script.removeAttribute("src");
  }
  for (const image of page.querySelectorAll("img[src]")) {
    const file = named(image, "src");
    const type = TYPES[file?.split(".").at(-1)];
    if (type) image.src = `data:${type},${encodeURIComponent(files.get(file))}`;
  }
  const links = page.createElement("script");
  links.textContent = `(${followLinks})()`;
  page.head.prepend(links);
  return `<!doctype html>${page.documentElement.outerHTML}`;
}

function show(path) {
  frame.srcdoc = assembled(path);
}

let shown = "index.html";
addEventListener("message", ({ data, source }) => {
  if (source === parent && data.files) {
    files = new Map(data.files.map(({ path, content }) => [path, content]));
    document.body.append(frame);
    show(shown);
  } else if (source === frame.contentWindow && typeof data.href === "string") {
    const path = resolved(data.href, shown);
    if (path?.endsWith(".html")) show((shown = path));
  }
});
parent.postMessage("ready", "*");
