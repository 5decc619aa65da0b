// The page works without this module: its form is posted, and the answer is the page with the report.
// With it, a folder can be chosen, the progress is shown, and the report can be saved.

import { csvOf } from "./answers.js";
import { byId, foreign, megabytes, problemBox, timeLeft, Token, unreadable } from "./app.js";
import { openable } from "./opened.js";
import { LOST, publishable } from "./publish.js";
import { sortable } from "./sorting.js";
import "./versions.js";

const [form, compare, golden, cancel] = ["evaluate", "compare", "golden", "cancel"].map(byId);
const [progress, bar, stage, outcome, notice] = ["progress", "bar", "stage", "outcome", "notice"].map(byId);
const [archive, folder, saving] = ["archive", "folder", "saving"].map(byId);
const STYLES = ["app.css", "report.css"];

const token = new Token(byId("admin"), byId("admin-token"), byId("admin-refused"), "admin-token");
// The page that makes models faster has the first form only.
const FIELD = form.dataset.field ?? "pictures";
let pending = null; // the request under way
let begun = 0; // when the images began to run

function busy(working) {
  progress.hidden = !working;
  cancel.hidden = !working;
  for (const button of document.querySelectorAll("main button")) button.disabled = working && button !== cancel;
  if (!working) return void (pending = null);
  bar.removeAttribute("value");
  stage.textContent = "";
  notice?.setAttribute("hidden", "");
}

/** Shows a problem as the service describes it. */
function fail(problem) {
  outcome.replaceChildren(problemBox(problem));
  saving.hidden = true;
  reveal();
}

/** Shows a sentence in the place of the report. */
function tell(title, text) {
  const heading = Object.assign(document.createElement("h2"), { textContent: title });
  outcome.replaceChildren(heading, Object.assign(document.createElement("p"), { textContent: text }));
  saving.hidden = true;
  reveal();
}

/** Has the result in sight, whose place is below the forms. */
function reveal() {
  outcome.hidden = false;
  outcome.focus({ preventScroll: true });
  outcome.scrollIntoView({ block: "start" });
}

/** Reads what has come of the answer, line by line; the last line may still be growing. */
function read(text) {
  const lines = text.split("\n").slice(0, -1).filter(Boolean).map((line) => JSON.parse(line));
  const last = lines.at(-1);
  const noticed = lines.filter((line) => line.notice).map((line) => line.notice);
  if (notice) Object.assign(notice, { textContent: noticed.join(" "), hidden: !noticed.length });
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
  enliven(last.report);
  reveal();
  await offer(last.report);
}

function refusal(request) {
  try {
    return JSON.parse(request.responseText);
  } catch {
    return foreign(request.status);
  }
}

/** Makes the report a file to be saved, as JSON and as a page that needs nothing beside it. */
async function offer(report) {
  const kind = report.original ? "optimisation" : report.candidates ? "preprocessings" : report.other ? "comparison" : "evaluation";
  const name = `${kind}-${report.model.name}-${report.model.version}`;
  link("save-json", `${name}.json`, JSON.stringify(report, null, 1), "application/json");
  byId("save-csv")?.toggleAttribute("hidden", kind !== "evaluation");
  if (kind === "evaluation") link("save-csv", `${name}.csv`, csv(report.images), "text/csv;charset=utf-8");
  const styles = await Promise.all(STYLES.map(async (file) => (await fetch(new URL(file, import.meta.url))).text()));
  const sheet = outcome.cloneNode(true);
  for (const change of sheet.querySelectorAll(".publish")) change.remove();
  for (const opener of sheet.querySelectorAll(".opener")) opener.replaceWith(...opener.childNodes);
  const head = `<!doctype html><meta charset="utf-8"><title>${name}</title><style>${styles.join("\n")}</style>`;
  link("save-html", `${name}.html`, `${head}<main><section class="card sheet">${sheet.innerHTML}</section></main>`, "text/html");
  saving.hidden = false;
}

/** A line for each image, with its class and the answer. */
function csv(images) {
  const faults = ["missed", "extra"].filter((name) => name in images[0]);
  const lines = images.map(({ file, truth, predicted, confidence, outcome: came, ...lists }) => [
    file, truth?.label ?? "", truth?.index ?? "", predicted.label, predicted.index, confidence, came,
    ...faults.map((name) => lists[name].map((one) => one.label).join("|")),
  ]);
  return csvOf([["file", "truth", "truth_index", "predicted", "predicted_index", "confidence", "outcome", ...faults], ...lines]);
}

function link(id, name, content, type) {
  const anchor = byId(id);
  URL.revokeObjectURL(anchor.href);
  anchor.href = URL.createObjectURL(new Blob([content], { type }));
  anchor.download = name;
}

/** Has tables sorted, images opened, and a new preprocessing or calibration published in the background. */
function enliven(report) {
  for (const table of outcome.querySelectorAll("table.sortable")) sortable(table);
  for (const change of outcome.querySelectorAll("form.publish")) publishable(change, token);
  if (!byId("open") || !report) return;
  const page = new URL("./", document.baseURI);
  const { name, version } = report.model;
  page.search = new URLSearchParams({ model: name, version });
  for (const table of outcome.querySelectorAll("table:has(.small-copy)")) openable(table, [...folder.files], version ? page.href : "");
}

/** The fields of a form that were filled, and the images: its own, or those chosen in the first form. */
function filled(source) {
  const body = new FormData(source);
  for (const [name, value] of [...body]) if (value === "" || (value instanceof File && !value.name)) body.delete(name);
  if (body.has(FIELD)) return body;
  for (const file of [...archive.files, ...folder.files]) body.append(FIELD, file, file.webkitRelativePath || file.name);
  return body;
}

/** Why a request has no answer. */
async function lost(body) {
  return (await unreadable([...body.values()].filter((value) => value instanceof File))) ?? LOST;
}

function send(source, address) {
  const body = filled(source);
  const files = body.getAll(FIELD);
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
  request.addEventListener("error", async () => {
    const problem = await lost(body);
    busy(false);
    fail(problem);
  });
  busy(true);
  bar.value = 0;
  request.send(body);
}

/** Keeps golden images, or deletes those that are kept. */
async function keep(remove) {
  const body = filled(golden);
  if (!remove && !body.has("pictures")) return fail({ title: "No images", detail: "Choose a ZIP file or a folder." });
  if (token.missing) return token.ask("Enter the token, then send again.");
  const address = `${golden.dataset.base}${encodeURIComponent(byId("golden-model").value)}/golden`;
  const abort = (pending = new AbortController());
  const request = { signal: abort.signal, method: remove ? "DELETE" : "POST", headers: token.authorize({ Accept: "application/json" }), body: remove ? undefined : body };
  busy(true);
  try {
    const answer = await fetch(address, request);
    const said = await answer.json();
    if (token.refusedBy(answer.status) || !answer.ok) return fail(said);
    const live = said.live ? ` Version ${said.live.version}, which is live, gets ${said.live.right} right.` : "";
    tell("Golden images", said.images.length ? `${said.images.length} are kept for ${said.name}; ${said.least} must be right.${live}` : `None are kept for ${said.name}.`);
  } catch {
    if (!abort.signal.aborted) fail(await lost(body));
  } finally {
    busy(false);
  }
}

for (const source of [form, compare].filter(Boolean)) {
  source.addEventListener("submit", (event) => {
    event.preventDefault();
    // Without an attribute of its own, a button's formAction is the page's URL.
    send(source, event.submitter?.hasAttribute("formaction") ? event.submitter.formAction : source.action);
  });
}
golden?.addEventListener("submit", (event) => {
  event.preventDefault();
  keep(event.submitter?.value === "delete");
});
// One of the two is enough: what was chosen last counts.
archive.addEventListener("change", () => archive.files.length && (folder.value = ""));
folder.addEventListener("change", () => folder.files.length && (archive.value = ""));
cancel.addEventListener("click", () => pending?.abort());
byId("folder-choice").hidden = false;
golden?.removeAttribute("hidden");
enliven();
