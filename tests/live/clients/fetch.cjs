// Node's fetch and http.request, by their defaults. Arguments: the service's URL, an image, the URL of an image.
// Prints the status of each way.
const { readFileSync, createReadStream } = require("fs");
const http = require("http");
const { Readable } = require("stream");

const [url, file, imageUrl] = process.argv.slice(2);
const bytes = readFileSync(file);
const json = JSON.stringify({ image_url: imageUrl });

function form() {
  const data = new FormData();
  data.append("image", new Blob([bytes]), "cat.jpg");
  return data;
}

function blobForm() {
  const data = new FormData();
  data.append("image", new Blob([bytes], { type: "image/jpeg" }));
  return data;
}

function plainRequest(body) {
  return new Promise((resolve, reject) => {
    const request = http.request(url, { method: "POST" }, (answer) => {
      answer.resume();
      answer.on("end", () => resolve({ status: answer.statusCode }));
    });
    request.on("error", reject);
    request.end(body);
  });
}

const post = (body, more = {}) => fetch(url, { method: "POST", body, ...more });
const ways = {
  "fetch: bytes": () => post(bytes),
  "fetch: blob": () => post(new Blob([bytes])),
  "fetch: stream": () => post(Readable.toWeb(createReadStream(file)), { duplex: "half" }),
  "fetch: form": () => post(form()),
  "fetch: form with a blob": () => post(blobForm()),
  "fetch: JSON as text": () => post(json),
  "fetch: JSON": () => post(json, { headers: { "Content-Type": "application/json" } }),
  "fetch: URL in a form": () => post(new URLSearchParams({ image_url: imageUrl })),
  "http: bytes": () => plainRequest(bytes),
  "http: JSON": () => plainRequest(json),
};

(async () => {
  const statuses = {};
  for (const [name, way] of Object.entries(ways)) statuses[name] = (await way()).status;
  console.log(JSON.stringify(statuses));
})();
