// The panel of an exercise in its page: the files, Run and Check, two tabs, and what travels.
import { BoardField } from "./board.js";
import { closeAll, drive } from "./drive.js";
import { Files } from "./files.js";
import { button, make } from "./make.js";
import { Ended, Python } from "./python.js";
import { Tab } from "./tab.js";
import { Wire } from "./wire.js";
import { inWords, plural } from "./words.js";

const NAMES = [inWords("Tab A"), inWords("Tab B")];
const JAR = "tabs"; // the name of the cookies of both
const TCP_PORT = 5001; // docs/live/main.py has it, too
const CLASS_WORD = "tulip"; // the same
const MOST_TEXT = 20_000; // characters of what is printed
const LINE = ["line", inWords("line")].join("|"); // Python says it in English, and a check as the page does
const PLACE = new RegExp(`((?:[\\w-]+/)*[\\w-]+\\.(?:py|js|html|css)|Pipfile)(?:", line |, (?:${LINE}) |:)(\\d+)`, "g");
const SIGNS = {
  passed: ["✓", inWords("passes")],
  failed: ["✗", inWords("fails")],
  skipped: ["–", inWords("not run here")],
  later: ["·", inWords("not run yet")],
};

// A text whose parts between backquotes are code.
function withCode(text) {
  return text.split("`").map((part, index) => (index % 2 ? make("code", {}, part) : part));
}

export class Panel {
  constructor(place, exercise, createEditor, sizes) {
    this.place = place;
    this.exercise = exercise;
    this.total = Object.values(sizes).reduce((sum, size) => sum + size, 0);
    this.command = place.dataset.command;
    this.isDemo = "demo" in place.dataset;
    // It may have been started while the page was read.
    this.python = place.python ?? new Python({}, place.dataset.options ?? "");
    this.python.on = this.listeners();
    this.tabs = [];
    this.files = new Files(exercise, createEditor, () => this.setStale());
    if (this.isDemo) this.files.content = { ...exercise.solution };
    place.replaceChildren(...this.elements());
    if (!this.isDemo && this.files.aside) this.offerBack();
  }

  // ---- What there is to see

  elements() {
    this.state = make("p", { class: "state", role: "status" });
    this.results = make("div", { class: "results" });
    this.verdict = make("div", { class: "verdict", "aria-live": "polite" });
    this.checks = make("ul", { class: "checks" });
    this.results.append(this.verdict, this.checks);
    this.stage = this.stageElement();
    this.ofCheck = make("div", { class: "of-check" });
    this.desk = { python: this.python, place: this.ofCheck };
    if (this.isDemo) return [this.state, this.stage];
    this.run = button(inWords("Run"), () => this.onRun(), { class: "leading" });
    this.check = button(inWords("Check"), () => this.onCheck(), { class: "leading" });
    this.stop = button(inWords("Stop"), () => this.onStop());
    this.stop.disabled = true;
    const bar = make("div", { class: "bar" }, [this.run, this.check, this.stop, this.state]);
    this.board = new BoardField(this.exercise.sent);
    const below = [this.helpElement(), this.board.element, this.stage, this.ofCheck];
    return [this.files.element, bar, this.results, ...below];
  }

  helpElement() {
    const load = make("input", { type: "file", accept: ".zip" });
    load.addEventListener("change", () => this.onLoad(load));
    const label = make("label", { class: "load" }, [`${inWords("Load a zip")} `, load]);
    this.hints = make("div", { class: "hints", "aria-live": "polite" });
    this.hint = button(inWords("Hint"), () => this.onHint());
    this.asking = make("div", { class: "asking", "aria-live": "polite" });
    const buttons = [
      this.hint,
      button(inWords("Show the solution"), () => this.onSolution()),
      button(inWords("Start over"), () => this.onStartOver()),
      button(inWords("Save as a zip"), () => this.files.save()),
      label,
    ];
    const kept = [
      inWords("What you write is kept in this browser, on this machine. Start over clears it."),
      inWords("To continue with the zip on your own machine: {command}", {
        command: `python3 -m workshop start ${this.exercise.id} --from FILE.zip`,
      }),
    ];
    const note = make("p", { class: "note" }, kept.join(" "));
    const more = [make("div", { class: "bar" }, buttons), this.asking, note];
    return make("div", { class: "help" }, [this.hints, ...more]);
  }

  stageElement() {
    this.frames = NAMES.map((name) => make("iframe", { title: inWords("{name}, with the app", { name }) }));
    const figures = this.frames.map((frame, index) => this.tabElement(frame, index));
    this.wire = new Wire(make, NAMES);
    const attributes = { tabindex: "0", role: "log", "aria-label": inWords("What the app prints") };
    this.output = make("pre", { class: "output", ...attributes });
    const stage = make("div", { class: "stage" }, [
      make("div", { class: "tabs" }, figures),
      ...this.signingElements(),
      this.sendingElement(),
      make("h3", {}, [`${inWords("On the wire")} `, make("small", {}, inWords("(simulated connection)"))]),
      this.wire.element,
      make("h3", {}, inWords("Printed")),
      this.output,
    ]);
    stage.hidden = true;
    return stage;
  }

  tabElement(frame, index) {
    const buttons = [
      // There is no address bar, so from wherever it is: to the app's page.
      button(inWords("Reload"), () => this.tabs[index]?.open("/")),
      button(inWords("Drop the connection"), () => this.onVanish(index)),
    ];
    const bar = make("div", { class: "bar" }, [make("strong", {}, NAMES[index]), ...buttons]);
    return make("div", { class: "tab" }, [bar, frame]);
  }

  sendingElement() {
    const forms = [];
    const { solution } = this.exercise;
    if (solution["websocket.py"].includes("/api/v2/messages")) {
      const post = inWords("POST to {path}", { path: "/api/v2/messages" });
      const line = inWords("A line to TCP port {port}", { port: TCP_PORT });
      forms.push(this.formElement(post, inWords("from a POST"), (text) => this.onPost(text)));
      forms.push(this.formElement(line, inWords("from TCP"), (text) => this.onTcp(text)));
    }
    this.power = button(inWords("Stop the server"), () => this.onPower());
    return make("div", { class: "sending" }, [make("div", {}, this.power), ...forms]);
  }

  // What is needed to sign in, and to be two people.
  signingElements() {
    if (!Object.values(this.exercise.solution).some((text) => text.includes("QUART_CLASS_WORD"))) return [];
    this.isApart = make("input", { type: "checkbox" });
    this.isApart.addEventListener("change", () => this.onApart());
    const other = inWords("{name} is another browser, with its own cookies", { name: NAMES[1] });
    const label = make("label", {}, [this.isApart, ` ${other}`]);
    const words = inWords("Here, the class word is `{word}`, set by `QUART_CLASS_WORD`.", { word: CLASS_WORD });
    return [make("p", {}, label), make("p", {}, withCode(words))];
  }

  jarOf(index) {
    return index && this.isApart?.checked ? NAMES[index] : JAR;
  }

  onApart() {
    const tab = this.tabs[1];
    if (!tab) return;
    tab.jar = this.jarOf(1);
    tab.open("/");
  }

  formElement(words, value, send) {
    const input = make("input", { value });
    const form = make("form", {}, [make("label", {}, [`${words} `, input]), make("button", {}, inWords("Send"))]);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      send(input.value);
    });
    return form;
  }

  // ---- What Python says

  listeners() {
    return {
      progress: ({ loaded }) => this.sayLoading(loaded),
      print: ({ text }) => this.print(text),
      stuck: ({ why }) => this.onStuck(why),
      silent: () => this.onSilent(),
      checks: ({ number }) => this.say(plural("Checking: {number} check …", "Checking: {number} checks …", number)),
      running: (message) => {
        this.current = message;
      },
      lines: ({ lines }) => lines.forEach((line) => this.addLine(line)),
      verdict: (verdict) => this.showVerdict(verdict),
      report: ({ report }) => this.board.report(report),
      do: (request) => drive(this.desk, request),
    };
  }

  say(words) {
    if (this.state.textContent !== words) this.state.textContent = words;
  }

  sayLoading(loaded) {
    if (this.isLoaded) return;
    const [now, all] = [Math.min(loaded, this.total), this.total].map((n) => (n / 1e6).toFixed(1));
    this.say(inWords("Loading Python: {now} of {all} MB …", { now, all }));
  }

  // Say that something cannot be done here, and what to do instead.
  fail(why) {
    this.say([why, inWords("On your own machine, use: {command}", { command: this.command })].join(" "));
  }

  print(text) {
    this.output.append(...this.linked(`${text}\n`));
    while (this.output.textContent.length > MOST_TEXT) this.output.firstChild.remove();
    this.output.scrollTop = this.output.scrollHeight;
  }

  // A text in which each place in a file leads to the editor's line.
  linked(text) {
    const parts = [];
    let end = 0;
    for (const match of text.matchAll(PLACE)) {
      const name = this.files.names.find((one) => match[1] === one || match[1].endsWith(`websocket/${one}`));
      if (!name || this.isDemo) continue;
      const go = button(match[0], () => this.files.show(name, Number(match[2])), { class: "place" });
      parts.push(text.slice(end, match.index), go);
      end = match.index + match[0].length;
    }
    return [...parts, text.slice(end)];
  }

  addLine([outcome, words]) {
    const [sign, meaning] = SIGNS[outcome];
    const mark = make("span", { class: "sign", role: "img", "aria-label": meaning }, sign);
    this.checks.append(make("li", { class: outcome }, [mark, ` ${words}`]));
  }

  showVerdict({ headline, heading, lines, test, printed, skipped, is_done: isDone }) {
    const parts = [];
    if (headline) parts.push(make("p", { class: "headline" }, headline));
    if (heading) parts.push(make("p", { class: "heading" }, heading));
    for (const line of lines) parts.push(make("p", {}, this.linked(line)));
    if (test) parts.push(make("p", { class: "note" }, inWords("The test: {place}", { place: test })));
    for (const line of printed) parts.push(make("p", { class: "printed" }, inWords("printed: {line}", { line })));
    for (const reason of skipped) {
      parts.push(make("p", { class: "note" }, withCode(inWords("Not checked here: {reason}", { reason }))));
    }
    this.verdict.replaceChildren(...parts);
    this.verdict.classList.toggle("is-done", isDone);
    this.isTold = true;
  }

  // ---- Run

  async started() {
    if (!this.isLoaded) this.say(inWords("Loading Python …"));
    await this.python.start();
    this.isLoaded = true;
  }

  async onRun() {
    if (this.isBusy) return;
    const { files } = this;
    const hadFocus = document.activeElement;
    this.isTold = false;
    this.busy(true);
    this.stage.hidden = false;
    this.output.replaceChildren();
    try {
      await this.started();
      this.say(inWords("Starting the app …"));
      this.isRunning = false;
      await this.python.run(files.all);
      this.wire.clear();
      await this.openTabs();
      this.say(inWords("The app is running."));
      this.isRunning = true;
      this.setPower(true);
    } catch (error) {
      this.tell(error);
    } finally {
      this.busy(false);
      hadFocus?.focus({ preventScroll: true });
    }
    // What a check needs is imported while the learner looks.
    if (this.isRunning && !this.isDemo) this.python.tell({ kind: "ready" });
  }

  async openTabs() {
    this.tabs = this.tabs.length ? this.tabs : this.frames.map((frame, index) => new Tab(this.python, frame, {
      log: (message) => this.wire.add(message, NAMES[index]),
      problem: (text) => this.print(`${NAMES[index]}: ${text}`),
    }, { jar: this.jarOf(index) }));
    await Promise.all(this.tabs.map((tab) => tab.open("/")));
  }

  // Tell what went wrong with Run or Check, unless it was stopped.
  tell(error) {
    if (error instanceof Ended || this.isTold) return;
    if (!this.isLoaded) {
      this.python.end();
      this.fail(inWords("Python could not be loaded ({why}).", { why: error.message }));
      return;
    }
    this.say(inWords("The app does not start."));
    this.print(error.message);
    this.results.scrollIntoView?.({ block: "nearest" });
    this.verdict.replaceChildren(make("p", { class: "heading" }, this.linked(error.message)));
    this.checks.replaceChildren();
  }

  onStuck(why) {
    this.isTold = true;
    this.python.end();
    this.setPower(false);
    this.print(why);
    this.verdict.replaceChildren(make("p", { class: "heading" }, this.linked(why)));
    this.checks.replaceChildren();
    this.say(inWords("The app was stopped."));
    this.busy(false);
  }

  onSilent() {
    if (!this.isChecking) {
      this.onStuck(inWords("The app does not answer: is there a loop without an end, or a call that blocks?"));
      return;
    }
    const [heading, line] = this.current?.otherwise ?? [];
    if (heading) this.showVerdict({ headline: "", heading, lines: [line], test: "", printed: [], skipped: [] });
    this.isTold = true;
    this.python.end();
  }

  onStop() {
    this.isTold = this.isStopped = true;
    this.python.end();
    this.setPower(false);
    this.say(inWords("Stopped."));
    this.busy(false);
  }

  setPower(isOn) {
    this.isRunning = isOn;
    this.power.textContent = isOn ? inWords("Stop the server") : inWords("Start the server");
  }

  async onPower() {
    this.power.disabled = true;
    try {
      if (this.isRunning) await this.python.ask({ kind: "halt" });
      else await this.python.run(this.files.all);
      this.setPower(!this.isRunning);
      const stopped = inWords("The server is stopped. The tabs are still open.");
      this.say(this.isRunning ? inWords("The app is running.") : stopped);
    } catch (error) {
      this.tell(error);
    }
    this.power.disabled = false;
  }

  onVanish(index) {
    const tab = this.tabs[index];
    if (!tab) return;
    tab.leave(1006);
    const words = inWords("This tab has vanished without closing its connection. Reload opens it again.");
    tab.doc.body.replaceChildren(tab.doc.createTextNode(words));
  }

  async onPost(text) {
    const body = new TextEncoder().encode(text);
    try {
      const answer = await this.python.request("/api/v2/messages", { method: "POST", body, jar: JAR });
      this.say(inWords("The POST was answered with {status}.", { status: answer.status }));
    } catch (error) {
      this.tell(error);
    }
  }

  async onTcp(text) {
    try {
      const { text: answer } = await this.python.ask({ kind: "tcp", port: TCP_PORT, text: `${text}\n` });
      this.say(answer ? `TCP: ${answer}` : inWords("The line was sent."));
    } catch (error) {
      if (!(error instanceof Ended)) this.say(`TCP: ${error.message}`);
    }
  }

  // ---- Check

  async onCheck() {
    if (this.isBusy) return;
    this.busy(true);
    this.isTold = this.isStopped = false;
    this.isChecking = true;
    this.current = null;
    this.verdict.replaceChildren();
    this.checks.replaceChildren();
    try {
      await this.started();
      this.say(inWords("Checking …"));
      await this.python.check(this.exercise.id, this.files.all);
      this.say(inWords("Checked."));
    } catch (error) {
      if (!this.isTold) this.tell(error);
      else if (!this.isStopped) this.say(inWords("Checked."));
    }
    this.isChecking = false;
    closeAll();
    this.check.focus({ preventScroll: true });
    this.busy(false);
  }

  // While it loads, runs or checks, neither can begin; the buttons keep the focus.
  busy(isBusy) {
    this.isBusy = isBusy;
    if (this.isDemo) return;
    for (const one of [this.run, this.check]) one.setAttribute("aria-disabled", isBusy);
    this.stop.disabled = false;
  }

  setStale() {
    if (this.isRunning) this.say(inWords("The app is running, without your last changes: Run starts it again."));
  }

  // ---- Help

  onHint() {
    const hints = [...document.querySelectorAll(`[data-hint-of="${this.exercise.id}"]`)];
    const next = this.hints.children.length;
    if (next < hints.length) {
      this.hints.append(make("div", { class: "hint" }, hints[next].content.cloneNode(true)));
    }
    if (next + 1 >= hints.length) this.hint.disabled = true;
  }

  // Ask before something is replaced that was written.
  ask(words, yes, done) {
    const close = () => this.asking.replaceChildren();
    const buttons = [button(yes, () => {
      close();
      done();
    }), button(inWords("Cancel"), close)];
    this.asking.replaceChildren(make("p", {}, words), make("div", { class: "bar" }, buttons));
    buttons[0].focus();
  }

  onSolution() {
    const words = inWords("The solution takes the place of your files. Yours are kept, and you can go back to them.");
    this.ask(words, inWords("Show it"), () => {
      this.files.showSolution();
      this.offerBack();
    });
  }

  offerBack() {
    const back = button(inWords("Back to my files"), () => {
      this.files.bringBack();
      this.asking.replaceChildren();
    });
    this.asking.replaceChildren(make("div", { class: "bar" }, back));
  }

  onStartOver() {
    this.ask(inWords("This clears what you wrote here."), inWords("Start over"), () => {
      this.files.forget();
    });
  }

  async onLoad(input) {
    try {
      await this.files.take(input.files[0]);
      this.say(inWords("Your files are loaded."));
    } catch (error) {
      this.say(error.message);
    }
    input.value = "";
  }
}
