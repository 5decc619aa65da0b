// What the pages share: the token that is kept for the tab, the files of a drop, problems, a few words, and copying.

export const byId = (id) => document.getElementById(id);

/** Storage of the tab, which a browser may refuse. */
export const stored = {
  get(key) {
    try {
      return sessionStorage.getItem(key) ?? "";
    } catch {
      return "";
    }
  },
  set(key, value) {
    try {
      if (value) sessionStorage.setItem(key, value);
      else sessionStorage.removeItem(key);
    } catch {
      // It then lasts as long as the page.
    }
  },
};

/**
 * The token of a page: asked for where the service needs one, kept for the tab, forgotten when it is wrong.
 *
 * The service shows the box of the field where a token is needed.
 */
export class Token {
  constructor(box, input, refused, key) {
    Object.assign(this, { box, input, refused, key });
    input.value ||= stored.get(key);
  }

  get missing() {
    return !this.box.hidden && !this.input.value.trim();
  }

  /** Adds the token to the headers of a request. */
  authorize(headers) {
    const secret = this.input.value.trim();
    // Header values are bytes: the token goes as those of its UTF-8 form.
    if (secret) headers.Authorization = `Bearer ${unescape(encodeURIComponent(secret))}`;
    return headers;
  }

  /** Takes note of an answer's status; says whether another token has to be asked for. */
  refusedBy(status) {
    if (status !== 401) {
      stored.set(this.key, this.input.value.trim());
      this.refused.textContent = "";
      return false;
    }
    const sent = this.input.value.trim();
    this.input.value = "";
    stored.set(this.key, "");
    this.ask(sent ? "The service refused this token. Enter another one." : "Enter the token.");
    return true;
  }

  ask(sentence) {
    this.box.hidden = false;
    this.refused.textContent = sentence;
    this.input.focus();
  }
}

/** What a system puts into folders for itself is not sent. */
export function hidden(path) {
  return path.split("/").some((part) => part.startsWith(".") || part === "__MACOSX");
}

/** Every file of a dropped file or folder, with its path. */
async function* within(entry) {
  if (entry.isFile) {
    yield { path: entry.fullPath.replace(/^\//, ""), file: await new Promise((done, fail) => entry.file(done, fail)) };
    return;
  }
  const reader = entry.createReader();
  // A reader gives a part at a time, and nothing at the end.
  for (;;) {
    const part = await new Promise((done, fail) => reader.readEntries(done, fail));
    if (!part.length) return;
    for (const inner of part) if (!hidden(inner.name)) yield* within(inner);
  }
}

/** The files of a drop, those in folders too, each with its path; no more than one past a limit. */
export async function dropped(transfer, limit = Infinity) {
  // The entries are gone once this has waited for anything.
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return [...transfer.files].map((file) => ({ file, path: file.name }));
  const files = [];
  for (const entry of entries) {
    for await (const one of within(entry)) {
      files.push(one);
      if (files.length > limit) return files;
    }
  }
  return files;
}

/** A file as a data: URL. */
export function dataOf(file) {
  return new Promise((done, fail) => {
    const reader = new FileReader();
    reader.onload = () => done(reader.result);
    reader.onerror = () => fail(reader.error);
    reader.readAsDataURL(file);
  });
}

/** Whether the browser can read a file: not one that was changed, moved or deleted after it was chosen. */
async function readable(file) {
  // A slice of a file that is gone would be empty, without an error.
  const reader = file.stream().getReader();
  const read = await reader.read().then(() => true, () => false);
  reader.cancel().catch(() => {});
  return read;
}

/** Returns the problem of the first unreadable file, or null if the browser can read all files. */
export async function unreadable(files) {
  for (const file of files) {
    if (await readable(file)) continue;
    const detail = `The file ${file.name} was changed, moved or deleted after it was chosen. Choose it again.`;
    return { title: "Unreadable file", detail, code: "unreadable" };
  }
  return null;
}

/** The problem of an answer that is not the service's. */
export function foreign(status) {
  return { title: `Answered with status ${status}`, detail: "A proxy between this page and the service refused the request." };
}

/** A problem as an element of the page. */
export function problemBox({ title, detail }) {
  const box = Object.assign(document.createElement("article"), { className: "problem" });
  for (const [tag, textContent] of [["h3", title], ["p", detail]]) box.append(Object.assign(document.createElement(tag), { textContent }));
  return box;
}

/** A size in words. */
export function megabytes(bytes) {
  return bytes < 99950 ? `${(bytes / 1e3).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

/** How long work will still take, in words; empty while nothing can be said. */
export function timeLeft(done, of, since) {
  const seconds = (performance.now() - since) / 1000;
  if (!done || done >= of || seconds < 1) return "";
  const left = Math.ceil((seconds * (of - done)) / done);
  return left < 100 ? `, about ${left} s left` : `, about ${Math.round(left / 60)} min left`;
}

/** Has the browser save a text as a file. */
export function save(name, content, type) {
  const anchor = document.createElement("a");
  anchor.href = URL.createObjectURL(new Blob([content], { type }));
  anchor.download = name;
  anchor.click();
  setTimeout(() => URL.revokeObjectURL(anchor.href), 60_000);
}

function enableCopy(button) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(button.previousElementSibling.textContent);
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
}

if (navigator.clipboard) document.querySelectorAll(".copy").forEach(enableCopy); // absent on insecure origins
