// An image of an evaluation, opened from its row: large where its file was chosen in a folder, and to be tried from there.

import { byId, dataOf, stored } from "./app.js";

const [dialog, title, image, facts, hint, action] = ["open", "open-title", "open-image", "open-facts", "open-hint", "open-try"].map(byId);
const KEY = "opened";

/** Returns the chosen file whose sent name a row shows. */
function fileOf(files, name) {
  return files.find((file) => (file.webkitRelativePath || file.name) === name);
}

/** Opens the predict page with an image in a new tab, so that the report stays; the tab gets a copy of what is stored. */
async function hand(file, address) {
  try {
    sessionStorage.setItem(KEY, JSON.stringify({ name: file.name, data: await dataOf(file) }));
    window.open(address);
    stored.set(KEY, "");
  } catch {
    hint.textContent = "The image is too large for the browser to pass on: choose it on the Predict page.";
    hint.hidden = false;
  }
}

/** Returns the file that another page handed over, or null. The file is handed over once. */
export function handed() {
  const kept = stored.get(KEY);
  if (!kept) return null;
  stored.set(KEY, "");
  const { name, data } = JSON.parse(kept);
  const [head, content] = data.split(",");
  const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
  return new File([bytes], name, { type: head.slice("data:".length).split(";")[0] });
}

function show(row, headings, file, address) {
  const cells = [...row.cells].map((cell) => cell.textContent);
  const small = row.querySelector(".small-copy");
  title.textContent = row.querySelector(".filename").textContent;
  if (file) image.src = URL.createObjectURL(file);
  else image.src = small.src;
  facts.replaceChildren(...headings.flatMap((heading, place) => (place < 2 ? [] : [
    Object.assign(document.createElement("dt"), { textContent: heading }),
    Object.assign(document.createElement("dd"), { textContent: cells[place] }),
  ])));
  hint.textContent = "Choose the folder instead of a ZIP file to see images in full, and to try them.";
  hint.hidden = Boolean(file);
  action.hidden = !file || !address;
  action.onclick = () => hand(file, address);
  dialog.onclose = () => {
    if (file) URL.revokeObjectURL(image.src);
    image.removeAttribute("src");
  };
  dialog.showModal();
}

/** Has the images of a table opened; `files` are those of a folder, `address` is the predict page of the model. */
export function openable(table, files, address) {
  const headings = [...table.tHead.rows[0].cells].map((cell) => cell.textContent);
  for (const row of table.tBodies[0].rows) {
    const small = row.querySelector(".small-copy");
    if (!small) continue;
    const name = row.querySelector(".filename").textContent;
    const button = Object.assign(document.createElement("button"), { type: "button", className: "opener" });
    button.setAttribute("aria-label", `Open ${name}`);
    small.replaceWith(button);
    button.append(small);
    button.addEventListener("click", () => show(row, headings, fileOf(files, name), address));
  }
}
