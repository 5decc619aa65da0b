// "Try it" of the documentation: a form for each operation, made of the OpenAPI document, that sends the request to
// the service which shows the page. It loads nothing else.

const manual = document.querySelector(".manual");
const SHOWN = 20000; // characters of an answer

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key in made && key !== "list") made[key] = value;
    else made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

function field(label, input) {
  return element("label", { className: "try-field" }, element("span", { textContent: label }), input);
}

function resolved(schema, schemas) {
  return schema?.$ref ? schemas[schema.$ref.split("/").pop()] : (schema ?? {});
}

function isFile(schema) {
  const known = [schema, schema.items ?? {}, ...(schema.anyOf ?? [])];
  return known.some((one) => one.format === "binary" || one.contentMediaType);
}

/** The inputs of a body of one content type, and how they become the body of a request; options stand in the query. */
function body(kind, schema, options) {
  if (kind.endsWith("json")) {
    const value = schema["x-examples"]?.[0] ?? {};
    const text = element("textarea", { rows: 6, spellcheck: false, value: JSON.stringify(value, null, 2) });
    return { inputs: [field("Body", text)], make: () => ({ body: text.value, type: kind }) };
  }
  if (kind.startsWith("multipart/") || kind === "application/x-www-form-urlencoded") {
    const fields = Object.entries(schema.properties ?? {}).filter(([name]) => !options.has(name));
    const inputs = fields.map(([name, described]) =>
      element("input", isFile(described) ? { type: "file", name, multiple: described.type === "array" } : { type: "text", name }),
    );
    const make = () => {
      const data = kind.startsWith("multipart/") ? new FormData() : new URLSearchParams();
      for (const input of inputs) {
        if (input.type === "file") for (const file of input.files) data.append(input.name, file);
        else if (input.value) data.append(input.name, input.value);
      }
      return { body: data };
    };
    return { inputs: inputs.map((input) => field(input.name, input)), make };
  }
  const file = element("input", { type: "file" });
  return { inputs: [field("File", file)], make: () => ({ body: file.files[0], type: file.files[0]?.type || "application/octet-stream" }) };
}

function address(path, inputs) {
  const query = new URLSearchParams();
  let filled = path;
  for (const { place, name, input } of inputs) {
    if (place === "path") filled = filled.replace(`{${name}}`, encodeURIComponent(input.value));
    else if (place === "query" && input.value) query.append(name, input.value);
  }
  return manual.dataset.root + filled + (query.size ? `?${query}` : "");
}

async function readable(response) {
  const type = response.headers.get("Content-Type") ?? "";
  if (type.startsWith("image/")) return element("img", { src: URL.createObjectURL(await response.blob()), alt: "The answer" });
  let text = await response.text();
  if (type.includes("json") && !type.includes("ndjson")) {
    try {
      text = JSON.stringify(JSON.parse(text), null, 2);
    } catch {
      // It is shown as it came.
    }
  }
  return element("pre", { tabIndex: 0 }, element("code", { textContent: text.slice(0, SHOWN) + (text.length > SHOWN ? "\n…" : "") }));
}

async function send(method, url, headers, made) {
  const started = performance.now();
  const response = await fetch(url, { method, headers, body: made?.body });
  const shown = await readable(response);
  const milliseconds = Math.round(performance.now() - started);
  return [element("p", { className: "small", textContent: `${response.status} ${response.statusText} · ${milliseconds} ms` }), shown];
}

/** Fills the form of an operation. */
function fill(place, operation, schemas) {
  const { method, path } = place.dataset;
  const parameters = (operation.parameters ?? []).map(({ name, in: where, required, schema }) => {
    const example = where === "path" ? ({ name: "default", version: "1", number: "1" }[name] ?? "") : "";
    return { place: where, name, input: element("input", { type: "text", required, value: example, title: schema?.description ?? "" }) };
  });
  const options = new Set(parameters.map((one) => one.name));
  const kinds = Object.entries(operation.requestBody?.content ?? {}).map(([kind, media]) => [kind, body(kind, resolved(media.schema, schemas), options)]);
  const choice = element("select", {}, ...kinds.map(([kind]) => element("option", { value: kind, textContent: kind })));
  const parts = element("div", { className: "try-parts" });
  const chosen = () => kinds.find(([kind]) => kind === choice.value)?.[1];
  const show = () => parts.replaceChildren(...(chosen()?.inputs ?? []));
  choice.addEventListener("change", show);
  show();
  const token = operation.security ? element("input", { type: "password", autocomplete: "off" }) : null;
  const answer = element("div", { className: "try-answer", ariaLive: "polite" });
  const button = element("button", { type: "submit", className: "button", textContent: "Send" });
  const form = element(
    "form",
    { className: "try-form" },
    ...parameters.filter((one) => one.place === "path").map(({ name, input }) => field(name, input)),
    ...(kinds.length > 1 ? [field("Body as", choice)] : []),
    parts,
    element("div", { className: "try-options" }, ...parameters.filter((one) => one.place !== "path").map(({ name, input }) => field(name, input))),
    ...(token ? [field("Token, if the service needs one", token)] : []),
    element("p", {}, button),
    answer,
  );
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const made = chosen()?.make();
    const headers = Object.fromEntries(parameters.filter((one) => one.place === "header" && one.input.value).map((one) => [one.name, one.input.value]));
    if (made?.type) headers["Content-Type"] = made.type;
    if (token?.value) headers.Authorization = `Bearer ${token.value}`;
    button.disabled = true;
    try {
      answer.replaceChildren(...(await send(method.toUpperCase(), address(path, parameters), headers, made)));
    } catch {
      answer.replaceChildren(element("p", { className: "bad", textContent: "No answer came: the service cannot be reached." }));
    }
    button.disabled = false;
  });
  place.append(form);
}

let reading;
function read() {
  reading ??= fetch(manual.dataset.document).then((response) => response.json());
  return reading;
}

for (const place of document.querySelectorAll(".try")) {
  place.hidden = false;
  place.addEventListener(
    "toggle",
    async () => {
      const { paths, components } = await read();
      fill(place, paths[place.dataset.path][place.dataset.method], components.schemas ?? {});
    },
    { once: true },
  );
}
