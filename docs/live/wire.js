// What travels between tabs and app: a table, and each frame taken apart.
import { inWords, plural } from "./words.js";

const OPCODES = { text: 1, binary: 2, close: 8 };
const MOST_BYTES = 24; // of what a frame carries, shown one by one
const MOST_ROWS = 500;
const KINDS = {
  handshake: inWords("handshake"),
  text: inWords("text"),
  binary: inWords("binary"),
  close: inWords("close"),
  lost: inWords("lost"),
};

export function payloadOf(frame) {
  if (frame.kind === "close") {
    if (frame.code === 1005) return new Uint8Array();
    const reason = new TextEncoder().encode(frame.data);
    return new Uint8Array([frame.code >> 8, frame.code & 255, ...reason]);
  }
  return typeof frame.data === "string" ? new TextEncoder().encode(frame.data) : frame.data;
}

// The bytes of a frame in groups: [bytes as text, what they mean]. RFC 6455, section 5.2.
export function takenApart(frame) {
  const payload = payloadOf(frame);
  const isMasked = frame.to === "app";
  const opcode = OPCODES[frame.kind];
  const { length } = payload;
  const short = length < 126 ? length : length < 65536 ? 126 : 127;
  const first = 0x80 | opcode;
  const second = (isMasked ? 0x80 : 0) | short;
  const parts = [
    [hex(first), inWords("the last frame of its message, of kind {opcode}: {kind}", { opcode, kind: KINDS[frame.kind] })],
    [hex(second), `${isMasked ? inWords("masked") : inWords("not masked")}, ${lengthWords(short, length)}`],
  ];
  if (short > 125) {
    const bytes = short === 126 ? 2 : 8;
    const digits = length.toString(16).padStart(2 * bytes, "0").match(/../g).join(" ");
    parts.push([digits, inWords("the length: {length} bytes", { length })]);
  }
  if (isMasked) {
    parts.push(["?? ?? ?? ??", inWords("the mask, 4 bytes that a browser picks at random for each frame")]);
  }
  if (frame.kind === "close" && length) {
    parts.push([hexes(payload.slice(0, 2)), inWords("the close code: {code}", { code: frame.code })]);
    if (length > 2) parts.push([hexes(payload.slice(2)), inWords("the reason: {reason}", { reason: frame.data })]);
  } else if (length) {
    const more = length > MOST_BYTES ? inWords(" … {number} more", { number: length - MOST_BYTES }) : "";
    const what = isMasked ? inWords("the message, before the mask is applied") : inWords("the message");
    parts.push([hexes(payload.slice(0, MOST_BYTES)) + more, what]);
  }
  return parts;
}

function lengthWords(short, length) {
  if (short < 126) return plural("and {number} byte long", "and {number} bytes long", length);
  return inWords("and its length is in the next {number} bytes", { number: short === 126 ? 2 : 8 });
}

function hex(byte) {
  return byte.toString(16).padStart(2, "0");
}

function hexes(bytes) {
  return [...bytes].map(hex).join(" ");
}

function shown(frame) {
  if (frame.kind === "close") {
    const code = frame.code === 1005 ? inWords("no code") : inWords("code {code}", { code: frame.code });
    return frame.data ? `${code}: ${frame.data}` : code;
  }
  if (frame.kind === "lost") return inWords("the connection is lost, which looks like code 1006");
  return typeof frame.data === "string" ? frame.data : hexes(frame.data.slice(0, MOST_BYTES));
}

function sizeOf(frame) {
  if (!(frame.kind in OPCODES)) return "";
  const { length } = payloadOf(frame);
  return plural("{number} byte", "{number} bytes", length);
}

export class Wire {
  // `make` makes elements; `tabs` are the names to choose from.
  constructor(make, tabs) {
    this.make = make;
    this.began = performance.now();
    this.rows = make("tbody");
    this.detail = make("div", { class: "frame", role: "status" });
    this.filter = make("select", {}, [inWords("all tabs"), ...tabs].map((name) => make("option", {}, name)));
    this.filter.addEventListener("change", () => this.choose());
    const heads = [inWords("Time"), inWords("From and to"), inWords("Kind"), inWords("Size"), inWords("What")];
    const head = make("tr", {}, heads.map((words) => make("th", { scope: "col" }, words)));
    const table = make("table", {}, [make("thead", {}, head), this.rows]);
    this.box = make("div", { class: "rows", tabindex: "0", role: "region", "aria-label": inWords("Frames") }, table);
    const label = make("label", {}, [`${inWords("Show")} `, this.filter]);
    this.element = make("div", { class: "wire" }, [label, this.box, this.detail]);
  }

  clear() {
    this.began = performance.now();
    this.rows.replaceChildren();
    this.detail.replaceChildren();
  }

  add(frame, name) {
    const { make } = this;
    const time = ((performance.now() - this.began) / 1000).toFixed(2);
    const way = frame.to === "app" ? inWords("{name} → app", { name }) : inWords("app → {name}", { name });
    const what = frame.kind in OPCODES
      ? make("button", { type: "button", class: "open" }, shown(frame).slice(0, 200) || inWords("(empty)"))
      : make("span", {}, shown(frame));
    what.addEventListener("click", () => this.show(frame, way));
    const cells = [`${time} s`, way, KINDS[frame.kind], sizeOf(frame), what];
    const row = make("tr", { "data-tab": name }, cells.map((cell) => make("td", {}, cell)));
    const isAtEnd = this.box.scrollHeight - this.box.scrollTop - this.box.clientHeight < 10;
    this.rows.append(row);
    if (this.rows.children.length > MOST_ROWS) this.rows.firstElementChild.remove();
    this.choose();
    if (isAtEnd) this.box.scrollTop = this.box.scrollHeight;
  }

  choose() {
    const { value } = this.filter;
    for (const row of this.rows.children) {
      row.hidden = this.filter.selectedIndex > 0 && row.dataset.tab !== value;
    }
  }

  show(frame, way) {
    const { make } = this;
    const rows = takenApart(frame).map(([bytes, meaning]) =>
      make("tr", {}, [make("td", {}, make("code", {}, bytes)), make("td", {}, meaning)]));
    const title = make("caption", {}, inWords("A frame, {way}, byte by byte", { way }));
    this.detail.replaceChildren(make("table", {}, [title, make("tbody", {}, rows)]));
  }
}
