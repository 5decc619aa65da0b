// What was predicted earlier in this tab: small images with their labels, kept by the browser until the tab is closed.

import { percent } from "./answers.js";
import { byId } from "./app.js";

const [section, list] = ["recent", "recent-list"].map(byId);
const KEY = "recent";
const MOST = 12;

function read() {
  try {
    return JSON.parse(sessionStorage.getItem(KEY)) ?? [];
  } catch {
    return [];
  }
}

/** Keeps entries, fewer of them where the browser has no room. */
function write(entries) {
  for (let many = entries.length; many >= 0; many -= 1) {
    try {
      sessionStorage.setItem(KEY, JSON.stringify(entries.slice(0, many)));
      return entries.slice(0, many);
    } catch {
      // One less then.
    }
  }
  return [];
}

function item(entry, open) {
  const { results, images } = entry;
  const [{ predicted_label: label, confidence, error }] = results;
  const node = byId("recent-template").content.firstElementChild.cloneNode(true);
  const thumb = node.querySelector("img");
  if (images[0]?.source) Object.assign(thumb, { src: images[0].source, hidden: false });
  thumb.addEventListener("error", () => { thumb.hidden = true; });
  const more = results.length > 1 ? ` and ${results.length - 1} more` : "";
  node.querySelector(".label").textContent = (error ? error.title : (label ?? "none")) + more;
  node.querySelector(".small").textContent = error || confidence === undefined || confidence === null ? "" : percent(confidence);
  node.querySelector("button").addEventListener("click", () => open(entry));
  return node;
}

function draw(entries, open) {
  section.hidden = !entries.length;
  list.replaceChildren(...entries.map((entry) => item(entry, open)));
}

/** Shows what was kept; `open` shows an entry again. Returns what keeps another one. */
export function recent(open) {
  byId("recent-clear").addEventListener("click", () => draw(write([]), open));
  draw(read(), open);
  return (entry) => draw(write([entry, ...read()].slice(0, MOST)), open);
}
