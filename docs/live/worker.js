// Python in a worker: Pyodide, the packages, and docs/live/main.py, which does what the page asks.
// Every file comes from this site.
const base = new URL("runtime/", self.location).href;
const settings = new URL(self.location).searchParams;
const queue = []; // what comes for a check that waits for its tabs
let isChecking = false;
let wake = () => {};

if (settings.get("jspi") === "0") delete WebAssembly.Suspending; // as in a browser without it
const canWait = "Suspending" in WebAssembly;

function say(text) {
  postMessage({ kind: "print", text });
}

function die(text) {
  postMessage({ kind: "dead", text });
}

async function bytes(name) {
  const response = await fetch(base + name);
  if (!response.ok) throw new Error(`${name}: ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
}

// How much is loaded: an entry for each file of the runtime, once all of it is there.
let loaded = 0;
new PerformanceObserver((list) => {
  const own = list.getEntries().filter((entry) => entry.name.startsWith(base));
  for (const { name, decodedBodySize, responseStatus } of own) {
    loaded += decodedBodySize || 0;
    // Pyodide itself would wait forever for a file that is missing.
    if (responseStatus >= 400) die(`${name.slice(base.length)}: ${responseStatus}`);
  }
  if (own.length) postMessage({ kind: "progress", loaded });
}).observe({ type: "resource", buffered: true });

async function load() {
  const language = settings.get("language") ?? "en";
  const zips = [bytes("site.zip"), bytes("workshop.zip")];
  if (language !== "en") zips.push(bytes(`${language}.zip`)); // the catalogues of what a check says
  zips.forEach((zip) => zip.catch(() => {})); // what fails is told when it is awaited
  const { loadPyodide } = await import(`${base}pyodide.mjs`);
  const py = await loadPyodide({ indexURL: base, packageBaseUrl: base, stdout: say, stderr: say });
  py.FS.writeFile("/site.zip", await zips[0]);
  for (const zip of zips.slice(1)) py.unpackArchive(await zip, "zip", { extractDir: "/w" });
  self.post_message = (message) => postMessage(message);
  py.runPython(`
import sys
sys.path[:0] = ["/w", "/site.zip"]
from js import Object, post_message
from pyodide.ffi import to_js
from docs.live.main import RUN, Worker

def post(**message):
    post_message(to_js(message, dict_converter=Object.fromEntries))

worker = Worker(post)
worker.start(${JSON.stringify(language)})
`);
  return py;
}

// Write the files of a project, in place of those that were there.
function write(py, folder, files) {
  py.runPython(`import shutil; shutil.rmtree(${JSON.stringify(folder)}, ignore_errors=True)`);
  for (const [name, text] of Object.entries(files)) {
    const path = `${folder}/${name}`;
    py.FS.mkdirTree(path.slice(0, path.lastIndexOf("/")));
    py.FS.writeFile(path, text);
  }
}

// What a check awaits while its tabs are open: messages, or that some milliseconds pass.
self.next_messages = (milliseconds) =>
  new Promise((done) => {
    const give = () => {
      clearTimeout(timer);
      wake = () => {};
      done(queue.splice(0));
    };
    const timer = milliseconds < 0 ? 0 : setTimeout(give, milliseconds);
    wake = give;
    if (queue.length) give();
  });

async function check(py, message) {
  isChecking = true;
  const project = "/w/websocket";
  const waits = canWait ? "js.next_messages" : "None";
  try {
    write(py, project, message.files);
    const exercise = JSON.stringify(message.exercise);
    const thorough = message.isThorough ? "True" : "False";
    const code = `import js; worker.check(${exercise}, "${project}", ${waits}, ${thorough})`;
    if (canWait) await py.runPythonAsync(code);
    else py.runPython(code);
    postMessage({ kind: "answer", id: message.id });
  } catch (error) {
    postMessage({ kind: "failed", id: message.id, text: String(error.message ?? error) });
  }
  isChecking = false;
}

async function start() {
  const py = await load();
  const handle = py.runPython("lambda message: worker.handle(message.to_py())");
  const waiting = []; // what comes meanwhile for the app that runs

  async function take(message) {
    if (message.kind === "ping") return postMessage({ kind: "pong" });
    if (isChecking) {
      if (!message.isOfCheck) return void waiting.push(message);
      queue.push(message);
      return wake();
    }
    if (message.kind === "check") {
      await check(py, message);
      for (const one of waiting.splice(0)) await take(one);
    } else if (message.kind === "ready") {
      py.runPython("worker.get_ready()");
    } else if (!message.isOfCheck) {
      if (message.kind === "run") write(py, py.globals.get("RUN"), message.files);
      handle(message);
      postMessage({ kind: "memory", bytes: py._module.HEAP8.length });
    }
  }

  self.onmessage = ({ data }) => take(data);
  postMessage({ kind: "started", canWait });
}

start().catch((error) => die(String(error.message ?? error)));
