// The buttons "Why?" of the predict page: maps of what speaks for a class, up to two of an image side by side.

import { announce, percent, problemOf } from "./answers.js";
import { byId, dataOf, Token, unreadable } from "./app.js";

const SIDE_BY_SIDE = 2;
const LEAST_FIDELITY = 0.2;
const TRIES = 5;
const LONGEST_WAIT = 15; // seconds after which the service may ask to try again

const form = byId("form");
const token = new Token(byId("access"), byId("token"), byId("refused"), "predict-token");

function clone(name) {
  return byId(`${name}-template`).content.firstElementChild.cloneNode(true);
}

/** The body of a request with an image as it was sent, or the copy that the page's history has. */
async function bodyOf({ file, name, url, source }, index) {
  const json = url ? { image_url: name } : { image: file ? await dataOf(file) : source };
  // Only in JSON a number is an index: elsewhere it may be the name of a class.
  return { body: JSON.stringify({ ...json, class: index }), headers: { "Content-Type": "application/json" } };
}

/** The explanation of a class, or the problem that the service answers with; waits where it asks for that. */
async function ask({ image, answer, index, method }) {
  const { body, headers } = await bodyOf(image, index);
  const target = new URL("explain", form.action);
  const { name, version } = answer.model;
  target.search = new URLSearchParams({ model: name, version, method, overlay: true });
  for (let left = TRIES; ; left -= 1) {
    const all = token.authorize({ Accept: "application/json", ...headers });
    const response = await fetch(target, { method: "POST", body, headers: all });
    if (response.ok) return response.json();
    const seconds = Number(response.headers.get("Retry-After"));
    if (!seconds || seconds > LONGEST_WAIT || left === 1) {
      token.refusedBy(response.status);
      return { problem: await problemOf(response) };
    }
    await new Promise((done) => setTimeout(done, 1000 * seconds));
  }
}

function wayOf({ method, runs, fidelity }) {
  if (method === "cam") return "Class activation map, from one run of the model.";
  return `Fit to ${runs} masked images, R² ${fidelity.toFixed(2)}.`;
}

function doubtOf({ fidelity }) {
  if (fidelity === null || fidelity >= LEAST_FIDELITY) return "";
  return `This map is not to be trusted: it foretells only ${percent(fidelity)} of how the confidence changes when parts are hidden.`;
}

/** Shows what came of a request in its figure. */
function fill(figure, found) {
  const [image, waiting, way, doubt] = ["img", ".waiting", ".way", ".doubt"].map((name) => figure.querySelector(name));
  figure.setAttribute("aria-busy", "false");
  if (found.problem) {
    waiting.textContent = `${found.problem.title}. ${found.problem.detail}`;
    return announce(waiting.textContent);
  }
  const { label } = found.class;
  waiting.hidden = true;
  Object.assign(image, { src: found.overlay, hidden: false, alt: `The image with what speaks for ${label} in orange and what speaks against it in blue` });
  figure.querySelector(".label").textContent = label;
  figure.querySelector(".share").textContent = percent(found.confidence);
  way.textContent = wayOf(found);
  Object.assign(doubt, { textContent: doubtOf(found), hidden: !doubtOf(found) });
  figure.querySelector(".check").hidden = found.method !== "cam";
  announce(`The map of ${label} is shown. ${way.textContent} ${doubt.textContent}`);
}

/** The maps of one card. */
class Maps {
  constructor(card, answer, image) {
    Object.assign(this, { card, answer, image, panel: clone("why"), shown: [] });
    for (const id of ["map-scale", "map-unseen"]) this.rename(id);
    const rows = card.querySelectorAll(".ranking li");
    answer.predictions.forEach((prediction, place) => {
      const button = rows[place].querySelector(".why");
      Object.assign(button, { hidden: false, ariaLabel: `Why ${prediction.label}?` });
      button.addEventListener("click", () => this.toggle(prediction, "auto", button));
    });
  }

  /** Ids must differ from those of other cards. */
  rename(id) {
    const own = `${id}-${Maps.count++}`;
    this.panel.querySelector(`#${id}`).id = own;
    this.panel.querySelector(`[fill="url(#${id})"]`).setAttribute("fill", `url(#${own})`);
  }

  toggle(prediction, method, button) {
    const known = this.shown.find((map) => map.index === prediction.index && map.method === method);
    if (known) return this.close(known);
    if (this.shown.length === SIDE_BY_SIDE) this.close(this.shown[0]);
    return this.open({ index: prediction.index, method, button, figure: clone("map") }, prediction);
  }

  async open(map, prediction) {
    const { figure, button, index, method } = map;
    this.shown.push(map);
    button?.setAttribute("aria-pressed", "true");
    figure.querySelector(".label").textContent = prediction.label;
    figure.querySelector(".close").addEventListener("click", () => {
      this.close(map);
      button?.focus();
    });
    figure.querySelector(".check").addEventListener("click", () => this.toggle(prediction, "masks"));
    this.panel.querySelector(".maps").append(figure);
    this.card.append(this.panel);
    const asked = { image: this.image, answer: this.answer, index, method };
    const unreachable = { title: "No answer", detail: "The service could not be reached. Try again." };
    const found = await ask(asked).catch(async () => ({ problem: (this.image.file && (await unreadable([this.image.file]))) || unreachable }));
    if (figure.isConnected) fill(figure, found);
  }

  close(map) {
    this.shown = this.shown.filter((one) => one !== map);
    map.figure.remove();
    map.button?.setAttribute("aria-pressed", "false");
    if (!this.shown.length) this.panel.remove();
  }
}
Maps.count = 0;

byId("result").addEventListener("answers", ({ detail: { cards, results, images } }) => {
  results.forEach((answer, place) => {
    const image = images[place];
    if (!answer.error && image && (image.file || image.source || image.url)) new Maps(cards[place], answer, image);
  });
});
