// Shows a website that a model wrote, of files that the studio sends. This page has a policy and an
// origin of its own: what runs here reaches neither the studio nor a network. The website lies in a
// frame within, whose scripts end with each page of it.

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
/** Text by path. */
let files = new Map();

/** Tells this page which file a click within the website leads to. */
function followLinks() {
  addEventListener("click", (event) => {
    const href = event.target.closest?.("a[href]")?.getAttribute("href");
    if (!href || href.startsWith("#")) return;
    event.preventDefault();
    parent.postMessage({ href }, "*");
  });
}

/** A path with its escapes read; as it is, where a plain % is part of a name. */
function decoded(path) {
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}

/** The path of a file as another file names it. Null where it names nothing of the website. */
function resolved(address, from) {
  const base = new URL(from, "https://website.invalid/");
  if (!URL.canParse(address, base)) return null;
  const { host, pathname } = new URL(address, base);
  if (host !== base.host) return null;
  const path = decoded(pathname.slice(1)) || "index.html";
  return [path, `${path}.html`, `${path}/index.html`].find((name) => files.has(name)) ?? null;
}

const TYPES = { svg: "image/svg+xml" };

/** The text of one of its pages with the files that it names put in. */
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
    // What is written into a page cannot wait for its end in any other way.
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
