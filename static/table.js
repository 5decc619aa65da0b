// The table of many images: sorted by its headings, in pages, with thumbnails only of the rows that are in sight.

import { announce, NONE, offer, percent, replace } from "./answers.js";
import { byId, timeLeft } from "./app.js";
import { thumbnail } from "./images.js";

const PAGE = 500;
const KEYS = {
  name: (row) => row.name,
  label: (row) => row.answer?.predicted_label,
  confidence: (row) => row.answer?.confidence ?? (row.error ? -1 : undefined),
};

function compare(one, other) {
  if (one === undefined || other === undefined) return (one === undefined) - (other === undefined);
  return typeof one === "number" ? one - other : one.localeCompare(other, undefined, { numeric: true });
}

export class Table {
  /** @param rows of a `Batch`; those without a `file` get no thumbnail. */
  constructor(rows) {
    Object.assign(this, { rows, key: null, down: false, page: 0, making: Promise.resolve(), started: performance.now() });
    this.lines = new Map(); // the row of each line of the page
    this.watcher = new IntersectionObserver((seen) => seen.forEach((one) => this.#seen(one)), { rootMargin: "200px" });
    replace(byId("batch-template").content.firstElementChild.cloneNode(true));
    for (const button of document.querySelectorAll("#table [data-key]")) button.addEventListener("click", () => this.#sort(button.dataset.key));
    for (const button of document.querySelectorAll("#pages [data-step]")) button.addEventListener("click", () => this.#turn(Number(button.dataset.step)));
    this.draw();
    byId("batch-stage").scrollIntoView({ block: "nearest" });
  }

  /** Three clicks on a heading: up, down, and as the images were chosen. */
  #sort(key) {
    if (this.key !== key) Object.assign(this, { key, down: false });
    else if (!this.down) this.down = true;
    else Object.assign(this, { key: null, down: false });
    this.page = 0;
    this.draw();
  }

  #turn(step) {
    this.page += step;
    this.draw();
    byId("table").scrollIntoView({ block: "start" });
  }

  #sorted() {
    if (!this.key) return this.rows;
    const value = KEYS[this.key];
    const known = this.rows.filter((row) => value(row) !== undefined);
    known.sort((one, other) => (this.down ? -1 : 1) * compare(value(one), value(other)));
    return [...known, ...this.rows.filter((row) => value(row) === undefined)];
  }

  /** Draws a page of rows. */
  draw() {
    this.clear();
    for (const row of this.#sorted().slice(PAGE * this.page, PAGE * (this.page + 1))) {
      const line = byId("row-template").content.querySelector("tr").cloneNode(true);
      this.lines.set(line, row);
      row.line = line;
      line.querySelector(".name").textContent = row.name;
      this.#write(row);
      if (row.file) this.watcher.observe(line);
    }
    document.querySelector("#table tbody").replaceChildren(...this.lines.keys());
    for (const heading of document.querySelectorAll("#table [aria-sort]")) {
      const own = heading.firstElementChild.dataset.key === this.key;
      heading.setAttribute("aria-sort", own ? (this.down ? "descending" : "ascending") : "none");
    }
    this.#number();
  }

  #number() {
    const count = Math.ceil(this.rows.length / PAGE);
    byId("pages").hidden = count < 2;
    byId("pages").querySelector("span").textContent = `Page ${this.page + 1} of ${count}`;
    for (const button of document.querySelectorAll("#pages [data-step]")) {
      const to = this.page + Number(button.dataset.step);
      button.disabled = to < 0 || to >= count;
    }
  }

  #write({ line, answer, error }) {
    const said = line.querySelector(".said");
    said.textContent = error ? `${error.title}: ${error.detail}` : (answer ? (answer.predicted_label ?? NONE) : "");
    said.classList.toggle("failed", Boolean(error));
    said.colSpan = error ? 2 : 1;
    const share = line.querySelector(".share");
    Object.assign(share, { hidden: Boolean(error), textContent: answer?.predicted_label ? percent(answer.confidence) : "" });
  }

  /** Releases the thumbnails and the lines. */
  clear() {
    this.watcher.disconnect();
    for (const [line, row] of this.lines) {
      this.#release(line);
      row.line = null;
    }
    this.lines.clear();
  }

  #seen({ target: line, isIntersecting }) {
    if (!isIntersecting) return this.#release(line);
    line.wanted = true;
    // One image is decoded at a time: a large one takes hundreds of megabytes for a moment.
    this.making = this.making.then(() => this.#show(line)).catch(() => {});
  }

  async #show(line) {
    const row = this.lines.get(line);
    if (!row || !line.wanted || !line.querySelector("img").hidden) return;
    const source = await thumbnail(row.file);
    if (!line.wanted) return URL.revokeObjectURL(source);
    Object.assign(line.querySelector("img"), { src: source, hidden: false });
  }

  #release(line) {
    line.wanted = false;
    const image = line.querySelector("img");
    if (image.hidden) return;
    URL.revokeObjectURL(image.src);
    image.removeAttribute("src");
    image.hidden = true;
  }

  #done() {
    return this.rows.filter((row) => row.answer || row.error).length;
  }

  /** Shows what came of rows, and how far the work is. */
  update(changed) {
    for (const row of changed) if (row.line) this.#write(row);
    const of = this.rows.length;
    const done = this.#done();
    byId("batch-bar").value = done / of;
    byId("batch-stage").textContent = `${done} of ${of} images${timeLeft(done - this.before, of - this.before, this.started)}`;
  }

  /** Shows that the work goes on, or that it ended, and why. */
  working(on, problem = null) {
    const left = this.rows.filter((row) => !row.answer && !row.error).length;
    const failed = this.rows.filter((row) => row.error).length;
    byId("batch-cancel").hidden = !on;
    byId("batch-bar").hidden = !on;
    Object.assign(byId("batch-again"), { hidden: on || !left || !this.rows[0].file, textContent: `Send the remaining ${left}` });
    if (on) return void Object.assign(this, { started: performance.now(), before: this.#done() });
    const answered = this.rows.length - failed - left;
    const parts = [`${answered} of ${this.rows.length} images predicted`, failed && `${failed} with a problem`, left && `${left} not sent`];
    const sentence = `${parts.filter(Boolean).join(", ")}.${problem ? ` ${problem.title}: ${problem.detail}` : ""}`;
    byId("batch-stage").textContent = sentence;
    announce(sentence);
    if (this.key) this.draw();
    offer(this.rows.filter((row) => row.answer || row.error).map(({ name, answer, error }) => (error ? { name, error } : { name, ...answer })));
  }
}
