// The questions of a page: without this script, each shows its options and a folded answer.
// Answers stay in this browser: they are kept in its localStorage, and nothing is sent anywhere.
"use strict";

const KEY = "quart-websocket-workshop:";

// What of this script's texts is translated, and a text in the language of the page, with its values.
const translations = JSON.parse(document.currentScript.dataset.words ?? "{}");

function inWords(text, values = {}) {
  return (translations[text] ?? text).replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

function kept(name) {
  // Anything may be in there, or the browser may keep nothing at all.
  try {
    const found = JSON.parse(localStorage.getItem(KEY + name));
    return found && typeof found === "object" && !Array.isArray(found) ? found : {};
  } catch {
    return {};
  }
}

function keep(name, answers) {
  try {
    localStorage.setItem(KEY + name, JSON.stringify(answers));
  } catch {
    // The answers then last as long as the page does.
  }
}

function make(tag, text = "", attributes = {}) {
  const element = document.createElement(tag);
  element.textContent = text;
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

function button(text, attributes = {}) {
  return make("button", text, { type: "button", ...attributes });
}

// A question: what is chosen, whether it is right, and why.

function radios(question) {
  return [...question.querySelectorAll("input")];
}

function lines(question) {
  return [...question.querySelectorAll("[data-line]")];
}

function answer(question) {
  if (question.dataset.kind === "order") return lines(question).map((line) => +line.dataset.line);
  const chosen = radios(question).find((radio) => radio.checked);
  return chosen ? +chosen.value : null;
}

function put(question, value) {
  for (const radio of radios(question)) radio.checked = +radio.value === value;
  const all = lines(question);
  if (!all.length || !Array.isArray(value) || value.length !== all.length) return;
  const moved = value.map((number) => all.find((line) => +line.dataset.line === number));
  if (new Set(moved).size === all.length && !moved.includes(undefined)) {
    all[0].parentElement.append(...moved);
    number(question);
  }
}

function reason(question, value) {
  if (question.dataset.kind !== "order") {
    return question.querySelector(`.reasons [data-option="${value}"]`);
  }
  for (const rule of question.querySelectorAll("[data-above]")) {
    const above = value.indexOf(+rule.dataset.above);
    const below = value.indexOf(+rule.dataset.below);
    if (below < above || ("directly" in rule.dataset && below !== above + 1)) return rule;
  }
  return question.querySelector("[data-right]");
}

function isRight(question, value) {
  const found = reason(question, value);
  return Boolean(found) && (found.dataset.option === "0" || "right" in found.dataset);
}

function say(question, ...words) {
  const verdict = question.querySelector(".verdict");
  verdict.classList.remove("is-right");
  verdict.replaceChildren(...words);
}

function tell(question, value) {
  const why = reason(question, value).querySelector(".why").cloneNode(true);
  say(question, ...why.childNodes);
  question.querySelector(".verdict").classList.toggle("is-right", isRight(question, value));
}

// Lines to be moved.

function number(question) {
  const all = lines(question);
  for (const [index, line] of all.entries()) {
    const [up, down] = line.querySelectorAll("button");
    const values = { number: index + 1, indent: line.dataset.indent, code: line.querySelector("code").textContent };
    const text = values.indent === "0"
      ? inWords("line {number}: {code}", values)
      : inWords("line {number}, indented by {indent}: {code}", values);
    // A button that is disabled would lose the focus.
    up.setAttribute("aria-disabled", index === 0);
    down.setAttribute("aria-disabled", index === all.length - 1);
    up.setAttribute("aria-label", inWords("Move up {line}", { line: text }));
    down.setAttribute("aria-label", inWords("Move down {line}", { line: text }));
  }
}

function addMoves(question, changed) {
  for (const line of lines(question)) {
    const row = make("div", "", { class: "line" });
    row.append(...line.childNodes);
    for (const [sign, step] of [["↑", -1], ["↓", 1]]) {
      const move = button(sign);
      move.addEventListener("click", () => {
        const other = step < 0 ? line.previousElementSibling : line.nextElementSibling;
        if (!other) return;
        if (step < 0) other.before(line);
        else other.after(line);
        number(question);
        move.focus();
        const all = lines(question);
        changed();
        say(question, inWords("Now line {number} of {count}.", { number: all.indexOf(line) + 1, count: all.length }));
      });
      row.append(move);
    }
    line.append(row);
  }
  if (lines(question).length) number(question);
}

// All questions of a page.

function entryOf(question, answers) {
  const entry = answers[question.dataset.name];
  return entry && typeof entry === "object" ? entry : {};
}

function rightAtFirst(questions, answers) {
  return questions.filter((question) => entryOf(question, answers).first === 0);
}

function topics(questions) {
  return questions.map((question) => question.dataset.topic).join("; ");
}

function moved(questions, answers) {
  const before = kept("before");
  const all = questions.length;
  const now = rightAtFirst(questions, answers);
  const then = rightAtFirst(questions, before);
  const counts = { then: then.length, now: now.length, count: all };
  const told = [inWords("{then} of {count} before, {now} of {count} now.", counts)];
  if (!Object.keys(before).length) {
    told[0] = inWords("{now} of {count} now. In this browser, there are no answers from before.", counts);
  }
  const won = now.filter((question) => !then.includes(question));
  const open = questions.filter((question) => !now.includes(question));
  if (won.length) told.push(inWords("Right now, and not before: {topics}.", { topics: topics(won) }));
  if (open.length) told.push(inWords("Not right yet: {topics}.", { topics: topics(open) }));
  return told;
}

function save() {
  const content = { questions: "eight" };
  for (const time of ["before", "after"]) {
    const firsts = Object.entries(kept(time)).map(([name, entry]) => [name, entry?.first]);
    content[time] = Object.fromEntries(firsts.filter(([, first]) => Number.isInteger(first)));
  }
  const file = new Blob([`${JSON.stringify(content, null, 2)}\n`], { type: "application/json" });
  const link = make("a", "", { href: URL.createObjectURL(file), download: "answers.json" });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

function start(quiz) {
  const name = quiz.dataset.quiz;
  const isBefore = name === "before";
  const questions = [...quiz.querySelectorAll(".question")];
  const answers = kept(name);
  const score = make("div", "", { class: "score", role: "status" });

  function remember(question, entry) {
    answers[question.dataset.name] = entry;
    keep(name, answers);
    count();
  }

  function count() {
    const right = questions.filter((question) => {
      const value = answer(question);
      return entryOf(question, answers).checked && value !== null && isRight(question, value);
    });
    const given = questions.filter((question) => answer(question) !== null);
    const count = questions.length;
    let told = [inWords("{number} of {count} right.", { number: right.length, count })];
    if (isBefore) told = [inWords("{number} of {count} answered.", { number: given.length, count })];
    if (name === "after") told = moved(questions, answers);
    const old = [...score.children].map((line) => line.textContent);
    if (told.join() !== old.join()) score.replaceChildren(...told.map((text) => make("p", text)));
  }

  for (const question of questions) {
    const entry = () => entryOf(question, answers);
    const changed = () => {
      const value = answer(question);
      say(question);
      const first = isBefore ? value : entry().first;
      remember(question, { answer: value, checked: false, first });
    };
    question.querySelector(".answer").hidden = true;
    addMoves(question, changed);
    for (const radio of radios(question)) radio.addEventListener("change", changed);
    if (!isBefore) {
      const check = button(inWords("Check"));
      check.addEventListener("click", () => {
        const value = answer(question);
        if (value === null) return say(question, inWords("Choose an answer first."));
        tell(question, value);
        remember(question, { answer: value, checked: true, first: entry().first ?? value });
      });
      question.append(check);
    }
    question.append(make("div", "", { class: "verdict", role: "status", "aria-live": "polite" }));
    question.dataset.mixed = JSON.stringify(answer(question));
    if ("answer" in entry()) put(question, entry().answer);
    if (entry().checked && reason(question, answer(question))) tell(question, answer(question));
  }

  const over = button(inWords("Start over"));
  over.addEventListener("click", () => {
    for (const question of questions) {
      delete answers[question.dataset.name];
      put(question, JSON.parse(question.dataset.mixed));
      say(question);
    }
    keep(name, answers);
    count();
  });
  quiz.append(score, over);
  if (isBefore || name === "after") {
    const saving = button(inWords("Save my answers"));
    saving.addEventListener("click", save);
    quiz.append(saving);
  }
  count();
}

document.querySelectorAll(".quiz").forEach(start);
