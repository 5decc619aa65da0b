// The page works without this module: the form is posted and the answer comes with the page.
// With it, a picture is sent as soon as it is chosen, dropped or pasted, and the answer is shown in place.

const byId = (id) => document.getElementById(id);
const [form, chooser, address, access, token] = ["form", "image", "image_url", "access", "token"].map(byId);
const [drop, preview, caption] = ["drop", "preview", "caption"].map(byId);
const [panel, answers, facts, announcement] = ["result", "answers", "facts", "announcement"].map(byId);

let pending = null; // AbortController of the request under way
let repeat = null; // sends the last pictures again
let sources = []; // addresses of the pictures shown now

function percent(share) {
  if (share >= 0.9995) return "100%";
  return share < 0.0005 ? "<0.1%" : `${(100 * share).toFixed(1)}%`;
}

function duration(ms) {
  if (ms >= 999.5) return `${(ms / 1000).toFixed(2)} s`;
  return `${ms.toFixed(ms < 9.95 ? 1 : 0)} ms`;
}

/** Milliseconds of each phase, from the header `Server-Timing`. */
function phasesOf(response) {
  const entries = (response.headers.get("Server-Timing") ?? "").matchAll(/([\w-]+)\s*;[^,]*?dur=([\d.]+)/g);
  return Object.fromEntries([...entries].map(([, name, ms]) => [name, Number(ms)]));
}

/** The problem that a refused request was answered with, or one made from the status. */
async function problemOf(response) {
  const said = await response.json().catch(() => ({}));
  const detail = "A proxy between this page and the service refused the request.";
  return { title: `Answered with status ${response.status}`, detail, request_id: response.headers.get("X-Request-ID"), ...said };
}

function clone(name) {
  return byId(`${name}-template`).content.firstElementChild.cloneNode(true);
}

function fill(node, texts) {
  for (const [selector, text] of Object.entries(texts)) node.querySelector(selector).textContent = text ?? "";
}

function rankRow({ label, confidence }) {
  const row = clone("rank");
  fill(row, { ".label": label, ".share": percent(confidence) });
  row.querySelector("rect").setAttribute("width", `${100 * Math.min(1, Math.max(0, confidence))}%`);
  return row;
}

function answerCard(answer) {
  const card = clone("answer");
  const [first] = answer.predictions;
  const synonyms = (first?.synonyms ?? []).filter((name) => name !== first.label);
  fill(card, { ".label": answer.predicted_label, ".share": percent(answer.confidence), ".synonyms": synonyms.join(", ") });
  card.querySelector(".ranking").replaceChildren(...answer.predictions.map(rankRow));
  return card;
}

function problemCard({ title, detail, code, request_id: request }) {
  const card = clone("problem");
  fill(card, { h3: title, ".detail": detail, ".code code": code, ".request code": request });
  card.querySelector(".code").hidden = !code;
  card.querySelector(".request").hidden = !request;
  return card;
}

/** Names the picture a card is about, which matters only where several are shown. */
function identify(card, { name, source }) {
  const [thumb, file] = [card.querySelector(".thumb"), card.querySelector(".file")];
  Object.assign(file, { textContent: name, hidden: false });
  thumb.addEventListener("error", () => { thumb.hidden = true; });
  Object.assign(thumb, { src: source, hidden: false });
}

function showTiming(phases, total) {
  const whole = Math.max(total, Object.values(phases).reduce((sum, ms) => sum + ms, 0));
  let x = 0;
  for (const item of facts.querySelectorAll(".phases li")) {
    const ms = phases[item.className];
    item.hidden = ms === undefined;
    fill(item, { span: duration(ms ?? 0) });
    const part = facts.querySelector(`.strip .${item.className}`);
    const width = (100 * (ms ?? 0)) / whole;
    part.setAttribute("x", `${x}%`);
    part.setAttribute("width", `${width}%`);
    x += width;
  }
  facts.querySelector(".strip").toggleAttribute("hidden", x === 0);
  byId("total").textContent = duration(total);
}

function showFacts(good, phases, total) {
  facts.hidden = good.length === 0;
  if (facts.hidden) return;
  const { name, version, digest } = good[0].model;
  const cached = good.filter((answer) => answer.cached).length;
  showTiming(phases, total);
  byId("model").textContent = `${name} version ${version}`;
  Object.assign(byId("digest"), { textContent: digest.slice(0, 19), title: digest });
  Object.assign(byId("cached"), { hidden: !cached, textContent: good.length > 1 ? `${cached} from cache` : "from cache" });
}

function spoken(result) {
  if (result.error) return `${result.error.title}. ${result.error.detail}`;
  return result.predictions.slice(0, 3).map(({ label, confidence }) => `${label} ${percent(confidence)}`).join(", ");
}

function show(results, pictures, phases, total) {
  const cards = results.map((result) => (result.error ? problemCard(result.error) : answerCard(result)));
  if (cards.length > 1) cards.forEach((card, index) => identify(card, pictures[index]));
  answers.classList.toggle("many", cards.length > 1);
  answers.replaceChildren(...cards);
  showFacts(results.filter((result) => !result.error), phases, total);
  announcement.textContent = results.map(spoken).join(". ");
  cards[0].scrollIntoView({ block: "nearest" });
}

function busy(on) {
  panel.setAttribute("aria-busy", String(on));
}

function fail(problem) {
  show([{ error: problem }], []);
  if (problem.code !== "unauthorized") return;
  access.hidden = false;
  token.focus();
}

function showPreview(pictures) {
  sources.forEach((address) => URL.revokeObjectURL(address));
  sources = pictures.map(({ source }) => source);
  const [{ name, source }] = pictures;
  const single = pictures.length === 1;
  caption.textContent = single ? name : `${pictures.length} images`;
  preview.hidden = !(single && source);
  drop.classList.toggle("filled", !preview.hidden);
  if (preview.hidden) preview.removeAttribute("src");
  else preview.src = source;
}

/** Sends the request and resolves to what then has to be done on the page. */
async function exchange(request, pictures, signal) {
  const started = performance.now();
  const headers = { Accept: "application/json", ...request.headers };
  if (token.value) headers.Authorization = `Bearer ${token.value}`;
  const response = await fetch(new URL("predict", form.action), { method: "POST", body: request.body, headers, signal });
  if (!response.ok) {
    const problem = await problemOf(response);
    return () => fail(problem);
  }
  const answer = await response.json();
  const total = performance.now() - started;
  return () => show(answer.results ?? [answer], pictures, phasesOf(response), total);
}

function unreachable() {
  fail({ title: "No answer", detail: "The service could not be reached. Check the connection and try again." });
}

async function send(request, pictures) {
  pending?.abort();
  const { signal } = (pending = new AbortController());
  repeat = () => send(request, pictures);
  busy(true);
  const present = await exchange(request, pictures, signal).catch(() => unreachable);
  if (signal.aborted) return;
  busy(false); // before the words change: a busy region is not read out
  present();
}

function takeFiles(list) {
  const files = [...list];
  const pictures = files.map((file) => ({ name: file.name, source: URL.createObjectURL(file) }));
  address.value = "";
  showPreview(pictures);
  const limit = Number(form.dataset.maxMb);
  const large = files.find((file) => file.size > limit * 1e6);
  if (large) return refuse(`${large.name} has ${(large.size / 1e6).toFixed(1)} MB; at most ${limit} MB are accepted.`);
  const body = new FormData();
  files.forEach((file) => body.append("image", file));
  return send({ body }, pictures);
}

/** Sending a file past the limit would only end in a broken connection. */
function refuse(detail) {
  pending?.abort();
  repeat = null;
  busy(false);
  fail({ title: "Image too large", detail, code: "image_too_large" });
}

function takeAddress(text) {
  address.value = text;
  const pictures = [{ name: text, source: /^https?:/i.test(text) ? text : "" }];
  showPreview(pictures);
  const body = JSON.stringify({ image_url: text });
  return send({ body, headers: { "Content-Type": "application/json" } }, pictures);
}

/** Takes what was dropped or pasted: pictures first, else an address; false if it held neither. */
function takeTransfer(transfer) {
  const address = (transfer.getData("text/uri-list") || transfer.getData("text/plain")).trim();
  if (transfer.files.length) takeFiles(transfer.files);
  else if (/^https?:\/\/\S+$/i.test(address)) takeAddress(address);
  else return false;
  return true;
}

function start() {
  const dragging = (on) => document.body.classList.toggle("dragging", on);
  chooser.multiple = true;
  chooser.addEventListener("change", () => {
    if (chooser.files.length) takeFiles(chooser.files);
    chooser.value = ""; // so that the same file can be chosen again
  });
  preview.addEventListener("error", () => { preview.hidden = true; drop.classList.remove("filled"); });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const text = address.value.trim();
    if (text) takeAddress(text);
    else if (repeat) repeat();
    else chooser.click();
  });
  document.addEventListener("dragover", (event) => { event.preventDefault(); dragging(true); });
  document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) dragging(false); });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    dragging(false);
    takeTransfer(event.dataTransfer);
  });
  document.addEventListener("paste", (event) => {
    const typing = event.target.matches?.("input") && !event.clipboardData.files.length;
    if (!typing && takeTransfer(event.clipboardData)) event.preventDefault();
  });
}

function enableCopy(button) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(button.previousElementSibling.textContent);
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
}

if (form) start();
if (navigator.clipboard) document.querySelectorAll(".copy").forEach(enableCopy); // absent on insecure origins
