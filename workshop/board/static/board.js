const state = document.querySelector("#state");
const join = document.querySelector("#join");
const hands = document.querySelector("#hands");
const form = document.querySelector("#form");
const codeInput = document.querySelector("#code");
const board = document.querySelector("#class");
const most = document.querySelector("#most");
const head = document.querySelector("#head");
const body = document.querySelector("#rows");
const empty = document.querySelector("#empty");

// The texts that are translated: the page contains them.
const words = JSON.parse(document.currentScript.dataset.words);
const TICK = 5000; // milliseconds
let code = location.hash.slice(1);
let exercises = [];
let rows = new Map(); // the latest row of each learner, by number
let ws;
let log = "";
let last = 0;
let tries = 0;

function element(name, text = "", className = "") {
  const made = document.createElement(name);
  // textContent, because learners choose their names.
  made.textContent = text;
  made.className = className;
  return made;
}

function filled(text, values) {
  return text.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

// A text in the language of the page, with its values.
function inWords(text, values = {}) {
  return filled(words[text] ?? text, values);
}

// The form of a text for a number, which is its value {number}.
function plural(one, many, number) {
  return filled((words[one] ?? [one, many]).at(number === 1 ? 0 : -1), {number});
}

function say(text) {
  // Screen readers announce every change, so don't set a text that hasn't changed.
  if (state.textContent !== text) state.textContent = text;
}

function clock(seconds) {
  return new Date(1000 * seconds).toLocaleTimeString([], {timeStyle: "short"});
}

function cell(exercise, row) {
  const found = row.exercises[exercise.id];
  const isHere = row.exercise === exercise.id;
  const made = element("td", "", isHere ? "exercise here" : "exercise");
  if (isHere) made.setAttribute("aria-current", "true");
  if (!found) return made;
  if (found.done && !found.failed) {
    made.append(element("span", "✓", "done"), element("span", ` ${inWords("done")}`, "hidden"));
  } else {
    made.append(element("span", `${found.passed}/${found.passed + found.failed}`, "failing"));
    made.append(element("span", ` ${inWords("checks pass")}`, "hidden"));
  }
  return made;
}

function rowElement(row) {
  const made = element("tr", "", row.hand ? "hand" : "");
  made.dataset.learner = row.learner;
  const found = row.exercises[row.exercise] ?? {};
  made.dataset.runs = Object.values(row.exercises).reduce((sum, each) => sum + each.runs, 0);
  const name = element("th", row.name, "name");
  name.scope = "row";
  if (row.hand) name.prepend(element("span", inWords("hand up"), "badge"), " ");
  made.append(name, ...exercises.map((exercise) => cell(exercise, row)));
  made.append(element("td", found.first ?? "", "first"));
  made.append(element("td", found.first ? clock(found.since) : ""));
  made.append(element("td", found.runs ?? ""));
  return made;
}

function showRow(row) {
  const old = body.querySelector(`[data-learner="${row.learner}"]`);
  if (row.left) {
    rows.delete(row.learner);
    old?.remove();
  } else {
    rows.set(row.learner, row);
    if (old) old.replaceWith(rowElement(row));
    else body.append(rowElement(row));
  }
}

function showHands() {
  const up = [...rows.values()].filter((row) => row.hand).sort((a, b) => a.hand - b.hand);
  const names = up.map((row) => row.name).join(", ");
  const text = names && inWords("Hands up: {names}", {names});
  if (hands.textContent !== text) hands.textContent = text;
  empty.hidden = rows.size > 0;
  // More rows, smaller letters: see the style sheet.
  board.style.setProperty("--rows", Math.max(rows.size, 10));
}

function showMost(checks) {
  const items = checks.map((each) => {
    const item = element("li");
    const {number, title} = exercises.find((exercise) => exercise.id === each.exercise);
    const who = plural("{number} learner", "{number} learners", each.learners);
    item.append(element("strong", each.check), ` (${number} ${title}, ${who})`);
    if (each.mistake) {
      item.append(element("span", inWords("Often: {mistake}. ", each), "mistake"));
      item.lastChild.append(element("q", each.says));
    }
    return item;
  });
  if (!items.length) items.push(element("li", inWords("No check fails.")));
  most.replaceChildren(...items);
}

function showAll(all) {
  ({log, last, exercises} = all);
  rows = new Map();
  body.replaceChildren();
  for (const old of head.querySelectorAll(".exercise")) old.remove();
  const headings = exercises.map(({number, title}) => {
    const heading = element("th", number, "exercise");
    heading.scope = "col";
    heading.title = title;
    heading.append(element("span", ` ${title}`, "hidden"));
    return heading;
  });
  head.firstElementChild.after(...headings);
  all.rows.forEach(showRow);
  showMost(all.most);
  showHands();
  join.textContent = inWords("To join: {command}", {command: all.join});
  form.hidden = true;
  board.hidden = false;
}

function take(frame) {
  if (frame.messages) {
    const changes = frame.messages.map((text) => JSON.parse(text));
    for (const {row} of changes) showRow(row);
    showMost(changes.at(-1).most);
    showHands();
    last = frame.first + frame.messages.length - 1;
  } else if (frame.gap) {
    // The board has restarted, or this page was away for too long.
    ws.close();
    ws = undefined;
    start();
  } else {
    tries = 0;
    say(inWords("Connected"));
  }
}

async function start() {
  let response;
  try {
    response = await fetch(`/api/state?code=${encodeURIComponent(code)}`);
  } catch {
    return comeBack(start);
  }
  if (response.status === 403) return ask(inWords("The class code is wrong."));
  if (!response.ok) return comeBack(start);
  showAll(await response.json());
  connect();
}

function connect() {
  const query = `code=${encodeURIComponent(code)}&log=${log}&last=${last}`;
  const socket = new WebSocket(`ws://${location.host}/ws?${query}`);
  ws?.close();
  ws = socket;
  // Only the newest connection counts: the one before may take long to notice its end.
  socket.addEventListener("message", (event) => socket === ws && take(JSON.parse(event.data)));
  socket.addEventListener("close", () => socket === ws && comeBack(connect));
}

function comeBack(how) {
  say(inWords("Disconnected: connecting again…"));
  // Back-off and jitter, as in step 6.
  const seconds = Math.min(5, 2 ** tries);
  tries += 1;
  setTimeout(how, 1000 * seconds * Math.random());
}

function ask(problem) {
  say(code ? problem : inWords("The board needs the class code."));
  form.hidden = false;
  board.hidden = true;
  codeInput.focus();
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  code = codeInput.value.trim();
  start();
});

// A timer that is late means that this machine slept, and the connection may be dead by now.
let ticked = Date.now();
setInterval(() => {
  if (Date.now() - ticked > 3 * TICK && ws) connect();
  ticked = Date.now();
}, TICK);

if (code) start();
else ask();
