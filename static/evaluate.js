// The page works without this module: its form is posted, and the answer is the page with the report.
// With it, a folder can be chosen, the progress is shown, and the report can be saved.

import { byId, timeLeft, Token } from "./app.js";

const [form, cancel] = ["evaluate", "cancel"].map(byId);
const [progress, bar, stage, outcome] = ["progress", "bar", "stage", "outcome"].map(byId);
const [archive, folder, saving] = ["archive", "folder", "saving"].map(byId);
const LOST = { title: "No answer", detail: "The connection to the service was lost." };
const STYLES = ["app.css", "report.css"];

const token = new Token(byId("admin"), byId("admin-token"), byId("admin-refused"), "admin-token");
let pending = null; // the request under way
let begun = 0; // when the images began to run

function megabytes(bytes) {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

function busy(working) {
  progress.hidden = !working;
  cancel.hidden = !working;
  for (const button of document.querySelectorAll("main button")) button.disabled = working && button !== cancel;
  if (!working) pending = null;
}

/** Shows a problem as the service describes it. */
function fail(problem) {
  const article = document.createElement("article");
  article.className = "problem";
  for (const [tag, text] of [["h3", problem.title], ["p", problem.detail]]) {
    const element = document.createElement(tag);
    element.textContent = text;
    article.append(element);
  }
  outcome.replaceChildren(article);
  saving.hidden = true;
  reveal();
}

function reveal() {
  outcome.hidden = false;
  outcome.focus();
}

/** Reads what has come of the answer, line by line; the last line may still be growing. */
function read(text) {
  const lines = text.split("\n").slice(0, -1).filter(Boolean).map((line) => JSON.parse(line));
  const last = lines.at(-1);
  if (last?.progress) {
    bar.value = last.progress.done / last.progress.of;
    const { done, of } = last.progress;
    stage.textContent = `${done} of ${of} runs${timeLeft(done, of, begun)}`;
  }
  return last;
}

async function finish(request) {
  busy(false);
  if (request.status !== 200) fail(refusal(request));
  if (token.refusedBy(request.status) || request.status !== 200) return;
  const last = read(request.responseText);
  if (last?.error) return fail(last.error);
  if (!last?.report) return fail({ title: "No report", detail: "The service ended the answer before the report." });
  const sheet = new DOMParser().parseFromString(last.html, "text/html").body;
  outcome.replaceChildren(...[...sheet.childNodes].map((node) => document.adoptNode(node)));
  enliven();
  reveal();
  await offer(last.report);
}

function refusal(request) {
  try {
    return JSON.parse(request.responseText);
  } catch {
    const detail = "A proxy between this page and the service refused the request.";
    return { title: `Answered with status ${request.status}`, detail };
  }
}

/** Makes the report a file to be saved, as JSON and as a page that needs nothing beside it. */
async function offer(report) {
  const kind = report.original ? "optimisation" : report.candidates ? "preprocessings" : "evaluation";
  const name = `${kind}-${report.model.name}-${report.model.version}`;
  link("save-json", `${name}.json`, JSON.stringify(report, null, 1), "application/json");
  const styles = await Promise.all(STYLES.map(async (file) => (await fetch(new URL(file, import.meta.url))).text()));
  const sheet = outcome.cloneNode(true);
  for (const change of sheet.querySelectorAll(".publish")) change.remove();
  const head = `<!doctype html><meta charset="utf-8"><title>${name}</title><style>${styles.join("\n")}</style>`;
  link("save-html", `${name}.html`, `${head}<main><section class="card sheet">${sheet.innerHTML}</section></main>`, "text/html");
  saving.hidden = false;
}

function link(id, name, content, type) {
  const anchor = byId(id);
  URL.revokeObjectURL(anchor.href);
  anchor.href = URL.createObjectURL(new Blob([content], { type }));
  anchor.download = name;
}

/** Has the new preprocessing published in the background. */
function enliven() {
  for (const change of outcome.querySelectorAll("form.publish")) {
    const note = Object.assign(document.createElement("p"), { className: "refused small", role: "alert" });
    change.addEventListener("submit", async (event) => {
      event.preventDefault();
      if (token.missing) return token.ask(`Enter the token, then choose ${change.textContent.trim()}.`);
      const button = change.querySelector("button");
      const label = button.textContent;
      const again = ({ title, detail }) => {
        Object.assign(button, { disabled: false, textContent: label });
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
    });
  }
}

function send(address) {
  const body = new FormData();
  const files = [...archive.files, ...folder.files];
  const field = form.dataset.field ?? "pictures";
  for (const file of files) body.append(field, file, file.webkitRelativePath || file.name);
  for (const [name, value] of new FormData(form)) if (typeof value === "string") body.append(name, value);
  if (!files.length) return fail({ title: "No images", detail: "Choose a ZIP file or a folder." });
  if (token.missing) return token.ask("Enter the token, then send again.");
  const total = files.reduce((sum, file) => sum + file.size, 0);
  if (total > 1e6 * Number(form.dataset.maxMb)) {
    return fail({ title: "Too large", detail: `The images may have at most ${form.dataset.maxMb} MB together.` });
  }
  const request = (pending = new XMLHttpRequest());
  request.open("POST", address);
  for (const [name, value] of Object.entries(token.authorize({ Accept: "application/x-ndjson, application/problem+json;q=0.9, text/html;q=0.5" }))) {
    request.setRequestHeader(name, value);
  }
  request.upload.addEventListener("progress", (event) => {
    bar.value = event.total ? event.loaded / event.total : 0;
    stage.textContent = `Sending ${megabytes(event.loaded)} of ${megabytes(event.total)}`;
  });
  request.upload.addEventListener("load", () => {
    bar.removeAttribute("value");
    stage.textContent = "Reading the images";
    begun = performance.now();
  });
  request.addEventListener("progress", () => request.status === 200 && read(request.responseText));
  request.addEventListener("load", () => finish(request));
  request.addEventListener("abort", () => busy(false));
  request.addEventListener("error", () => {
    busy(false);
    fail(LOST);
  });
  bar.value = 0;
  stage.textContent = "";
  busy(true);
  request.send(body);
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  send(event.submitter?.formAction || form.action);
});
// One of the two is enough: what was chosen last counts.
archive.addEventListener("change", () => archive.files.length && (folder.value = ""));
folder.addEventListener("change", () => folder.files.length && (archive.value = ""));
cancel.addEventListener("click", () => pending?.abort());
byId("folder-choice").hidden = false;
enliven();
