// The predict page. It works without this module: the form is posted and the answer comes with the page.
// With it, images are sent as soon as they are chosen, dropped or pasted, and the answer is shown in place.

import { announce, busy, offer, phasesOf, problemOf, show } from "./answers.js";
import { byId, Token, unreadable } from "./app.js";
import { Batch } from "./batch.js";
import { copiesOf, filesIn, formOf, tooLarge, urlIn, withScheme } from "./images.js";
import { handed } from "./opened.js";
import { recent } from "./recent.js";
import { showMade } from "./requests.js";
import { Table } from "./table.js";

const [form, chooser, camera, address, choice] = ["form", "image", "camera", "image_url", "choose-model"].map(byId);
const [drop, preview, caption, share] = ["drop", "preview", "caption", "share"].map(byId);
const KEPT_ROWS = 5000;
const UNREACHABLE = { title: "No answer", detail: "The service could not be reached. Check the connection and try again." };

const limits = { get mb() { return Number(form.dataset.maxMb); }, get images() { return Number(form.dataset.maxBatch); } };
const token = new Token(byId("access"), byId("token"), byId("refused"), "predict-token");
let pending = null; // what is under way, with a method that ends it
let repeat = null; // sends the last images again, or only those of them that were not answered
let table = null; // of the images shown now
let sources = []; // object URLs of the images shown now
const remember = recent(reopen);

/** Where requests go: to the chosen model and version. */
function target() {
  const url = new URL("predict", form.action);
  url.search = new URL(form.action).search;
  return url;
}

function post({ body, headers }, signal) {
  const all = token.authorize({ Accept: "application/json", ...headers });
  return fetch(target(), { method: "POST", body, headers: all, signal });
}

function fail(problem) {
  show({ results: [{ error: problem }], images: [] });
}

/** Why a request has no answer. */
async function noAnswer(images) {
  return (await unreadable(images.map(({ file }) => file).filter(Boolean))) ?? UNREACHABLE;
}

/** Says why what was given is not sent. */
function refuse(problem) {
  clear();
  repeat = null;
  fail(problem);
}

/** Ends what is under way, and frees what was shown. */
function clear() {
  pending?.abort();
  pending = null;
  table?.clear();
  table = null;
  busy(false);
  share.hidden = true;
  showMade(null);
  offer([]);
  history.replaceState(null, "");
}

function showPreview(images) {
  sources.forEach((source) => URL.revokeObjectURL(source));
  sources = images.map(({ source }) => source).filter(Boolean);
  const [{ name, source }] = images;
  const single = images.length === 1;
  caption.textContent = single ? name : `${images.length} images`;
  preview.hidden = !(single && source);
  drop.classList.toggle("filled", !preview.hidden);
  if (preview.hidden) preview.removeAttribute("src");
  else preview.src = source;
}

/** Asks for the token before a request without one would be refused. */
function lacksToken() {
  if (token.missing) token.ask("Enter the token, then choose Predict.");
  return token.missing;
}

/** Says which version answered: another one may have become live since the page was opened. */
function answeredBy(model) {
  const chip = byId("chip");
  if (!model || !chip || chip.textContent === `${model.name} v${model.version}`) return;
  chip.textContent = `${model.name} v${model.version}`;
  byId("classes")?.remove();
  const option = choice?.selectedOptions[0];
  if (option?.value !== model.name) return;
  option.textContent = `${model.name}, live version ${model.version}`;
  option.dataset.version = model.version;
}

/** Sends the request and resolves to what then has to be done on the page. */
async function exchange(request, images, signal) {
  const started = performance.now();
  const response = await post(request, signal);
  if (!response.ok) {
    const problem = await problemOf(response);
    return () => {
      fail(problem);
      token.refusedBy(response.status);
    };
  }
  const answer = await response.json();
  const shown = { results: answer.results ?? [answer], phases: phasesOf(response), total: performance.now() - started };
  return () => {
    token.refusedBy(response.status);
    show({ ...shown, images });
    answeredBy(shown.results.find((one) => one.model)?.model);
    offerLink();
    offerCode(answer, images);
    keep({ ...shown, answer }, images);
  };
}

async function send(request, images) {
  clear();
  repeat = () => send(request, images);
  if (lacksToken()) return;
  const work = (pending = new AbortController());
  busy(true);
  const present = await exchange(request, images, work.signal).catch(async () => {
    const problem = await noAnswer(images);
    return () => fail(problem);
  });
  if (work.signal.aborted) return;
  busy(false); // before the words change: a busy region is not read out
  present();
}

/** Sends more images than a request holds, in parts, and shows them in a table. */
async function sendMany(files) {
  clear();
  const rows = files.map((one) => ({ ...one, error: tooLarge(one, limits.mb) }));
  const shown = (table = new Table(rows));
  const most = { images: limits.images, bytes: 2e6 * limits.mb };
  const changed = (part) => {
    shown.update(part);
    answeredBy(part.find((row) => row.answer)?.answer.model);
  };
  const batch = new Batch(rows, most, (part, signal) => post(formOf(part), signal), changed);
  const run = async () => {
    if (lacksToken()) return shown.working(false);
    pending = { abort: () => batch.cancel() };
    shown.working(true);
    shown.update(rows);
    announce(`${rows.length} images are sent.`);
    const problem = await batch.run();
    if (table !== shown) return;
    pending = null;
    shown.working(false, problem);
    if (problem?.status === 401) token.refusedBy(401);
    else if (rows.some((row) => row.answer)) token.refusedBy(200);
    keep({ rows: rows.slice(0, KEPT_ROWS).map(({ name, answer, error }) => ({ name, answer, error })) }, []);
  };
  byId("batch-cancel").addEventListener("click", () => batch.cancel());
  byId("batch-again").addEventListener("click", run);
  repeat = (anew) => {
    if (anew || !batch.open.length) sendMany(files);
    else if (!pending) run();
  };
  await run();
}

/** Takes image files, each as `{file, name}`. */
function takeFiles(files) {
  address.value = "";
  const total = files.reduce((sum, { file }) => sum + file.size, 0);
  const large = files.map((one) => tooLarge(one, limits.mb)).find(Boolean);
  if (files.length > limits.images || (files.length > 1 && (large || total > 2e6 * limits.mb))) {
    showPreview(files.map(({ name }) => ({ name })));
    return sendMany(files);
  }
  const images = files.map((one) => ({ ...one, source: URL.createObjectURL(one.file) }));
  showPreview(images);
  return large ? refuse(large) : send(formOf(files), images);
}

function takeList(list) {
  if (list.length) takeFiles([...list].map((file) => ({ file, name: file.name })));
}

function takeAddress(text) {
  const url = withScheme(text);
  address.value = url;
  const images = [{ name: url, url: true, source: /^(https?|data):/i.test(url) ? url : "" }];
  showPreview(images);
  return send({ body: JSON.stringify({ image_url: url }), headers: { "Content-Type": "application/json" } }, images);
}

function offerLink() {
  const link = new URL(form.action);
  link.searchParams.set("image_url", address.value);
  share.hidden = !address.value || /^data:/i.test(address.value);
  share.querySelector("a").href = link;
}

/** Offers the request as code, and its answer as JSON. */
function offerCode(answer, images) {
  if (!answer) return showMade(null);
  const url = address.value && images[0]?.url ? address.value : "";
  showMade({ target: String(target()), url, files: images.map(({ name }) => name), secret: !token.box.hidden }, answer);
}

/** Takes what was dropped or pasted: images first, else a URL; false if it held neither. */
function takeTransfer(transfer) {
  const url = urlIn(transfer);
  if (transfer.files.length) filesIn(transfer).then(takeFiles, refuse);
  else if (url) takeAddress(url);
  else return false;
  return true;
}

/** Keeps what is shown in the entry of the browser's history, so that it is there after Back. */
async function keep(shown, images) {
  const [given, current] = [address.value, repeat];
  const copies = await copiesOf(images);
  if (repeat !== current) return;
  const entry = { ...shown, images: copies, given };
  if (shown.results) remember(entry);
  try {
    history.replaceState(entry, "");
  } catch {
    // There is more than a browser keeps.
  }
}

/** Shows an entry of the list of earlier predictions again. */
function reopen(entry) {
  clear();
  repeat = null;
  restore(entry);
  history.replaceState(entry, "");
}

function restore({ rows, images, given, answer, ...shown }) {
  address.value = given;
  if (given) repeat = () => takeAddress(given);
  if (rows) {
    showPreview(rows);
    table = new Table(rows);
    return table.working(false);
  }
  showPreview(images);
  show({ ...shown, images });
  offerCode(answer, images);
  return offerLink();
}

/** Has the chosen model answer from now on, also the images that are shown. */
function choose() {
  const option = choice.selectedOptions[0];
  const [name, version] = option.value.split("/");
  const target = new URL(form.action);
  target.search = new URLSearchParams(version ? { model: name, version } : { model: name });
  form.action = target;
  history.replaceState(history.state, "", target.search);
  byId("chip").textContent = `${name} v${option.dataset.version}`;
  byId("classes")?.remove();
  for (const url of document.querySelectorAll(".predict-url")) {
    url.textContent = target.search ? `'${url.dataset.url}${target.search}'` : url.dataset.url;
  }
  repeat?.(true);
}

function start() {
  const dragging = (on) => document.body.classList.toggle("dragging", on);
  chooser.multiple = true;
  for (const input of [chooser, camera]) {
    input.addEventListener("change", () => {
      takeList(input.files);
      input.value = ""; // so that the same file can be chosen again
    });
  }
  preview.addEventListener("error", () => { preview.hidden = true; drop.classList.remove("filled"); });
  choice?.addEventListener("change", choose);
  for (const example of document.querySelectorAll("#examples a")) {
    example.addEventListener("click", async (event) => {
      event.preventDefault();
      const image = await fetch(example.href).then((response) => response.blob()).catch(() => null);
      if (image) takeList([new File([image], example.href.split("/").pop(), { type: "image/jpeg" })]);
      else refuse(UNREACHABLE);
    });
  }
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const text = address.value.trim();
    if (text) takeAddress(text);
    else if (repeat) repeat();
    else if (!lacksToken()) chooser.click();
  });
  document.addEventListener("dragover", (event) => { event.preventDefault(); dragging(true); });
  document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) dragging(false); });
  document.addEventListener("drop", (event) => { event.preventDefault(); dragging(false); takeTransfer(event.dataTransfer); });
  document.addEventListener("paste", (event) => {
    const typing = event.target.matches?.("input") && !event.clipboardData.files.length;
    if (!typing && takeTransfer(event.clipboardData)) event.preventDefault();
  });
  // What was chosen before this program was there.
  const early = [chooser, camera].find((input) => input?.files.length);
  const opened = handed();
  if (early) early.dispatchEvent(new Event("change"));
  else if (opened) takeFiles([{ file: opened, name: opened.name }]);
  else if (history.state?.images) restore(history.state);
  else if (new URLSearchParams(location.search).get("image_url")) takeAddress(address.value);
}

start();
