// Draws the answers on the predict page: a card for each image, the times, the model, the words for a screen reader.

import { byId, foreign, save } from "./app.js";

const [panel, answers, facts, announcement] = ["result", "answers", "facts", "announcement"].map(byId);
const FORMULA = /^\s*[=+\-@\u{ff1d}\u{ff0b}\u{ff0d}\u{ff20}]|^[\t\r\n]/u;

export const NONE = "No class is above its threshold";

let savable = []; // what the buttons save: a name for each image, with its answer or its error

export function percent(share) {
  if (share >= 0.9995) return "100\u00a0%";
  return share < 0.0005 ? "<0.1\u00a0%" : `${(100 * share).toFixed(1)}\u00a0%`;
}

function duration(ms) {
  if (ms >= 999.5) return `${(ms / 1000).toFixed(2)} s`;
  return `${ms.toFixed(ms < 9.95 ? 1 : 0)} ms`;
}

/** Milliseconds of each phase, from the header `Server-Timing`. */
export function phasesOf(response) {
  const entries = (response.headers.get("Server-Timing") ?? "").matchAll(/([\w-]+)\s*;[^,]*?dur=([\d.]+)/g);
  return Object.fromEntries([...entries].map(([, name, ms]) => [name, Number(ms)]));
}

/** The problem that a refused request was answered with, or one made from the status. */
export async function problemOf(response) {
  const said = await response.json().catch(() => ({}));
  return { ...foreign(response.status), status: response.status, request_id: response.headers.get("X-Request-ID"), ...said };
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
  const [label, share] = first ? [answer.predicted_label, percent(answer.confidence)] : [NONE, ""];
  fill(card, { ".label": label, ".share": share, ".synonyms": synonyms.join(", ") });
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

/** Names the file that a card is about, and shows it where there are several. */
function identify(card, { name, source, url }, several) {
  if (url) return;
  Object.assign(card.querySelector(".file"), { textContent: name, hidden: false });
  if (!several || !source) return;
  const thumb = card.querySelector(".thumb");
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
  if (!result.predictions.length) return NONE;
  return result.predictions.slice(0, 3).map(({ label, confidence }) => `${label} ${percent(confidence)}`).join(", ");
}

export function announce(text) {
  announcement.textContent = text;
}

/** Shows results as cards: each an answer of the API or its `error`, of the image with the same index. */
export function show({ results, images, phases = {}, total = 0 }) {
  const several = results.length > 1;
  const cards = results.map((result) => (result.error ? problemCard(result.error) : answerCard(result)));
  cards.forEach((card, index) => images[index] && identify(card, images[index], several));
  answers.classList.toggle("many", several);
  answers.replaceChildren(...cards);
  showFacts(results.filter((result) => !result.error), phases, total);
  offer(several ? results.map((result, index) => ({ name: images[index].name, ...result })) : []);
  announce(results.map(spoken).join(". "));
  panel.dispatchEvent(new CustomEvent("answers", { detail: { cards, results, images } }));
  cards[0].scrollIntoView({ block: "nearest" });
}

/** Takes the place of cards by something else, such as the table of many images. */
export function replace(node) {
  facts.hidden = true;
  answers.classList.remove("many");
  answers.replaceChildren(node);
}

/** Has the buttons save these: `{name, ...answer}` or `{name, error}` for each image. */
export function offer(results) {
  savable = results;
  byId("saving").hidden = !results.length;
}

export function busy(on) {
  panel.setAttribute("aria-busy", String(on));
}

/** A cell of CSV; what a spreadsheet would take for a formula is made text by an apostrophe. */
function cell(value) {
  if (typeof value === "number") return String(value);
  const text = String(value ?? "");
  return `"${(FORMULA.test(text) ? `'${text}` : text).replaceAll('"', '""')}"`;
}

/** Rows as CSV. */
export function csvOf(rows) {
  return rows.map((line) => `${line.map(cell).join(",")}\r\n`).join("");
}

/** A line for each image: its best class, or its error. */
function csv(results) {
  const lines = results.map(({ name, error, predictions: [best] = [] }) => [
    name, best?.label, best?.index ?? "", best?.confidence ?? "", error && `${error.title}: ${error.detail}`,
  ]);
  return csvOf([["name", "label", "index", "confidence", "error"], ...lines]);
}

if (panel) {
  byId("save-csv").addEventListener("click", () => save("predictions.csv", csv(savable), "text/csv;charset=utf-8"));
  byId("save-json").addEventListener("click", () => save("predictions.json", JSON.stringify(savable, null, 1), "application/json"));
}
