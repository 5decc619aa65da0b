// axios by its defaults. Arguments: the service's URL, an image, the URL of an image. Prints the status of each way.
const { readFileSync, createReadStream } = require("fs");
const axios = require("axios");

const [url, file, imageUrl] = process.argv.slice(2);
const bytes = readFileSync(file);
const ways = {
  "axios: bytes": () => axios.post(url, bytes),
  "axios: stream": () => axios.post(url, createReadStream(file)),
  "axios: form": () => axios.postForm(url, { image: createReadStream(file) }),
  "axios: form with bytes": () => axios.postForm(url, { image: bytes }),
  "axios: JSON": () => axios.post(url, { image_url: imageUrl }),
  "axios: JSON as text": () => axios.post(url, JSON.stringify({ image_url: imageUrl })),
  "axios: base64": () => axios.post(url, { image: bytes.toString("base64") }),
};

(async () => {
  const statuses = {};
  for (const [name, way] of Object.entries(ways)) {
    statuses[name] = await way().then((answer) => answer.status, (error) => error.response?.status ?? String(error));
  }
  console.log(JSON.stringify(statuses));
})();
