// What editor.js is built from: see README.md.
import { createEditor } from "prism-code-editor";
import { defaultCommands, editHistory } from "prism-code-editor/commands";
import { matchBrackets } from "prism-code-editor/match-brackets";
import "prism-code-editor/prism/languages/css";
import "prism-code-editor/prism/languages/javascript";
import "prism-code-editor/prism/languages/markup";
import "prism-code-editor/prism/languages/python";
import "prism-code-editor/prism/languages/toml";
import "prism-code-editor/layout.css";

const LANGUAGES = { css: "css", html: "html", js: "javascript", py: "python", Pipfile: "toml" };

// An editor in an element: `changed(text)` is called at each change.
export function create(parent, name, value, changed) {
  const language = LANGUAGES[name.split(/[./]/).pop()] ?? "text";
  const tabSize = language === "python" ? 4 : 2;
  const options = { language, value, tabSize, onUpdate: changed };
  const editor = createEditor(parent, options, defaultCommands(), editHistory(), matchBrackets());
  editor.textarea.setAttribute("aria-label", name);
  // The colored lines show what is in the box again, with their numbers: they are not read aloud.
  const hide = () => {
    for (const line of editor.wrapper.children) {
      if (!line.contains(editor.textarea)) line.ariaHidden = "true";
    }
  };
  editor.on("update", hide);
  hide();
  return editor;
}
