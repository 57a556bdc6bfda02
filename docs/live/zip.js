// Zips of text files, without a library: to be written they are stored, to be read also inflated.
import { inWords } from "./words.js";

const LOCAL = 0x04034b50;
const CENTRAL = 0x02014b50;
const END = 0x06054b50;
const UTF8 = 0x0800;
const OF_1980 = 0x0021; // the first day that a zip's dates know

function crc32(bytes) {
  let crc = ~0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit += 1) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}

function numbers(...pairs) {
  const view = new DataView(new ArrayBuffer(pairs.reduce((sum, [size]) => sum + size, 0)));
  let at = 0;
  for (const [size, value] of pairs) {
    if (size === 2) view.setUint16(at, value, true);
    else view.setUint32(at, value, true);
    at += size;
  }
  return new Uint8Array(view.buffer);
}

// A Blob with a zip of files: name to text.
export function zipped(files) {
  const parts = [];
  const directory = [];
  let offset = 0;
  for (const [name, text] of Object.entries(files)) {
    const path = new TextEncoder().encode(name);
    const data = new TextEncoder().encode(text);
    const about = [[2, 20], [2, UTF8], [2, 0], [2, 0], [2, OF_1980], [4, crc32(data)],
      [4, data.length], [4, data.length], [2, path.length], [2, 0]];
    const head = numbers([4, LOCAL], ...about);
    directory.push(numbers([4, CENTRAL], [2, 20], ...about, [2, 0], [2, 0], [2, 0], [4, 0], [4, offset]), path);
    parts.push(head, path, data);
    offset += head.length + path.length + data.length;
  }
  const size = directory.reduce((sum, part) => sum + part.length, 0);
  const count = directory.length / 2;
  const end = numbers([4, END], [2, 0], [2, 0], [2, count], [2, count], [4, size], [4, offset], [2, 0]);
  return new Blob([...parts, ...directory, end], { type: "application/zip" });
}

async function inflated(data) {
  const stream = new Blob([data]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// The text files in a zip, name to text; throws an Error with a sentence if it is none.
export async function unzipped(buffer) {
  const bytes = new Uint8Array(buffer);
  const view = new DataView(buffer);
  let end = bytes.length - 22;
  while (end >= 0 && view.getUint32(end, true) !== END) end -= 1;
  if (end < 0) throw new Error(inWords("This file is not a zip."));
  const files = {};
  let at = view.getUint32(end + 16, true);
  for (let count = view.getUint16(end + 10, true); count > 0; count -= 1) {
    if (view.getUint32(at, true) !== CENTRAL) throw new Error(inWords("This zip is damaged."));
    const [method, size] = [view.getUint16(at + 10, true), view.getUint32(at + 20, true)];
    const [path, extra, comment] = [28, 30, 32].map((place) => view.getUint16(at + place, true));
    const local = view.getUint32(at + 42, true);
    const name = new TextDecoder().decode(bytes.slice(at + 46, at + 46 + path));
    const start = local + 30 + view.getUint16(local + 26, true) + view.getUint16(local + 28, true);
    const data = bytes.slice(start, start + size);
    at += 46 + path + extra + comment;
    if (!name.endsWith("/")) {
      files[name] = new TextDecoder().decode(method === 8 ? await inflated(data) : data);
    }
  }
  return files;
}
