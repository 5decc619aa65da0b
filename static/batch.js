// Sends many images in parts, a few requests at a time, and again what the service has no room for.

import { problemOf } from "./answers.js";
import { unreadable } from "./app.js";

const AT_ONCE = 3;
const PART = 8;
const TRIES = 12;
const LOST = 6;
const LONGEST_PAUSE = 30;
const BUSY = new Set(["overloaded", "not_ready", "too_many_requests"]);

/** Waits, at most until the work is cancelled. */
function pause(milliseconds, signal) {
  if (milliseconds <= 0 || signal.aborted) return Promise.resolve();
  return new Promise((done) => {
    const timer = setTimeout(done, milliseconds);
    signal.addEventListener("abort", () => { clearTimeout(timer); done(); }, { once: true });
  });
}

/**
 * The images of one choice on their way to the service.
 *
 * A row is `{file, name}`; it gets the `answer` or the `error` of its image. What has neither can be sent again.
 */
export class Batch {
  /**
   * @param rows what to send.
   * @param limits most images (`images`) and bytes (`bytes`) of a request.
   * @param post sends the rows of a part and resolves to the response.
   * @param changed is called with the rows that got an answer or an error.
   */
  constructor(rows, limits, post, changed) {
    Object.assign(this, { rows, post, changed });
    this.limits = { images: Math.min(limits.images, PART), bytes: limits.bytes };
  }

  get open() {
    return this.rows.filter((row) => !row.answer && !row.error);
  }

  cancel() {
    this.work?.abort();
  }

  /** Sends what is open; resolves to why it stopped before the end: a problem, or null. */
  async run() {
    this.work = new AbortController();
    Object.assign(this, { waiting: this.open, until: 0, lost: 0, problem: null });
    for (const row of this.waiting) row.tries = 0;
    await Promise.all(Array.from({ length: AT_ONCE }, () => this.#sender()));
    return this.problem;
  }

  async #sender() {
    const { signal } = this.work;
    while (this.waiting.length && !signal.aborted) {
      await pause(this.until - performance.now(), signal);
      const part = this.#take();
      if (part.length && !signal.aborted) await this.#deliver(part);
    }
  }

  /** The next rows that fit into a request. */
  #take() {
    const part = [];
    let bytes = 0;
    while (this.waiting.length && part.length < this.limits.images) {
      const [row] = this.waiting;
      bytes += row.file.size;
      if (part.length && (row.alone || part[0].alone || bytes > this.limits.bytes)) break;
      part.push(this.waiting.shift());
    }
    return part;
  }

  async #deliver(part) {
    try {
      const response = await this.post(part, this.work.signal);
      if (response.ok) this.#settle(part, await response.json());
      else await this.#refused(part, response);
      this.lost = 0;
    } catch {
      if (!this.work.signal.aborted) await this.#unanswered(part);
    }
    this.changed(part);
  }

  #settle(part, said) {
    const results = said.results ?? [said];
    part.forEach((row, index) => {
      const result = results[index];
      if (!result.error) row.answer = result;
      else if (BUSY.has(result.error.code)) this.#again([row], result.error, 1);
      else row.error = result.error;
    });
  }

  async #refused(part, response) {
    const problem = await problemOf(response);
    if (this.work.signal.aborted) return; // the rest of this answer was cut off with the others
    if (response.status === 503 || response.status === 429) {
      this.#again(part, problem, Number(response.headers.get("Retry-After")) || 1);
    } else if (response.status === 401) {
      this.#stop(problem);
    } else if (response.status === 413 && part.length > 1) {
      this.#alone(part);
    } else {
      for (const row of part) row.error = problem;
    }
  }

  /** Puts rows back; none is sent before the time that the service asked for. */
  #again(rows, problem, seconds) {
    const tries = Math.max(...rows.map((row) => ++row.tries));
    for (const row of rows) {
      if (row.tries > TRIES) row.error = problem;
      else this.waiting.push(row);
    }
    const wait = Math.min(LONGEST_PAUSE, Math.max(seconds, 2 ** (tries - 3)));
    this.until = Math.max(this.until, performance.now() + 1000 * wait);
  }

  #alone(part) {
    for (const row of part) row.alone = true;
    this.waiting.unshift(...part);
  }

  /** A request fails without an answer if a file cannot be read, or if the service cannot be reached. */
  async #unanswered(part) {
    for (const row of part) row.error = await unreadable([row.file]);
    const rest = part.filter((row) => !row.error);
    if (rest.length < part.length) return this.waiting.unshift(...rest);
    this.lost += 1;
    this.until = performance.now() + 1000;
    this.waiting.unshift(...rest);
    if (this.lost >= LOST) this.#stop({ title: "No answer", detail: "The service could not be reached. Check the connection, then send the rest." });
  }

  #stop(problem) {
    this.problem = problem;
    this.work.abort();
  }
}
