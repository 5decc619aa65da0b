// Images as they come to the predict page, and small copies of them.

import { dropped } from "./app.js";

const THUMB = 96; // pixels, for twice as many as are shown
const COPY = 640; // of one image alone
const COPIES = 160;
// What may be a URL although it has no scheme: a host with a dot, and a path.
const ADDRESS = /^(https?:\/\/\S+|([\w-]+\.)+[a-z]{2,}(:\d+)?\/\S+)$/i;

// What is no URL without its scheme: a data: URL, and a path of Linux or Windows, of which the service says that it is one.
const COMPLETE = /:\/\/|^(data:|[a-z]:(?!\/\/|\d)|~?\/(?!\/)|\.{1,2}\/|\\)/i;

/** A URL as people type it: without a scheme it is an https URL. */
export function withScheme(text) {
  return COMPLETE.test(text) ? text : `https://${text.replace(/^\/+/, "")}`;
}

/** The URL that was dropped or pasted; null if there is none. */
export function urlIn(transfer) {
  const text = (transfer.getData("text/uri-list") || transfer.getData("text/plain")).trim();
  return ADDRESS.test(text) ? text : null;
}

// Browsers know no type of these where the system does not open them, as HEIC outside of Apple's.
const IMAGE = /\.(jfif|jpe|hei[cf]|hif|avif|tiff?|webp|dib)$/i;

/** The files that were dropped or pasted, each as `{file, name}`; of a folder, only the images. */
export async function filesIn(transfer) {
  const folders = [...transfer.items].some((item) => item.webkitGetAsEntry?.()?.isDirectory);
  const found = await dropped(transfer).catch(() => {
    throw { title: "Not readable", detail: "The browser could not read what was dropped." };
  });
  const files = found.map(({ file, path }) => ({ file, name: path }));
  const images = folders ? files.filter(({ file }) => file.type.startsWith("image/") || IMAGE.test(file.name)) : files;
  if (!images.length) throw { title: "No images", detail: "The folder holds no image files." };
  return images;
}

/** A small square copy of an image file as an object URL; rejects where the browser cannot open it. */
export async function thumbnail(file) {
  const bitmap = await createImageBitmap(file, { resizeWidth: THUMB, resizeQuality: "medium" });
  const canvas = Object.assign(document.createElement("canvas"), { width: THUMB, height: THUMB });
  const side = Math.min(bitmap.width, bitmap.height);
  canvas.getContext("2d").drawImage(bitmap, (bitmap.width - side) / 2, (bitmap.height - side) / 2, side, side, 0, 0, THUMB, THUMB);
  bitmap.close();
  const blob = await new Promise((done) => canvas.toBlob(done, "image/jpeg", 0.8));
  return URL.createObjectURL(blob);
}

/** A small copy of an image for the page's history, as a data: URL; empty if the browser cannot open it. */
async function copyOf({ file, source, url }, pixels) {
  if (url) return source;
  const bitmap = await createImageBitmap(file).catch(() => null);
  if (!bitmap) return "";
  const scale = Math.min(1, pixels / Math.max(bitmap.width, bitmap.height));
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width: Math.ceil(scale * bitmap.width), height: Math.ceil(scale * bitmap.height) });
  canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  bitmap.close();
  return canvas.toDataURL("image/jpeg", 0.8);
}

/** Images without their files, small enough for the page's history. */
export async function copiesOf(images) {
  const copies = [];
  // One after another: a large one takes hundreds of megabytes for a moment.
  for (const image of images) copies.push({ name: image.name, url: image.url, source: await copyOf(image, images.length > 1 ? COPIES : COPY) });
  return copies;
}

/** The problem with a file past the limit; null if there is none. Sending it would end in a broken connection. */
export function tooLarge({ file, name }, maxMb) {
  if (file.size <= maxMb * 1e6) return null;
  const detail = `${name} has ${(file.size / 1e6).toFixed(1)} MB; at most ${maxMb} MB are accepted.`;
  return { title: "Image too large", detail, code: "image_too_large" };
}

/** The body of a request with these images. */
export function formOf(images) {
  const body = new FormData();
  for (const { file, name } of images) body.append("image", file, name);
  return { body };
}
