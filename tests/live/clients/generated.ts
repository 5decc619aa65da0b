// Predicts with a client whose types openapi-typescript made of the service's own document.
import { readFileSync } from "node:fs";
import createClient from "openapi-fetch";
import type { paths } from "./schema.js";

const [, , url, file] = process.argv;
const client = createClient<paths>({ baseUrl: url });
const bytes = readFileSync(file);
const image = bytes.toString("base64");

const asForm = (fields: Record<string, unknown>) => {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) {
    for (const one of Array.isArray(value) ? value : [value]) form.append(name, one as Blob);
  }
  return form;
};
const answers = {
  json: await client.POST("/predict", { body: { image, top_k: 2 } }),
  form: await client.POST("/predict", {
    body: { image },
    headers: { "Content-Type": "application/x-www-form-urlencoded" },
    bodySerializer: (body) => new URLSearchParams(body as unknown as Record<string, string>).toString(),
  }),
  file: await client.POST("/predict", {
    body: { image: [new Blob([bytes], { type: "image/jpeg" })] as unknown as string[] },
    bodySerializer: (body) => asForm(body as Record<string, unknown>),
  }),
  raw: await client.POST("/predict", {
    body: new Blob([bytes]) as unknown as string,
    headers: { "Content-Type": "application/octet-stream" },
    bodySerializer: (body) => body,
  }),
};
const labels = Object.entries(answers).map(([way, { data }]) => [
  way,
  data && "predicted_label" in data ? data.predicted_label : null,
]);
console.log(JSON.stringify(Object.fromEntries(labels)));
