// The field that joins the board of a class: each check in this page then reports to it, as after `join`.
// Nothing is sent before a learner presses Join.
import { button, make } from "./make.js";
import { inWords } from "./words.js";

const KEY = "quart-websocket-workshop:board"; // what is kept in this browser: address, name, token, unsent
const PORT = 5050;
const MOST_UNSENT = 100; // reports; older ones are dropped
const ANSWER = 5000; // milliseconds for the board to answer

export class BoardField {
  // `sent` says what a report holds, and what it never does: lines of text.
  constructor(sent) {
    this.sent = sent;
    this.content = make("div");
    this.told = make("p", { role: "status" });
    this.last = make("pre", { tabindex: "0", "aria-label": inWords("The last report") });
    this.shown = make("details", {}, [make("summary", {}, inWords("Your last report")), this.last]);
    this.shown.hidden = true;
    const summary = make("summary", {}, inWords("Report to the board of your class"));
    this.element = make("details", { class: "board" }, [summary, this.content, this.told, this.shown]);
    this.show();
  }

  // What was joined, or null. It is read anew each time: another tab may have left.
  get joined() {
    try {
      return JSON.parse(localStorage.getItem(KEY));
    } catch {
      return this.kept ?? null; // this browser keeps nothing
    }
  }

  set joined(value) {
    this.kept = value;
    try {
      if (value) localStorage.setItem(KEY, JSON.stringify(value));
      else localStorage.removeItem(KEY);
    } catch {
      // Then it lasts only as long as the page does.
    }
  }

  show() {
    const { joined } = this;
    if (joined) {
      const words = inWords("Each check reports to the board at {address}, as {name}.", joined);
      const buttons = [
        button(inWords("Hand up"), () => this.tell("hand", { up: true }, inWords("Your hand is up."))),
        button(inWords("Hand down"), () => this.tell("hand", { up: false }, inWords("Your hand is down."))),
        button(inWords("Leave"), () => this.leave()),
      ];
      this.content.replaceChildren(make("p", {}, words), make("div", { class: "bar" }, buttons));
      return;
    }
    const [address, code, name] = ["off", "off", "nickname"].map((autocomplete) => make("input", { autocomplete }));
    const labels = [[inWords("Address"), address], [inWords("Code"), code], [inWords("Name (optional)"), name]];
    for (const one of [address, code]) one.required = true;
    const fields = labels.map(([words, input]) => make("label", {}, [`${words} `, input]));
    const form = make("form", { class: "bar" }, [...fields, make("button", {}, inWords("Join"))]);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.join(address.value, code.value, name.value.trim() || null);
    });
    this.content.replaceChildren(...this.sent.map((line) => lineElement(inWords(line))), form);
  }

  say(words) {
    this.told.textContent = words;
  }

  async join(typed, code, name) {
    const address = addressOf(typed);
    if (!address) {
      return this.say(inWords("{typed} is not the address of a board: type it as the board shows it.", { typed }));
    }
    try {
      const { name: shown, token } = await ask(address, "join", { code, name });
      this.joined = { address, name: String(shown), token: String(token), unsent: [] };
      this.show();
      this.say(inWords("You have joined."));
    } catch (problem) {
      this.say(problem.message);
    }
  }

  // Forget the board at once; it is told so, if it is still there.
  async leave() {
    const { address, token } = this.joined ?? {};
    this.joined = null;
    this.show();
    this.say(inWords("You have left, and nothing is sent any more."));
    const told = ({ message: why }) => this.say(inWords("You have left, but the board may not know: {why}", { why }));
    if (token) await ask(address, "leave", {}, token).catch(told);
  }

  async tell(what, content, done) {
    const { address, token } = this.joined ?? {};
    try {
      if (token) await ask(address, what, content, token);
      this.say(done);
    } catch (problem) {
      this.end(problem);
    }
  }

  // Take a report of a check, and send it with those that could not be sent; no check waits for it.
  async report(report) {
    if (!this.joined) return;
    this.joined = { ...this.joined, unsent: [...this.joined.unsent, report].slice(-MOST_UNSENT) };
    this.last.textContent = JSON.stringify(report, null, 2);
    this.shown.hidden = false;
    if (this.isSending) return;
    this.isSending = true;
    try {
      while (this.joined?.unsent.length) await this.sendFirst(this.joined);
      if (this.joined) this.say(inWords("The board has this report."));
    } catch (problem) {
      this.end(problem);
    }
    this.isSending = false;
  }

  async sendFirst({ address, token, unsent: [first] }) {
    try {
      await ask(address, "report", first, token);
    } catch (problem) {
      // What the board refuses as it is will not be accepted later.
      if (!problem.status || [401, 429].includes(problem.status) || problem.status >= 500) throw problem;
    }
    const now = this.joined; // another report, or `leave`, may have come meanwhile
    if (now) this.joined = { ...now, unsent: now.unsent.filter(({ id }) => id !== first.id) };
  }

  // Say what went wrong; a board that does not know this learner any more is forgotten.
  end(problem) {
    if (problem.status !== 401) return this.say(problem.message);
    this.joined = null;
    this.show();
    this.say(inWords("The board doesn't know you any more: join again with its new code."));
  }
}

// A line of text, which may be an item of a list.
function lineElement(line) {
  const isItem = line.startsWith("- ");
  return isItem ? make("ul", {}, make("li", {}, line.slice(2))) : make("p", {}, line);
}

// A board's address as HOST:PORT, or "".
function addressOf(typed) {
  try {
    const url = new URL(typed.includes("://") ? typed.trim() : `http://${typed.trim()}`);
    const isPlain = url.protocol === "http:" && url.pathname === "/" && !url.username;
    return isPlain ? `${url.hostname}:${url.port || PORT}` : "";
  } catch {
    return "";
  }
}

// Ask a board: its answer. Throws an Error with a sentence, and the status if there is one.
async function ask(address, what, content, token) {
  const headers = { "Content-Type": "application/json" };
  if (token) headers.Authorization = `Bearer ${token}`;
  const options = { method: "POST", headers, body: JSON.stringify(content), credentials: "omit", cache: "no-store" };
  let response;
  try {
    response = await fetch(`http://${address}/api/${what}`, { ...options, signal: AbortSignal.timeout(ANSWER) });
  } catch {
    const words = [inWords("No board answers at {address}: is this machine on the same network?", { address })];
    if (location.protocol === "https:") {
      words.push(inWords("This page was loaded over HTTPS, and browsers may not let it reach a board, which uses plain HTTP."));
    }
    throw new Error(words.join(" "));
  }
  const answer = await response.json().catch(() => ({}));
  if (response.ok) return answer;
  const why = answer.problem ?? inWords("it is not a board");
  const words = inWords("The board at {address} refuses: {why}.", { address, why });
  throw Object.assign(new Error(words), { status: response.status });
}
