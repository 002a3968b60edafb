// The controls of the viewer page, viewer.html: playback, camera, bodies, files dropped and saved, keys.
//
//   openViewer(data);
//   motionViewer.seek(1.5); motionViewer.jointPositions();      // for scripts and tests
//
// `window.motionViewer` has frame, frames, seconds, playing, body, layout (both can be set), captions, play(), pause(),
// seek(seconds), step(frames), jointPositions(index, drawn), add(file), save(format, index), content(format, index) as a Blob, and
// player.

import { BODIES } from "./bodies.js";
import { readDropped } from "./dropped.js";
import { Player, PRESETS, redrawAll } from "./player.js";
import { fileContent, saveMotion } from "./saved.js";
import { drawStrips } from "./strips.js";

const byId = (id) => document.getElementById(id);
const pressed = (id, on) => byId(id).setAttribute("aria-pressed", String(on));

export function openViewer(data) {
  const still = window.stillWished();
  let player = null;
  player = new Player(byId("scene"), data, {
    zoom: true, smooth: true, contacts: true,
    onPlaying: (playing) => {
      window.showPlaying(byId("play"), playing);
      byId("play").setAttribute("aria-label", playing ? "Pause" : "Play");
    },
    onFrame: (frame, seconds) => { if (player) showFrame(player, frame, seconds); },
    onLoad: (loaded) => showMotions(loaded),
    onLayout: () => { if (player) showCaptions(player); },
  });
  showCaptions(player);
  playback(player);
  looks(player);
  files(player);
  keys(player);
  byId("body").value = player.body;
  if (!Player.webgl) say("This browser has no WebGL: a mannequin is drawn without it.", true);
  if (!still) player.playing = true;
  expose(player);
}

// ---- what is shown ----
function showFrame(player, frame, seconds) {
  byId("frame").textContent = frame;
  byId("time").textContent = `· ${seconds.toFixed(2)} s`;
  byId("scrub").value = frame;
  for (const caption of document.querySelectorAll(".caption")) {
    const motion = player.motions[caption.dataset.motion];
    const part = motion && motion.parts.find(([start, end]) => start <= seconds + 1e-6 && seconds < end - 1e-6);
    if (caption.lastChild.textContent !== (part ? part[2] : "")) caption.lastChild.textContent = part ? part[2] : "";
  }
  drawStrips(byId("strips"), player);
}

function showMotions(player) {
  byId("scrub").max = byId("last").textContent = player.frames - 1;
  byId("layout").hidden = player.motions.length < 2;
}

function showCaptions(player) {
  const box = byId("captions"), list = player.layout === "ghosts", tools = byId("tools").getBoundingClientRect();
  const scene = byId("scene").getBoundingClientRect(), below = Math.max(0, tools.bottom - scene.top);
  Object.assign(box.style, { left: `${scene.left}px`, top: `${scene.top + (list ? below : 0)}px`, width: `${scene.width}px` });
  box.classList.toggle("list", list);
  box.replaceChildren(...player.cells().flatMap((cell) => cell.motions.map((index) => {
    const motion = player.motions[index], caption = document.createElement("div");
    const text = document.createElement("span"), part = document.createElement("small");
    caption.className = "caption"; caption.dataset.motion = index;
    text.textContent = motion.caption;
    caption.append(text);
    if (motion.dropped) caption.append(removal(player, index));
    caption.append(part);
    if (!list) { // beside the tools or below them
      const beside = below ? cell.width - tools.width - 28 : 0, alone = player.motions.length === 1 && beside > 300;
      const top = cell.top + (alone || cell.top ? 0 : below);
      Object.assign(caption.style, { left: `${cell.left}px`, top: `${top}px`, width: `${alone ? beside : cell.width}px` });
      caption.classList.toggle("alone", alone);
    }
    return caption;
  })));
  player.redraw();
}

function removal(player, index) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "remove";
  button.onclick = () => player.removeAt(index);
  return button;
}

let silence = 0;
function say(text, stays = false) {
  const note = byId("note");
  note.textContent = text;
  note.hidden = !text;
  clearTimeout(silence);
  if (!stays) silence = setTimeout(() => { note.hidden = true; }, 6000);
}

// ---- controls ----
function playback(player) {
  byId("play").onclick = () => { player.playing = !player.playing; };
  byId("play").onkeyup = (event) => { if (event.key === " ") event.preventDefault(); };
  byId("speed").onchange = (event) => { player.speed = Number(event.target.value); };
  byId("scrub").oninput = (event) => { player.playing = false; player.seek(Number(event.target.value)); };
  byId("loop").onclick = () => { player.loop = !player.loop; pressed("loop", player.loop); };
}

function looks(player) {
  byId("body").onchange = (event) => { player.body = event.target.value; };
  byId("layout").onchange = (event) => { player.layout = event.target.value; };
  byId("camera").append(...PRESETS.map(([name], index) => new Option(name, index)));
  byId("camera").onchange = (event) => player.preset(Number(event.target.value));
  for (const mark of ["trail", "contacts"]) {
    byId(mark).onclick = () => { player.marks[mark] = !player.marks[mark]; pressed(mark, player.marks[mark]); player.redraw(); };
  }
  byId("follow").onclick = () => { player.follow = !player.follow; pressed("follow", player.follow); player.redraw(); };
  byId("theme").onclick = () => {
    const root = document.documentElement, dark = getComputedStyle(root).getPropertyValue("--dark").trim() === "1";
    root.dataset.theme = dark ? "light" : "dark";
    redrawAll();
  };
  byId("help").onclick = () => byId("keys").showModal();
  addEventListener("resize", () => showCaptions(player));
}

function files(player) {
  const take = async (list) => { for (const file of list) await add(player, file); };
  byId("open").onclick = () => byId("files").click();
  byId("files").onchange = (event) => { take([...event.target.files]); event.target.value = ""; };
  byId("save").onchange = async (event) => {
    const format = event.target.value;
    event.target.value = "";
    if (format) await saveMotion(player.motions[0], format, player.body).then(say, (error) => say(error.message));
  };
  const over = (event) => {
    event.preventDefault();
    byId("drop").hidden = event.type === "drop" || event.type === "dragleave";
  };
  for (const type of ["dragover", "dragleave", "drop"]) addEventListener(type, over);
  addEventListener("drop", (event) => take([...(event.dataTransfer?.files ?? [])]));
}

async function add(player, file) {
  try {
    const motion = await readDropped(file);
    motion.dropped = true;
    player.add(motion);
    say(`Added ${file.name}: ${motion.frames} frames, ${Math.round(motion.fps * 100) / 100} frames a second.`);
  } catch (error) {
    say(`${file.name} could not be shown: ${error.message}`);
  }
}

function keys(player) {
  const cycle = (id) => {
    const select = byId(id);
    if (select.hidden) return;
    select.selectedIndex = (select.selectedIndex + 1) % select.options.length;
    select.dispatchEvent(new Event("change"));
  };
  const faster = (step) => {
    const select = byId("speed");
    select.selectedIndex = Math.min(select.options.length - 1, Math.max(0, select.selectedIndex + step));
    select.dispatchEvent(new Event("change"));
  };
  const magnify = (factor) => { player.view.magnify(factor); player.redraw(); };
  const acts = {
    " ": () => byId("play").click(), Home: () => player.step(-Infinity), End: () => player.step(Infinity),
    "[": () => faster(-1), "]": () => faster(1), "+": () => magnify(1.15), "=": () => magnify(1.15), "-": () => magnify(1 / 1.15),
    b: () => cycle("body"), g: () => cycle("layout"), t: () => byId("trail").click(), c: () => byId("contacts").click(),
    f: () => byId("follow").click(), l: () => byId("loop").click(), d: () => byId("theme").click(), o: () => byId("open").click(),
    "?": () => byId("help").click(),
  };
  PRESETS.forEach((_, index) => {
    acts[index + 1] = () => { byId("camera").value = index; player.preset(index); };
  });
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || byId("keys").open) return;
    const { tagName, id } = event.target;
    if (tagName === "SELECT" || (tagName === "BUTTON" && event.key === " " && id !== "play")) return;
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step && id !== "scrub") player.step(event.shiftKey ? 10 * step : step);
    else if (acts[event.key] && !(id === "scrub" && /Home|End/.test(event.key))) acts[event.key]();
    else if (acts[event.key.toLowerCase()] && event.key.length === 1) acts[event.key.toLowerCase()]();
    else return;
    if (id !== "scrub" || !step) event.preventDefault();
  });
}

function expose(player) {
  window.motionViewer = {
    player,
    get frame() { return player.frame; }, get frames() { return player.frames; }, get seconds() { return player.seconds; },
    get playing() { return player.playing; }, get webgl() { return Player.webgl; },
    get body() { return player.body; }, set body(name) { player.body = byId("body").value = name; },
    get layout() { return player.layout; }, set layout(name) { player.layout = byId("layout").value = name; },
    get captions() { return player.motions.map((motion) => motion.caption); }, bodies: BODIES,
    play: () => { player.playing = true; }, pause: () => { player.playing = false; },
    seek: (seconds) => player.seek(Math.round(seconds * player.fps)), step: (frames) => player.step(frames),
    jointPositions: (index, drawn) => player.jointPositions(index, drawn),
    add: (file) => add(player, file), save: (format, index = 0) => saveMotion(player.motions[index], format, player.body),
    content: (format, index = 0) => fileContent(player.motions[index], format, player.body),
  };
}
