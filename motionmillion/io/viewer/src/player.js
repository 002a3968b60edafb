// Plays motions on a canvas: one body, several side by side, or as ghosts in one scene, on one clock.
//
//   const player = new Player(canvas, scene, { playing: true, onFrame: (frame, seconds) => { ... } });
//   player.playing = false; player.seek(10); player.speed = 0.5; player.body = "stick"; player.layout = "ghosts";
//   player.growing = true; player.grow(piece);              // a motion that is still being made waits at its last frame
//   player.show(whole);                                     // and is complete
//
// `scene` is what `scene` of motionmillion/io/viewer/payload.py makes, or a function that returns it when the canvas is
// first seen. A page may hold any number of players: one clock runs them all, and only those in view move and are drawn.
// Colours come from the page's custom properties (player.css). Options: zoom, smooth (poses between frames while it
// plays), fine (0 for small pictures), draw ("webgl" or "flat" instead of what suits the machine), body, and the callbacks
// onFrame, onPlaying, onLoad, onLayout.

import { BODIES, bodyFor, makeBody } from "./bodies.js";
import { listen, PRESETS, View } from "./camera.js";
import { drawFlat } from "./flat.js";
import { Marks } from "./marks.js";
import { Motion, unpackScene } from "./motions.js";
import { sharedStage, webgl } from "./stage.js";

const GHOST = 0.38;
const NAMES = ["paper", "tile", "line", "shadow", "trail", "contact"];
let theme = null;

function readTheme() {
  const style = getComputedStyle(document.documentElement);
  theme = Object.fromEntries(NAMES.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
  theme.dark = style.getPropertyValue("--dark").trim() === "1";
}

export class Player {
  #scene; #pen; #options; #actors = null; #longest; #view; #body; #layout = "columns";
  #now = 0; #playing = false; #before = null; #dirty = true; #drawn = "";

  constructor(canvas, scene, options = {}) {
    this.canvas = canvas;
    this.speed = 1; this.loop = true; this.follow = true; this.growing = false;
    this.marks = { trail: true, contacts: Boolean(options.contacts) };
    this.#scene = scene; this.#options = { fine: 1, draw: "auto", ...options };
    // where the processor draws, copies wait for it, so that the clock sees what a picture costs
    this.#pen = canvas.getContext("2d", { willReadFrequently: webgl().software || !webgl().there });
    this.#body = options.body;
    if (typeof scene !== "function") this.#load();
    players.push(this);
    this.playing = Boolean(options.playing);
  }

  static get webgl() { return webgl().there; }

  static get presets() { return PRESETS.map(([name]) => name); } // of the camera, for preset(index)

  get playing() { return this.#playing; }

  set playing(value) {
    if (value && !this.loop && this.#longest && this.frame === this.frames - 1) this.#now = 0;
    this.#playing = value; this.#before = null; this.#dirty = true;
    if (this.#options.onPlaying) this.#options.onPlaying(value);
  }

  get motions() { return this.#actors ? this.#actors.map((actor) => actor.motion) : []; }

  get frames() { return this.#longest ? this.#longest.frames : 0; } // of the longest motion, as below

  get fps() { return this.#longest ? this.#longest.fps : 30; }

  get seconds() { return this.#longest ? this.#longest.seconds : 0; }

  get frame() { return this.#longest ? this.#longest.frameAt(this.#now) : 0; }

  seek(frame) {
    if (!this.#actors) this.#load();
    this.#now = Math.min(this.frames - 1, Math.max(0, frame)) / this.fps;
    this.#dirty = true;
  }

  step(frames) { this.playing = false; this.seek(this.frame + frames); }

  redraw() { this.#dirty = true; }

  home() { this.preset(0); }

  preset(index) { if (this.#view) { this.#view.preset(index); this.#view.zoom = 1; } this.#dirty = true; }

  get view() { return this.#view; }

  get body() { return this.#body; }

  set body(name) {
    if (!BODIES.includes(name)) throw new Error(`body must be one of ${BODIES.join(", ")}, got ${name}`);
    this.#body = name;
    this.#undress();
  }

  get layout() { return this.#layout; } // "columns" or "ghosts"

  set layout(name) { this.#layout = name; this.#undress(); if (this.#options.onLayout) this.#options.onLayout(); }

  add(motion) { // show one more
    if (!this.#actors) this.#load();
    this.#actors.push({ motion, body: null, marks: null });
    this.#measure();
  }

  grow(scene) { this.#replace(Motion.join(this.motions[0], unpackScene(scene)[0])); } // by the next frames of its first motion

  show(scene) { this.growing = false; this.#replace(unpackScene(scene)[0]); } // another motion in place of the first

  removeAt(index) {
    this.#undress();
    this.#actors.splice(index, 1);
    this.#measure();
  }

  remove() { this.#undress(); players.splice(players.indexOf(this), 1); }

  // Joints [J][3] of a motion at the frame shown, metres: its own, or as they are drawn on the body.
  jointPositions(index = 0, drawn = false) {
    const actor = this.#actors[index], frame = actor.motion.frameAt(this.#now);
    let flat = actor.motion.positions(frame);
    if (drawn) {
      const { body } = this.#dressed(actor, index);
      body.pose(actor.motion, frame);
      flat = body.jointPositions();
    }
    return Array.from({ length: flat.length / 3 }, (_, joint) => [...flat.slice(joint * 3, joint * 3 + 3)]);
  }

  // Where the motions are in the canvas, in its pixels on the page: [{ left, top, width, height, motions: [index] }].
  cells(width = this.canvas.clientWidth, height = this.canvas.clientHeight) {
    const every = this.#actors.map((_, index) => index);
    if (this.#layout === "ghosts") return [{ left: 0, top: 0, width, height, motions: every }];
    let columns = 1, best = 0;
    for (let count = 1; count <= every.length; count++) {
      const size = Math.min(width / count / 0.7, height / Math.ceil(every.length / count));
      if (size > best * 1.001) { best = size; columns = count; }
    }
    const rows = Math.ceil(every.length / columns), w = Math.floor(width / columns), h = Math.floor(height / rows);
    return every.map((index) => {
      return { left: index % columns * w, top: Math.floor(index / columns) * h, width: w, height: h, motions: [index] };
    });
  }

  advance() { // one tick of the clock
    if (!this.#actors) this.#load();
    const stamp = performance.now();
    if (this.#playing) {
      if (this.#before !== null) this.#now += (stamp - this.#before) / 1000 * this.speed;
      this.#before = stamp;
      if (this.#now >= this.seconds) {
        if (this.growing) this.#now = (this.frames - 1) / this.fps;
        else if (this.loop) this.#now %= this.seconds;
        else { this.seek(this.frames - 1); this.playing = false; }
      }
    }
    const smooth = this.#playing && this.#options.smooth && !webgl().software;
    const shown = this.#actors.map(({ motion }) => (smooth ? this.#now : motion.frameAt(this.#now))).join();
    if (!this.#dirty && shown === this.#drawn) return;
    this.#drawn = shown; this.#dirty = false;
    if (this.#options.onFrame) this.#options.onFrame(this.frame, this.#now);
    this.#draw(smooth);
  }

  rest() { this.#before = null; } // time that passes from now on does not count

  get inView() {
    const box = this.canvas.getBoundingClientRect();
    return box.width > 0 && box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth;
  }

  #load() {
    const scene = typeof this.#scene === "function" ? this.#scene() : this.#scene;
    this.#actors = unpackScene(scene).map((motion) => ({ motion, body: null, marks: null }));
    this.#body ??= scene.body;
    this.#view = new View(scene.azimuth);
    listen(this.canvas, this.#view, { zoom: this.#options.zoom, onChange: () => { this.#dirty = true; } });
    this.#measure();
  }

  #measure() {
    this.#longest = this.motions.reduce((a, b) => (b.seconds > a.seconds ? b : a));
    this.#dirty = true;
    if (this.#options.onLoad) this.#options.onLoad(this);
    if (this.#options.onLayout) this.#options.onLayout();
  }

  #replace(motion) { // on the same skeleton, so that the body stays
    const [actor] = this.#actors;
    actor.motion = motion;
    if (actor.marks) { actor.marks.dispose(); actor.marks = new Marks(motion, actor.body); }
    this.#measure();
  }

  #undress() {
    for (const actor of this.#actors ?? []) {
      if (actor.body) { actor.body.dispose(); actor.marks.dispose(); actor.body = actor.marks = null; }
    }
    this.#dirty = true;
  }

  #dressed(actor, index) {
    if (!actor.body) {
      const ghost = this.#layout === "ghosts" && index > 0 ? GHOST : 0;
      const name = bodyFor(this.#body, actor.motion);
      actor.body = makeBody(name, actor.motion, { fine: this.#options.fine, ghost });
      actor.marks = new Marks(actor.motion, actor.body);
    }
    return actor;
  }

  #time(motion, smooth) { return smooth ? Math.min(motion.frames - 1, this.#now * motion.fps) : motion.frameAt(this.#now); }

  // What a camera has to show of motions at a time: the point on the floor that it follows, and the room around it.
  #room(indices) {
    const motions = indices.map((index) => this.#actors[index].motion), all = this.motions;
    const at = motions.map((motion) => {
      const time = this.follow ? this.#time(motion, true) : (motion.frames - 1) / 2;
      const first = Math.floor(time), next = Math.min(motion.frames - 1, first + 1), share = time - first;
      return [0, 2].map((axis) => motion.centre[first * 3 + axis] * (1 - share) + motion.centre[next * 3 + axis] * share);
    });
    const feet = [0, 1].map((axis) => at.reduce((sum, point) => sum + point[axis], 0) / at.length);
    const apart = Math.max(...at.map((point) => Math.hypot(point[0] - feet[0], point[1] - feet[1])));
    const path = this.follow ? 0 : Math.max(...motions.map((motion) => span(motion, feet)));
    return {
      feet, facing: motions[0].facing,
      bounds: {
        low: Math.min(0, ...all.map((motion) => motion.low)), high: Math.max(...all.map((motion) => motion.high)),
        reach: Math.max(...all.map((motion) => motion.reach)) + Math.max(apart, path),
      },
    };
  }

  #draw(smooth) {
    const { canvas } = this, pen = this.#pen, ratio = Math.min(window.devicePixelRatio || 1, 2);
    const width = Math.round(canvas.clientWidth * ratio), height = Math.round(canvas.clientHeight * ratio);
    if (!width || !height) return;
    if (canvas.width !== width || canvas.height !== height) { canvas.width = width; canvas.height = height; }
    if (!theme) readTheme();
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.fillStyle = theme.paper;
    pen.fillRect(0, 0, width, height);
    const stage = this.#stage();
    const cells = this.cells(width, height).map((cell) => {
      const { feet, facing, bounds } = this.#room(cell.motions);
      const camera = this.#view.camera(feet, bounds, facing, cell.width, cell.height);
      const shown = cell.motions.map((index) => ({ motion: this.motions[index], time: this.#time(this.motions[index], smooth) }));
      const objects = stage ? cell.motions.flatMap((index, place) => this.#posed(index, shown[place].time)) : [];
      return { ...cell, camera, reach: bounds.reach, shown, objects };
    });
    if (stage) stage.draw(pen, width, height, cells, theme);
    else drawFlat(pen, width, height, cells, theme, { body: this.#body, trail: this.marks.trail });
  }

  // Where the processor draws, small pictures are faster without WebGL.
  #stage() {
    const { draw, fine } = this.#options;
    if (draw === "flat" || (draw === "auto" && !fine && webgl().software)) return null;
    return sharedStage({ fine });
  }

  #posed(index, time) {
    const { motion, body, marks } = this.#dressed(this.#actors[index], index);
    body.pose(motion, time);
    marks.update(Math.floor(time), theme, this.marks);
    return [body.object, marks.object];
  }
}

function span({ centre, frames }, [x, z]) { // how far a path goes from a point
  let most = 0;
  for (let t = 0; t < frames; t++) most = Math.max(most, Math.hypot(centre[t * 3] - x, centre[t * 3 + 2] - z));
  return most;
}

// ---- the clock of all players ----
// Milliseconds that a tick may draw; players left over come first in the next. What the browser needs besides, to paint
// the page, is not known: the budget shrinks while frames of the page are late, and grows again while they are not.
const LATE = 50, LEAST = 4, most = () => (webgl().software || !webgl().there ? 20 : 40);
let budget = 0;
const players = [];
let painted = 0, first = 0;

function settleBudget(passed) {
  budget ||= most();
  budget = passed > LATE ? Math.max(LEAST, budget * 0.8) : Math.min(most(), budget * 1.02);
}

function advance() {
  const started = performance.now(), count = players.length;
  const seen = players.map((player) => player.inView); // all together: the page is laid out once
  let done = 0;
  while (done < count && performance.now() - started < budget) {
    const index = (first + done++) % count;
    if (seen[index]) players[index].advance(); else players[index].rest();
  }
  if (done < count) first = (first + done) % count;
}

function tick() {
  const now = performance.now();
  settleBudget(now - painted);
  painted = now;
  advance();
  requestAnimationFrame(tick);
}

requestAnimationFrame(tick);
// Where the browser paints nothing, as in a hidden or headless window, a timer keeps the clock going.
setInterval(() => { if (performance.now() - painted > 150) { settleBudget(0); advance(); } }, 50);

export function redrawAll() {
  theme = null;
  for (const player of players) player.redraw();
}
addEventListener("resize", redrawAll);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redrawAll);
export { PRESETS };
