// The panel's texts in the language of the page: docs/translated.py puts those that are translated into the
// page, at the script that loads the panel. What isn't there stays English.
const script = document.querySelector('script[src*="/live.js"]');
const translations = JSON.parse(script?.dataset.words ?? "{}");
export const language = document.documentElement.lang || "en";

const rules = new Intl.PluralRules(language);
const known = rules.resolvedOptions().pluralCategories;
const CATEGORIES = ["zero", "one", "two", "few", "many", "other"].filter((name) => known.includes(name));

function filled(text, values) {
  return text.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

// A text in the language of the page, with its values.
export function inWords(text, values = {}) {
  return filled(translations[text] ?? text, values);
}

// The form of a text for a number, which is its value {number}.
export function plural(one, many, number, values = {}) {
  const forms = translations[one] ?? [one, many];
  const form = forms[CATEGORIES.indexOf(rules.select(number))] ?? forms.at(-1);
  return filled(form, { number, ...values });
}
