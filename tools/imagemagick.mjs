// Decode images with ImageMagick for tools/corpora.py: upright 8-bit RGB on white, as PNG.
//
// The first argument is a folder with the package @imagemagick/magick-wasm. On standard input and output each
// image is its length, 4 bytes with the lowest first, and its bytes; an answer of length 0 says that it cannot
// be read.
import fs from 'node:fs'
import path from 'node:path'
import { pathToFileURL } from 'node:url'

const folder = path.resolve(process.argv[2], 'node_modules/@imagemagick/magick-wasm/dist')
const magick = await import(pathToFileURL(path.join(folder, 'index.js')))
await magick.initializeImageMagick(fs.readFileSync(path.join(folder, 'magick.wasm')))

function decoded(data) {
  let png = Buffer.alloc(0)
  try {
    magick.ImageMagick.read(data, (image) => {
      image.autoOrient()
      image.backgroundColor = magick.MagickColors.White
      image.alpha(magick.AlphaAction.Remove)
      image.colorSpace = magick.ColorSpace.sRGB
      image.write(magick.MagickFormat.Png24, (bytes) => { png = Buffer.from(bytes) })
    })
  } catch (error) {
    // It could have been a failure of WebAssembly, after which nothing works any more.
    if (error instanceof WebAssembly.RuntimeError) process.exit(1)
  }
  return png
}

function read(size) {
  const data = Buffer.alloc(size)
  for (let done = 0; done < size;) {
    const count = fs.readSync(0, data, done, size - done, null)
    if (count === 0) process.exit(0)
    done += count
  }
  return data
}

function write(data) {
  for (let done = 0; done < data.length;) done += fs.writeSync(1, data, done)
}

for (;;) {
  const png = decoded(read(read(4).readUInt32LE()))
  const size = Buffer.alloc(4)
  size.writeUInt32LE(png.length)
  write(Buffer.concat([size, png]))
}
