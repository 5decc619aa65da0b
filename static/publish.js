// The forms of a report that publish what was found, sent in the background.

import { confirmed } from "./confirm.js";

export const LOST = { title: "No answer", detail: "The connection to the service was lost." };

/** Says what publishing changes: which version is made of which one, what differs, and which one is live until then. */
async function consequences({ address, version, change }) {
  const answer = await fetch(address, { headers: { Accept: "application/json" } }).catch(() => null);
  if (!answer?.ok) return `A new version is made from version ${version} and goes live in all workers at once. ${change}`;
  const { name, live, versions, history } = await answer.json();
  const next = 1 + Math.max(0, ...[...versions, ...history].map((one) => one.version ?? 0));
  const now = live ? `All workers switch from version ${live} to version ${next} at once, and you can roll back to version ${live}.` : `No version is live now; all workers then serve version ${next}.`;
  return `Version ${next} of ${name} is made from version ${version}. ${change} ${now}`;
}

function element(tag, className, textContent = "") {
  return Object.assign(document.createElement(tag), { className, textContent });
}

/** The golden images that a refused version gets wrong, and a button that overrules them where the service lets it. */
function gate({ title, detail, wrong }, again) {
  const box = element("div", "problem gate");
  const list = element("ul", "wrong");
  for (const { file, problem, truth, predicted } of wrong) {
    const item = element("li", "", `: ${problem ?? `${truth} predicted as ${predicted}`}`);
    item.prepend(element("span", "filename", file));
    list.append(item);
  }
  // The list has the images that the sentence names, and the button what it tells programs to send.
  box.append(element("h3", "", title), element("p", "", detail.split(" Wrong: ")[0]), list);
  box.setAttribute("role", "alert");
  if (!again) return box;
  const row = element("p", "row");
  const button = Object.assign(element("button", "plain", "Do it anyway"), { type: "button" });
  button.addEventListener("click", again);
  row.append(button, element("span", "small", "The history of the model records that the golden images were overruled."));
  box.append(row);
  return box;
}

class Publication {
  constructor(change, token) {
    Object.assign(this, { change, token, button: change.querySelector("button"), shown: null });
    this.words = this.button.textContent;
  }

  /** Shows why nothing was published; a list of images stands below the table, which has no room for it. */
  refused(said) {
    Object.assign(this.button, { disabled: false, textContent: this.words });
    if (said.wrong) {
      this.shown = gate(said, this.change.dataset.force && (() => this.send(true)));
      (this.change.closest(".scroll") ?? this.change).after(this.shown);
      this.shown.scrollIntoView({ block: "nearest" });
    } else {
      this.shown = element("p", "refused small", `${said.title}: ${said.detail}`);
      this.shown.setAttribute("role", "alert");
      this.change.append(this.shown);
    }
  }

  async send(force) {
    this.shown?.remove();
    Object.assign(this.button, { disabled: true, textContent: "Publishing" });
    const body = new URLSearchParams(new FormData(this.change));
    if (force) body.set("force", "true");
    const headers = this.token.authorize({ Accept: "application/json" });
    try {
      const answer = await fetch(this.change.action, { method: "POST", headers, body });
      const said = await answer.json();
      if (this.token.refusedBy(answer.status) || !answer.ok) return this.refused(said);
      this.change.replaceWith(element("strong", "", `Live: version ${said.version}`));
    } catch {
      this.refused(LOST);
    }
  }
}

/** Has a form sent once what it changes is confirmed; without a token one is asked for first. */
export function publishable(change, token) {
  const publication = new Publication(change, token);
  change.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (token.missing) return token.ask(`Enter the token, then choose ${publication.words}.`);
    change.dataset.loss = await consequences(change.dataset);
    confirmed(change, () => publication.send(false));
  });
}
