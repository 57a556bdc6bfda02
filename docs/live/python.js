// Python from the page's side: a worker that serves an app, and checks files.
import { socketsOf } from "./socket.js";
import { language } from "./words.js";

const SILENCE = 15_000; // milliseconds without a word from a check: workshop/outcomes.py has it, too
const SLOW = 10_000; // without an answer from an app that starts
const PULSE = 1000; // milliseconds between two looks at an app that runs

export class Python {
  // `on` has a function for each kind of message that the page shows.
  constructor(on, options = "") {
    this.on = on;
    this.options = options;
    this.nextId = 1;
    this.worker = null;
  }

  // Start the worker, unless it runs; returns a promise.
  start() {
    if (this.worker) return this.started;
    this.pending = new Map(); // the id of a question to what becomes of it
    this.sockets = new Map(); // the id of a socket to the socket
    const address = new URL(`worker.js${this.options}`, import.meta.url);
    if (language !== "en") address.searchParams.set("language", language);
    this.worker = new Worker(address, { type: "module" });
    this.started = new Promise((good, bad) => {
      this.onStarted = good;
      this.onDead = bad;
    });
    this.started.catch(() => {}); // each question is told of it
    this.worker.onerror = (event) => this.onDead(new Error(event.message ?? "no worker"));
    this.worker.onmessage = ({ data }) => this.hear(data);
    return this.started;
  }

  // End the worker, with all that runs in it.
  end() {
    this.worker?.terminate();
    this.worker = null;
    this.unwatch();
    clearInterval(this.pulse);
    for (const socket of [...(this.sockets?.values() ?? [])]) socket.lose();
    for (const { bad } of this.pending?.values() ?? []) bad(new Ended());
    this.onDead?.(new Ended());
  }

  hear(message) {
    this.heardAt = performance.now();
    const { kind, id } = message;
    if (kind === "started") {
      this.canWait = message.canWait;
      this.onStarted();
    } else if (kind === "dead") {
      this.worker?.terminate();
      this.worker = null;
      this.onDead(new Error(message.text));
    } else if (kind === "memory") {
      this.bytes = message.bytes;
    } else if (kind === "answer" || kind === "failed") {
      const asked = this.pending.get(id);
      this.pending.delete(id);
      if (kind === "answer") asked?.good(message);
      else asked?.bad(new Error(message.text));
    } else if (["accepted", "message", "closed", "refused"].includes(kind)) {
      this.sockets.get(id)?.hear(message);
    } else {
      this.on[kind]?.(message);
    }
  }

  // Tell the worker something, once it has started.
  async tell(message) {
    await this.start();
    this.worker?.postMessage(message);
  }

  // Ask the worker; returns a promise of its answer.
  async ask(message) {
    await this.start();
    return new Promise((good, bad) => {
      const id = this.nextId++;
      this.pending.set(id, { good, bad });
      this.worker.postMessage({ ...message, id });
    });
  }

  async run(files) {
    clearInterval(this.pulse);
    const answer = await this.inTime(SLOW, this.ask({ kind: "run", files }));
    this.watchApp();
    return answer;
  }

  // From now on, ask the worker whether it is free; if it never is, call `on.silent`.
  watchApp() {
    let askedAt = 0;
    let missed = 0; // looks, and not time: a machine may have slept
    this.pulse = setInterval(() => {
      if (this.watchdog) return; // a check has a watchdog of its own
      missed = this.heardAt > askedAt ? 0 : missed + 1;
      askedAt = performance.now();
      this.worker?.postMessage({ kind: "ping" });
      if (missed * PULSE < SILENCE) return;
      clearInterval(this.pulse);
      this.on.silent();
    }, PULSE);
  }

  // Check files against an exercise; what there is to tell comes by messages.
  check(exercise, files, isThorough = false) {
    return this.inTime(SILENCE, this.ask({ kind: "check", exercise, files, isThorough }));
  }

  // Await a promise; if the worker is silent for too long meanwhile, call `on.silent`.
  async inTime(milliseconds, promised) {
    await this.start();
    this.heardAt = performance.now();
    this.unwatch();
    this.watchdog = setInterval(() => {
      if (performance.now() - this.heardAt > milliseconds) {
        this.unwatch();
        this.on.silent();
      }
    }, 200);
    try {
      return await promised;
    } finally {
      this.unwatch();
    }
  }

  unwatch() {
    clearInterval(this.watchdog);
    this.watchdog = null;
  }

  // A request of a tab, or of the page; returns a promise of { status, headers, body }.
  // `jar` names the cookies that go with it, and `origin` whose page asks, if it isn't the app's.
  request(path, { method = "GET", headers = [], body = null, jar = "", origin = "", isOfCheck = false } = {}) {
    return this.ask({ kind: "http", path, method, headers, body, jar, origin, isOfCheck });
  }

  // The class WebSocket of a tab.
  socketClass(tab) {
    return socketsOf(this, tab);
  }
}

export class Ended extends Error {
  constructor() {
    super("Python was stopped.");
  }
}
