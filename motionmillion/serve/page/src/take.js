// A take: one motion, with its player and its downloads.
//
//   const take = new Take(box, { caption, seed, body }, { formats, body, say, onWork, onOpen, onRemove });
//   await take.stream(signal);                       // or take.show(scene), or take.showFile(signal)
//
// `body` is the request that makes the motion again: a download asks the service for it in that format. A take that is
// no answer to one request has `file` instead, { blob, name }, and the service converts it.

import { made, streamed, worked } from "./api.js";
import { button, element, save } from "./dom.js";

const NAMES = { glb: "GLB, skinned body", bvh: "BVH", npz: "NPZ, SMPL", html: "HTML page", json: "JSON" };
const LONGEST = 1000; // caption that the service takes
const suffixOf = (name) => name.split(".").at(-1).toLowerCase();

export class Take {
  #player = null;

  constructor(box, { caption, seed = null, body = null, file = null }, page) {
    Object.assign(this, { caption, seed, body, file, page, frames: 0, kept: false });
    this.facts = element("small", {}, seed === null ? "" : `seed ${seed}`);
    this.canvas = element("canvas", {
      tabIndex: 0, role: "img", "aria-label": `Moving figure: ${caption}. Drag to turn it; space plays, arrows step through the frames.`,
    });
    this.canvas.onkeydown = (event) => this.#key(event);
    this.progress = element("progress", { "aria-label": "Being made" });
    this.play = button("", () => this.toggle(), { className: "play", disabled: true, "aria-label": "Play" });
    window.showPlaying(this.play, false);
    this.scrub = element("input", { type: "range", min: 0, max: 0, value: 0, step: 1, disabled: true, "aria-label": "Frame" });
    this.scrub.oninput = () => { this.#player.playing = false; this.#player.seek(Number(this.scrub.value)); };
    this.number = element("output", { className: "number", "aria-hidden": "true" }, "0");
    this.save = element("select", { disabled: true, "aria-label": `Download ${caption}` }, new Option("Download", ""));
    for (const format of page.formats) if (NAMES[format]) this.save.append(new Option(NAMES[format], format));
    this.save.onchange = () => { const format = this.save.value; this.save.value = ""; if (format) this.#download(format); };
    this.work = button("Work on it", () => page.onWork(this), { disabled: true, title: "Continue, change, join, or put on a character" });
    this.keep = button("Keep", () => this.#toggleKept(), { "aria-pressed": "false", title: "Stays when others are made" });
    this.away = button("Remove", () => this.remove(), { "aria-label": `Remove ${caption}` });
    this.part = element("p", { className: "part", hidden: true });
    this.box = element("article", { className: "take", "aria-label": caption }, element("h3", {}, caption), this.part, this.canvas,
      this.progress, element("div", { className: "row" }, this.play, this.scrub, this.number),
      element("div", { className: "row" }, this.save, this.work, this.keep, this.away), this.facts);
    box.append(this.box);
  }

  get player() { return this.#player; }

  get done() { return !this.save.disabled; }

  toggle() { if (this.#player) this.#player.playing = !this.#player.playing; }

  #toggleKept() { this.kept = !this.kept; this.keep.setAttribute("aria-pressed", String(this.kept)); }

  #key(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity }[event.key];
    if (!this.#player || (event.key !== " " && !step)) return;
    event.preventDefault();
    if (step) this.#player.step(event.shiftKey ? 10 * step : step); else this.toggle();
  }

  // Plays the pieces of a stream as they come.
  async stream(signal) {
    const wanted = this.body.timeline ? this.body.timeline.reduce((sum, part) => sum + part.seconds, 0) : this.body.seconds;
    for await (const { name, data } of streamed(this.body, signal)) {
      if (name === "error") throw new Error(data.message);
      if (name === "piece") {
        if (this.#player) this.#player.grow(data.motion); else this.#open(data.motion, true);
        this.frames += data.frames;
        if (wanted) this.progress.value = Math.min(1, this.frames / this.#player.fps / wanted);
      }
      if (name === "done") this.show(data.motion);
    }
    if (this.#player?.growing) throw new Error("the service stopped before the motion was done");
  }

  // Shows the motion of its file, on the file's own meshes if the browser can read them. The service reads it in any case:
  // it knows more rigs, and says what is wrong with a file.
  async showFile(signal) {
    const { blob } = await this.#converted("scene", signal);
    const { scene } = JSON.parse(await blob.text());
    const meshes = suffixOf(this.file.name) === "glb" ? window.dressedScene(scene, this.file.blob) : null;
    this.show((await meshes?.catch(() => null)) ?? scene);
  }

  // Shows a motion that is done.
  show(scene) {
    if (this.#player) this.#player.show(scene); else this.#open(scene, false);
    this.progress.hidden = true;
    this.work.disabled = this.save.disabled = false;
    const { frames, fps } = this.#player;
    this.facts.textContent = [this.seed === null ? "" : `seed ${this.seed}`, `${frames} frames`, `${(frames / fps).toFixed(1)} s`]
      .filter(Boolean).join(" · ");
  }

  fail(message) {
    this.progress.hidden = true;
    this.facts.textContent = message;
    if (this.#player) this.#player.growing = false;
  }

  remove() {
    this.page.onRemove(this);
    if (this.#player) this.#player.remove();
    this.box.remove();
  }

  #open(scene, growing) {
    const listens = {
      onFrame: (frame, seconds) => {
        this.scrub.value = frame; this.number.textContent = frame;
        this.#tellPart(seconds);
      },
      onPlaying: (playing) => {
        window.showPlaying(this.play, playing);
        this.play.setAttribute("aria-label", playing ? "Pause" : "Play");
      },
      onLoad: (player) => { this.scrub.max = player.frames - 1; },
    };
    this.#player = new window.Player(this.canvas, scene, { smooth: true, playing: !window.stillWished(), ...listens });
    this.#player.growing = growing;
    this.page.onOpen(this.#player);
    this.play.disabled = this.scrub.disabled = false;
  }

  // The part of a timeline that is shown.
  #tellPart(seconds) {
    const parts = this.#player?.motions[0].parts ?? [];
    const text = parts.find(([start, end]) => start <= seconds + 1e-6 && seconds < end - 1e-6)?.[2] ?? "";
    if (this.part.textContent !== text) this.part.textContent = text;
    this.part.hidden = !parts.length;
  }

  async #download(format) {
    try {
      const { blob, name } = await this.fileOf(format);
      save(blob, name);
      this.page.say(`Saved ${name}.`);
    } catch (error) { this.page.say(error.message, true); }
  }

  // The motion as a file of the service, { blob, name }.
  async fileOf(format) {
    if (this.body) return made({ ...this.body, format });
    return suffixOf(this.file.name) === format ? this.file : this.#converted(format);
  }

  // The motion as a file that the service reads.
  source() { return this.file ?? this.fileOf("npz"); }

  #converted(format, signal) {
    const caption = this.caption.slice(0, LONGEST);
    return worked("v1/convert", { motion: this.file }, { format, caption, body: this.page.body() }, signal);
  }
}
