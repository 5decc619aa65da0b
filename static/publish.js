// The forms of a report that publish what was found, sent in the background.

import { confirmed } from "./confirm.js";

export const LOST = { title: "No answer", detail: "The connection to the service was lost." };

async function publish(change, token) {
  const button = change.querySelector("button");
  const words = button.textContent;
  const note = change.querySelector(".refused") ?? Object.assign(document.createElement("p"), { className: "refused small", role: "alert" });
  const again = ({ title, detail }) => {
    Object.assign(button, { disabled: false, textContent: words });
    note.textContent = `${title}: ${detail}`;
    change.append(note);
  };
  button.disabled = true;
  button.textContent = "Publishing";
  const headers = token.authorize({ Accept: "application/json" });
  const body = new URLSearchParams(new FormData(change));
  try {
    const answer = await fetch(change.action, { method: "POST", headers, body });
    const said = await answer.json();
    if (token.refusedBy(answer.status) || !answer.ok) return again(said);
    change.replaceWith(Object.assign(document.createElement("strong"), { textContent: `Live: version ${said.version}` }));
  } catch {
    again(LOST);
  }
}

/** Has a form sent once what it changes is confirmed; without a token one is asked for first. */
export function publishable(change, token) {
  change.addEventListener("submit", (event) => {
    event.preventDefault();
    const words = change.querySelector("button").textContent;
    if (token.missing) token.ask(`Enter the token, then choose ${words}.`);
    else confirmed(change, () => publish(change, token));
  });
}
