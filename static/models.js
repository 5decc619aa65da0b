// The page works without this module: its forms are posted, and the answer is the page again.
// With it, forms are sent in the background, and the parts of the page that change are taken from that answer.

import { byId, dropped, foreign, hidden, megabytes, problemBox, Token, unreadable } from "./app.js";
import { confirmed } from "./confirm.js";

const [form, cancel] = ["upload", "cancel"].map(byId);
const [progress, bar, stage] = ["progress", "bar", "stage"].map(byId);
const [several, folder, listing, source] = ["model-file", "folder", "chosen", "source"].map(byId);
const CHANGING = ["outcome", "models"];
const LISTED = 6;
const SHOWN = 20; // models of the list at first, and more each time

const token = new Token(byId("admin"), byId("admin-token"), byId("admin-refused"), "admin-token");
let pending = null; // the request under way
let chosen = []; // the model's files, each with its path
let origin = null; // the field that they come from

/** Puts the parts that change into the page; says whether the answer was this page. */
function show(html, url) {
  const answer = new DOMParser().parseFromString(html, "text/html");
  if (CHANGING.some((id) => !answer.getElementById(id))) return false;
  // Its links are relative to the URL that it came from, not to that of this page.
  for (const name of ["href", "action", "data-address"]) {
    for (const link of answer.querySelectorAll(`[${name}]`)) link.setAttribute(name, new URL(link.getAttribute(name), url));
  }
  for (const id of CHANGING) byId(id).replaceWith(document.adoptNode(answer.getElementById(id)));
  document.title = answer.title;
  enliven();
  return true;
}

function fail(problem, result = "The result is unknown") {
  const outcome = byId("outcome");
  outcome.replaceChildren(outcome.querySelector("h2"), problemBox(problem));
  outcome.querySelector("h2").textContent = result;
}

function finish(request) {
  busy(false);
  if (!show(request.responseText, request.responseURL)) fail(foreign(request.status));
  if (!token.refusedBy(request.status)) (byId("note") ?? byId("outcome")).focus();
}

function busy(sending) {
  progress.hidden = !sending;
  cancel.hidden = !sending;
  for (const button of document.querySelectorAll("main button")) button.disabled = sending && button !== cancel;
  if (!sending) pending = null;
}

function send(method, address, body) {
  if (token.missing) return token.ask("Enter the token, then send again.");
  const request = new XMLHttpRequest();
  let whole = false; // whether all of the body was sent
  pending = request;
  request.open(method, address);
  for (const [name, value] of Object.entries(token.authorize({ Accept: "text/html" }))) request.setRequestHeader(name, value);
  request.upload.addEventListener("progress", (event) => sent(event.loaded, event.total));
  request.upload.addEventListener("load", () => {
    whole = true;
    waiting(body ?? new FormData());
  });
  request.addEventListener("load", () => finish(request));
  request.addEventListener("abort", () => {
    busy(false);
    if (whole) fail({ title: "Cancelled", detail: "The service had received all of it and may still make the change. Reload the page later to see whether it did." });
    else fail({ title: "Cancelled", detail: "The service did not receive all of it." }, "Nothing was changed");
  });
  request.addEventListener("error", async () => {
    // A request whose body was not sent to its end changes nothing.
    const problem = whole ? null : await unreadable([...(body?.values() ?? [])].filter((value) => value instanceof File));
    busy(false);
    if (problem) fail(problem, "Nothing was changed");
    else fail({ title: "No answer", detail: "The connection to the service was lost. The list below may be out of date." });
  });
  bar.value = 0;
  stage.textContent = "";
  busy(true);
  request.send(body);
}

function sent(loaded, total) {
  bar.value = total ? loaded / total : 0;
  stage.textContent = `Sending ${megabytes(loaded)} of ${megabytes(total)} (${Math.round((100 * loaded) / total)} %)`;
}

function waiting(body) {
  bar.removeAttribute("value");
  if (body.get("source")) stage.textContent = "Fetching and checking the model; then every worker loads it and all switch at once";
  else if (body.has("files")) stage.textContent = "Checking the model; then every worker loads it and all switch at once";
  else stage.textContent = "Every worker loads the version, and all switch at once";
}

/** Shows the models whose names hold what is searched for, a page of them, then more. */
function list(models, many = SHOWN) {
  const wanted = byId("search-name")?.value.trim().toLowerCase() ?? "";
  const found = models.filter((model) => model.getAttribute("aria-label").toLowerCase().includes(wanted));
  for (const model of models) model.hidden = !found.slice(0, many).includes(model);
  byId("more").hidden = found.length <= many;
  byId("more").firstElementChild.onclick = () => list(models, many + SHOWN);
  if (wanted) byId("search-count").textContent = `${found.length} of ${models.length}`;
  else byId("search-count")?.replaceChildren();
}

/** Makes the parts that were put into the page work. */
function enliven() {
  const models = [...document.querySelectorAll("#models .model")];
  byId("search")?.removeAttribute("hidden");
  byId("search-name")?.addEventListener("input", () => list(models));
  // What was just changed is in sight.
  const changed = models.findIndex((model) => model.querySelector("#note"));
  list(models, Math.max(SHOWN, changed + 1));
  for (const change of document.querySelectorAll("form.change, form.again")) {
    const act = () => send("POST", change.action, new URLSearchParams(new FormData(change)));
    change.addEventListener("submit", (event) => {
      event.preventDefault();
      // What was refused was confirmed before, and the list of wrong images stands beside the button.
      if (change.matches(".again")) act();
      else confirmed(change, act);
    });
  }
  for (const button of document.querySelectorAll("button.delete")) {
    button.hidden = false;
    button.addEventListener("click", () => confirmed(button, () => send("DELETE", button.dataset.address, null)));
  }
  for (const time of document.querySelectorAll("#models time")) {
    time.title = time.dateTime;
    time.textContent = new Date(time.dateTime).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
  }
}

/** A page that the browser kept for Back may have the models as they were before a change. */
async function refresh() {
  // Until the page is loaded, a fetch of its own would be answered by what was kept, too.
  const answer = await fetch(location, { cache: "no-cache", headers: { Accept: "text/html" } }).catch(() => null);
  if (answer?.ok && !pending) show(await answer.text(), answer.url);
}

/** Takes the place of what was chosen before: files, a folder or what was dropped. */
function choose(files, from) {
  origin = from;
  chosen = files.filter(({ path }) => from === several || !hidden(path));
  for (const input of [several, folder]) if (input !== from) input.value = "";
  if (chosen.length) source.value = "";
  const total = chosen.reduce((sum, { file }) => sum + file.size, 0);
  const more = chosen.length - LISTED;
  const names = chosen.slice(0, LISTED).map(({ path }) => path).join(", ");
  // The line stands below the field that the files come from.
  (from ?? several).after(listing);
  listing.hidden = !chosen.length;
  listing.textContent = `Chosen: ${names}${more > 0 ? ` and ${more} more` : ""}, ${megabytes(total)}`;
}

function chosenIn(input) {
  choose([...input.files].map((file) => ({ file, path: file.webkitRelativePath || file.name })), input);
}

/** Why what was chosen is not sent. */
function refusal() {
  const named = source.value.trim();
  if (named && chosen.length) return { title: "Two models", detail: "Choose files or name a source, not both." };
  if (!named && !chosen.length) return { title: "No model", detail: "Choose an .onnx file, a ZIP file or a folder, or name a source." };
  if (chosen.length > Number(form.dataset.maxFiles)) return { title: "Too many files", detail: `A model may have at most ${form.dataset.maxFiles} files.` };
  const total = chosen.reduce((sum, { file }) => sum + file.size, 0);
  if (total > 1e6 * Number(form.dataset.maxMb)) return { title: "Model too large", detail: `The model may have at most ${form.dataset.maxMb} MB.` };
  return null;
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  // A file that is chosen again under its name is another one, without a change event.
  if (origin) chosenIn(origin);
  const refused = refusal();
  if (refused) {
    fail(refused, "Nothing was sent");
    byId("outcome").focus();
    return;
  }
  const body = new FormData(form);
  // A button outside of the form overrules the golden images.
  if (event.submitter?.name) body.set(event.submitter.name, event.submitter.value);
  for (const [name, value] of [...body]) if (name === "files" || (value instanceof File ? !value.name : name === "source" && !value.trim())) body.delete(name);
  for (const { path, file } of chosen) body.append("files", file, path);
  send("POST", form.action, body);
});
source.addEventListener("input", () => source.value.trim() && chosen.length && choose([], null));
for (const input of [several, folder]) {
  input.addEventListener("change", () => chosenIn(input));
  // A page that is shown again may have kept what was chosen.
  if (input.files.length) chosenIn(input);
}
byId("folder-choice").hidden = false;
cancel.addEventListener("click", () => pending?.abort());
document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", (event) => {
  event.preventDefault();
  dropped(event.dataTransfer, Number(form.dataset.maxFiles)).then(
    (files) => choose(files, null),
    () => fail({ title: "Not readable", detail: "The browser could not read what was dropped." }),
  );
});
enliven();
if (performance.getEntriesByType("navigation")[0]?.type === "back_forward") refresh();
