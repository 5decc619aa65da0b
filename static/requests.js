// The request just made, as code in curl, Python and JavaScript, and its answer as JSON.

import { byId, save } from "./app.js";

const [section, answer] = ["made", "made-json"].map(byId);
let shown = null; // the answer as text

/** A text inside quotes that a shell leaves as it is. */
const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/** A file in a field of curl, which takes commas and semicolons for signs of its own outside double quotes. */
function sent(name) {
  if (!/[,;"]/.test(name)) return `image=@${quoted(name)}`;
  return quoted(`image=@"${name.replaceAll(/[\\"]/g, "\\$&")}"`);
}

/** The three forms of a request: of a URL, or of files by their names. */
export function codeOf({ target, url, files, secret }) {
  const token = secret ? { curl: "-H 'Authorization: Bearer TOKEN' ", python: "Authorization", script: ' Authorization: "Bearer TOKEN"' } : null;
  const place = /[&?]/.test(target) ? quoted(target) : target;
  const headers = token ? ', headers={"Authorization": "Bearer TOKEN"}' : "";
  const end = "answer.raise_for_status()\nprint(answer.json())";
  const log = "console.log(await answer.json());";
  if (url) {
    const body = JSON.stringify({ image_url: url });
    const script = `{ "Content-Type": "application/json"${token ? `,${token.script}` : ""} }`;
    return {
      curl: `curl ${token?.curl ?? ""}-H 'Content-Type: application/json' -d ${quoted(body)} ${place}`,
      python: `import requests\n\nanswer = requests.post(${JSON.stringify(target)}, json={"image_url": ${JSON.stringify(url)}}${headers})\n${end}`,
      javascript: `const answer = await fetch(${JSON.stringify(target)}, {\n  method: "POST",\n  headers: ${script},\n  body: JSON.stringify(${body}),\n});\n${log}`,
    };
  }
  const parts = files.map((name) => `-F ${sent(name)}`).join(" ");
  const opened = files.map((name) => `("image", open(${JSON.stringify(name)}, "rb"))`).join(", ");
  const script = token ? `\n  headers: {${token.script} },` : "";
  return {
    curl: `curl ${token?.curl ?? ""}${parts} ${place}`,
    python: `import requests\n\nanswer = requests.post(${JSON.stringify(target)}, files=[${opened}]${headers})\n${end}`,
    javascript: `const form = new FormData();\nfor (const file of input.files) form.append("image", file); // of an <input type="file">\nconst answer = await fetch(${JSON.stringify(target)}, {\n  method: "POST",${script}\n  body: form,\n});\n${log}`,
  };
}

/** Shows a request and its answer; hides both without one. */
export function showMade(request, result) {
  section.hidden = !request;
  if (!request) return;
  for (const [language, text] of Object.entries(codeOf(request))) section.querySelector(`[data-language=${language}] code`).textContent = text;
  shown = JSON.stringify(result, null, 2);
  answer.querySelector("code").textContent = shown;
}

if (section) byId("save-answer").addEventListener("click", () => save("prediction.json", shown, "application/json"));
