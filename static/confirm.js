// The question before a change that others notice.

import { byId } from "./app.js";

/** Says what a button changes, in the words of its data, and does it once that is confirmed. */
export function confirmed({ dataset }, act) {
  const dialog = byId("confirm");
  if (dialog.open) return; // of a second click
  const button = dialog.querySelector(".button");
  byId("confirm-title").textContent = dataset.title;
  dialog.querySelector(".loss").textContent = dataset.loss;
  button.textContent = dataset.verb;
  dialog.querySelector(".plain").textContent = dataset.verb === "Delete" ? "Keep it" : "Cancel";
  button.classList.toggle("danger", dataset.verb === "Delete");
  dialog.onclose = () => {
    if (dialog.returnValue === "do") act();
  };
  dialog.returnValue = "";
  dialog.showModal();
}
