// The page works without this module: its forms are posted, and the answer is the page again.
// With it, forms are sent in the background, and the parts of the page that change are taken from that answer.

const byId = (id) => document.getElementById(id);
const [form, cancel, admin, token] = ["upload", "cancel", "admin", "admin-token"].map(byId);
const [progress, bar, stage, dialog] = ["progress", "bar", "stage", "confirm"].map(byId);
const CHANGING = ["outcome", "models"];

let pending = null; // the request under way

function megabytes(bytes) {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

function headers(request) {
  request.setRequestHeader("Accept", "text/html");
  const secret = token.value.trim();
  // Header values are bytes: the token goes as those of its UTF-8 form.
  if (secret) request.setRequestHeader("Authorization", `Bearer ${unescape(encodeURIComponent(secret))}`);
}

/** Puts the parts that change into the page; says whether the answer was this page. */
function show(html) {
  const answer = new DOMParser().parseFromString(html, "text/html");
  if (CHANGING.some((id) => !answer.getElementById(id))) return false;
  for (const id of CHANGING) byId(id).replaceWith(document.adoptNode(answer.getElementById(id)));
  document.title = answer.title;
  enliven();
  return true;
}

function fail(title, detail) {
  const outcome = byId("outcome");
  const problem = document.createElement("article");
  problem.className = "problem";
  const heading = document.createElement("h3");
  const text = document.createElement("p");
  heading.textContent = title;
  text.textContent = detail;
  problem.append(heading, text);
  outcome.replaceChildren(outcome.querySelector("h2"), problem);
  outcome.querySelector("h2").textContent = "The result is unknown";
}

function finish(request) {
  busy(false);
  if (request.status === 401) {
    admin.hidden = false;
    token.focus();
  }
  if (!show(request.responseText)) {
    fail(`Answered with status ${request.status}`, "A proxy between this page and the service refused the request.");
  }
  if (request.status !== 401) byId("outcome").focus();
}

function busy(sending) {
  progress.hidden = !sending;
  cancel.hidden = !sending;
  for (const button of document.querySelectorAll("main button")) button.disabled = sending && button !== cancel;
  if (!sending) pending = null;
}

function send(method, address, body) {
  const request = new XMLHttpRequest();
  pending = request;
  request.open(method, address);
  headers(request);
  request.upload.addEventListener("progress", (event) => sent(event.loaded, event.total));
  request.upload.addEventListener("load", () => waiting(body instanceof FormData && body.has("model")));
  request.addEventListener("load", () => finish(request));
  request.addEventListener("abort", () => busy(false));
  request.addEventListener("error", () => {
    busy(false);
    fail("No answer", "The connection to the service was lost. The list below may be out of date.");
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

function waiting(uploading) {
  bar.removeAttribute("value");
  stage.textContent = uploading
    ? "Checking the model; then every worker loads it and all switch at once"
    : "Every worker loads the version, and all switch at once";
}

/** Makes the parts that were put into the page work. */
function enliven() {
  for (const change of document.querySelectorAll("form.change")) {
    change.addEventListener("submit", (event) => {
      event.preventDefault();
      send("POST", change.action, new URLSearchParams(new FormData(change)));
    });
  }
  for (const button of document.querySelectorAll("button.delete")) {
    button.hidden = false;
    button.addEventListener("click", () => {
      dialog.querySelector(".what").textContent = button.dataset.name;
      dialog.querySelector(".loss").textContent = button.dataset.loss;
      dialog.onclose = () => {
        if (dialog.returnValue === "delete") send("DELETE", button.dataset.address, null);
      };
      dialog.returnValue = "";
      dialog.showModal();
    });
  }
  for (const time of document.querySelectorAll("#models time")) {
    time.title = time.dateTime;
    time.textContent = new Date(time.dateTime).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
  }
}

/** Puts dropped files where they belong, by their names. */
function take(files) {
  for (const file of files) {
    const name = file.name.toLowerCase();
    const field = name.endsWith(".onnx") ? "model-file" : /process|config/.test(name) ? "preprocessing-file" : "labels-file";
    const transfer = new DataTransfer();
    transfer.items.add(file);
    byId(field).files = transfer.files;
  }
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const file = byId("model-file").files[0];
  if (file && file.size > 1e6 * Number(form.dataset.maxMb)) {
    fail("Model too large", `The model may have at most ${form.dataset.maxMb} MB.`);
    byId("outcome").querySelector("h2").textContent = "Nothing was sent";
    byId("outcome").focus();
    return;
  }
  const body = new FormData(form);
  for (const [name, value] of [...body]) if (value instanceof File && !value.name) body.delete(name);
  send("POST", form.action, body);
});
cancel.addEventListener("click", () => pending?.abort());
document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", (event) => {
  event.preventDefault();
  take(event.dataTransfer.files);
});
enliven();
