// The page: reads the form, makes takes, and keeps what was asked for.
//
// `window.motionPage` has takes, make() and history, for tests.

import { listModels, scenes, useKey, worked } from "./api.js";
import { button, byId } from "./dom.js";
import { Floor } from "./floor.js";
import { History } from "./history.js";
import { Take } from "./take.js";
import { Timeline } from "./timeline.js";
import { Work } from "./work.js";

const EXAMPLES = ["a person waves", "a person walks forward", "someone jumps twice", "a man dances", "a person kicks with the right leg",
  "a person runs in a circle"];
const KEY = "motionmillion-key";
const OPTIONS = [["guidance", "guidance_scale"], ["temperature", "temperature"], ["candidates", "candidates"]]; // fields, and their options

let formats = ["glb", "bvh", "npz", "html", "json"];
let models = [];
let working = null; // aborts what is being made
const takes = [];
const timeline = new Timeline(byId("track"), byId("parts"), byId("total"), byId("part-told"),
  [["a person walks forward", 3], ["a person jumps", 2]]);
const floor = new Floor(byId("floor"), byId("points"));
const work = new Work(byId("work"), { models: () => models, takes: () => takes, start: workOn });
const history = new History(byId("history"), pick);

function say(text, wrong = false) {
  byId("told").textContent = text;
  byId("told").classList.toggle("wrong", wrong);
}

const kind = () => document.querySelector("input[name=kind]:checked").value;
const number = (id) => (byId(id).value === "" ? null : Number(byId(id).value));

function showKind() {
  byId("sentence").hidden = kind() === "timeline";
  byId("timeline").hidden = kind() !== "timeline";
  byId("path-box").hidden = kind() !== "path";
  byId("length-field").hidden = kind() !== "prompt";
  if (kind() === "path") floor.draw();
}

// ---- the form and the request ----
function read() {
  const options = {};
  for (const [id, name] of OPTIONS) if (number(id) !== null) options[name] = number(id);
  const body = { seed: number("seed") ?? 0, repair: byId("repair").checked, body: byId("body").value, options };
  if (byId("model").value) body.model = byId("model").value;
  if (kind() === "timeline") {
    delete options.candidates; // parts are made one after another, without a choice
    return { ...body, timeline: timeline.parts };
  }
  body.prompt = byId("prompt").value.trim();
  if (kind() === "path") body.path = floor.points; // its length decides how long the motion is
  else if (number("seconds") !== null) body.seconds = number("seconds");
  return body;
}

function fill({ body, samples }) {
  const chosen = body.timeline ? "timeline" : body.path ? "path" : "prompt";
  document.querySelector(`input[name=kind][value=${chosen}]`).checked = true;
  byId("prompt").value = body.prompt ?? "";
  if (body.timeline) timeline.parts = body.timeline;
  if (body.path) floor.points = body.path;
  const values = { seconds: body.seconds ?? "", seed: body.seed, samples, body: body.body };
  for (const [id, name] of OPTIONS) values[id] = body.options[name] ?? "";
  for (const [id, value] of Object.entries(values)) byId(id).value = value;
  if (models.some((model) => model.name === body.model)) byId("model").value = body.model;
  byId("repair").checked = body.repair;
  showKind();
}

function complaint(body, samples) {
  const texts = body.timeline ? body.timeline.map((part) => part.prompt) : [body.prompt];
  if (!texts.length || !texts.every((text) => /[\p{L}\p{N}]/u.test(text))) {
    return "Say what the person does, such as \u201ca person waves\u201d.";
  }
  if (body.path && body.path.length < 2) return "Draw the path first: click where the person is to go.";
  if (!(samples >= 1 && samples <= 8)) return "Takes must be 1 to 8.";
  return "";
}

// ---- making ----
function newTake(given) {
  const body = () => byId("body").value;
  const onRemove = (take) => { if (work.take === take) work.close(); takes.splice(takes.indexOf(take), 1); byId("all").hidden = !takes.length; };
  const take = new Take(byId("takes"), given, { formats, body, say, onWork: (one) => work.open(one), onOpen: look, onRemove });
  takes.push(take);
  byId("all").hidden = false;
  return take;
}

// ---- all takes together, to compare them ----
function look(player) {
  player.speed = Number(byId("speed").value);
  if (byId("camera").selectedIndex) player.preset(byId("camera").selectedIndex);
}

const players = () => takes.map((take) => take.player).filter(Boolean);

function playAll() {
  for (const player of players()) { player.seek(0); player.playing = true; }
}

async function make() {
  const body = read(), samples = number("samples") ?? 1, problem = complaint(body, samples);
  if (problem) { say(problem, true); byId(body.timeline ? "add-part" : "prompt").focus(); return; }
  for (const take of takes.filter((one) => !one.kept)) take.remove();
  const caption = body.prompt ?? body.timeline.map((part) => part.prompt).join("; ");
  const made = Array.from({ length: samples }, (_, index) => {
    const own = { ...body, seed: body.seed + index };
    return newTake({ caption, seed: own.seed, body: own });
  });
  history.add({ caption, samples, body });
  await during(`Making ${samples === 1 ? "a motion" : `${samples} motions`} ...`, made, fetched);
}

async function fetched(take, signal) {
  if (!take.body.path && !(take.body.options.candidates > 1)) return take.stream(signal); // a stream has nothing to choose from
  return take.show((await scenes(take.body, signal)).scene);
}

async function during(text, made, act) {
  working?.abort();
  const own = working = new AbortController();
  say(text);
  byId("stop").hidden = false;
  made[0].box.scrollIntoView({ block: "nearest" }); // on phones takes are below the form
  const began = performance.now();
  const ends = await Promise.allSettled(made.map((take) => act(take, own.signal)));
  const failed = ends.map((end) => end.reason);
  failed.forEach((reason, index) => { if (reason) made[index].fail(own.signal.aborted ? "stopped" : reason.message); });
  if (working !== own) return;
  byId("stop").hidden = true;
  const reason = failed.find(Boolean);
  if (own.signal.aborted) say("Stopped.");
  else if (reason) { say(reason.message, true); if (reason.status === 401) askForKey(); }
  else say(`Done in ${((performance.now() - began) / 1000).toFixed(1)} seconds.`);
}

// What the form of a take asks for, as a new take next to it.
async function workOn({ caption, address, files, fields, character = false, model = byId("model").value }) {
  const { seed, repair, body, options } = read();
  const common = character ? {} : { seed, repair, body, model, format: "npz", options: JSON.stringify(options) };
  const next = newTake({ caption, seed: character ? null : seed });
  await during("Working on it ...", [next], async (one, signal) => {
    one.file = await worked(address, await files(), { ...common, ...fields }, signal);
    await showAndKeep(one, signal);
  });
}

async function openFiles(files) {
  const opened = [...files].map((file) => newTake({ caption: file.name, file: { blob: file, name: file.name } }));
  if (opened.length) await during("Reading ...", opened, showAndKeep);
}

async function showAndKeep(take, signal) {
  await take.showFile(signal);
  await history.addFile(take.caption, take.file);
}

// Makes or shows again what the history has.
async function pick(entry) {
  if (!entry.file) { fill(entry); await make(); return; }
  const file = await history.fileOf(entry);
  if (file) await during("Reading ...", [newTake({ caption: entry.caption, file })], (take, signal) => take.showFile(signal));
  else say(`This browser does not have ${entry.name} any more. Open it again.`, true);
}

function askForKey() {
  document.querySelector("details").open = true;
  byId("key").focus();
}

// ---- the page ----
async function showModels() {
  try {
    const answer = await listModels();
    models = answer.models;
    formats = answer.formats;
    const chosen = byId("model").value;
    byId("model").replaceChildren(...models.map((model) => new Option(model.name, model.name)));
    if (models.some((model) => model.name === chosen)) byId("model").value = chosen;
    showDefaults();
    return true;
  } catch (error) {
    say(error.message, true);
    if (error.status === 401) askForKey();
    return false;
  }
}

function showDefaults() {
  const defaults = models.find((model) => model.name === byId("model").value)?.defaults ?? {};
  byId("guidance").placeholder = defaults.guidance_scale ?? "";
  byId("temperature").placeholder = defaults.temperature ?? "";
  byId("candidates").placeholder = 1;
}

function listen() {
  byId("ask").onsubmit = (event) => { event.preventDefault(); make(); };
  byId("stop").onclick = () => working?.abort();
  byId("dice").onclick = () => { byId("seed").value = Math.floor(Math.random() * 2 ** 31); };
  byId("add-part").onclick = () => timeline.add().focus();
  byId("clear-path").onclick = () => floor.clear();
  byId("forget").onclick = () => history.clear();
  byId("model").onchange = showDefaults;
  byId("play-all").onclick = playAll;
  byId("speed").onchange = (event) => players().forEach((player) => { player.speed = Number(event.target.value); });
  byId("camera").append(...window.Player.presets.map((name) => new Option(name)));
  byId("camera").onchange = (event) => players().forEach((player) => player.preset(event.target.selectedIndex));
  byId("open").onchange = (event) => { openFiles(event.target.files).finally(() => { event.target.value = ""; }); };
  const hasFiles = (event) => event.dataTransfer.types.includes("Files"); // not a text that is dragged
  addEventListener("dragover", (event) => { if (hasFiles(event)) event.preventDefault(); });
  addEventListener("drop", (event) => { if (hasFiles(event)) { event.preventDefault(); openFiles(event.dataTransfer.files); } });
  byId("key").onchange = async () => {
    useKey(byId("key").value);
    sessionStorage.setItem(KEY, byId("key").value);
    if (await showModels()) say("The key is right.");
  };
  byId("theme").onclick = () => {
    const root = document.documentElement, dark = getComputedStyle(root).getPropertyValue("--dark").trim() === "1";
    root.dataset.theme = dark ? "light" : "dark";
    dispatchEvent(new Event("resize")); // players read their colours again
    floor.draw();
  };
  for (const radio of document.querySelectorAll("input[name=kind]")) radio.onchange = showKind;
  byId("examples").append(...EXAMPLES.map((text) => button(text, () => { byId("prompt").value = text; byId("prompt").focus(); })));
  addEventListener("keydown", (event) => {
    const wanted = event.key === "Enter" && (event.ctrlKey || event.metaKey) && !event.target.closest("#work");
    if (wanted) { event.preventDefault(); make(); }
    if (event.key === "Escape") working?.abort();
  });
}

useKey(sessionStorage.getItem(KEY) ?? "");
listen();
showKind();
showModels();
window.motionPage = { takes, make, history };
