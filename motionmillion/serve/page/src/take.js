// A take: one motion that plays while it is being made, with its downloads.
//
//   const take = new Take(box, body, { formats, say, onContinue });
//   await take.stream(signal);                       // or take.show(scene)
//
// `body` is the request that makes the motion again: a download asks the service for it in that format.

import { continued, file, streamed } from "./api.js";
import { button, element, save } from "./dom.js";

const NAMES = { glb: "GLB, skinned body", bvh: "BVH", npz: "NPZ, SMPL", html: "HTML page", json: "JSON" };

export class Take {
  #player = null;

  constructor(box, body, { formats, say, onContinue }) {
    this.body = body; this.say = say; this.frames = 0;
    const caption = body.prompt ?? body.timeline.map((part) => part.prompt).join("; ");
    this.caption = caption;
    this.title = element("h3", {}, caption);
    this.facts = element("small", {}, `seed ${body.seed}`);
    this.canvas = element("canvas", { tabIndex: 0, role: "img", "aria-label": `Moving figure: ${caption}. Drag to turn it.` });
    this.progress = element("progress", { "aria-label": "Being made" });
    this.play = button("", () => this.toggle(), { className: "play", disabled: true, "aria-label": "Play" });
    window.showPlaying(this.play, false);
    this.scrub = element("input", { type: "range", min: 0, max: 0, value: 0, step: 1, disabled: true, "aria-label": "Frame" });
    this.scrub.oninput = () => { this.#player.playing = false; this.#player.seek(Number(this.scrub.value)); };
    this.save = element("select", { disabled: true, "aria-label": `Download ${caption}` }, new Option("Download", ""));
    for (const format of formats) if (NAMES[format]) this.save.append(new Option(NAMES[format], format));
    this.save.onchange = () => { const format = this.save.value; this.save.value = ""; if (format) this.#download(format); };
    this.more = button("Continue", () => onContinue(this), { disabled: true, title: "Another motion that begins where this ends" });
    this.away = button("Remove", () => this.remove(), { "aria-label": `Remove ${caption}` });
    this.canvas.onkeydown = (event) => {
      if (event.key !== " ") return;
      event.preventDefault();
      this.toggle();
    };
    this.box = element("article", { className: "take", "aria-label": caption }, this.title, this.canvas, this.progress,
      element("div", { className: "row" }, this.play, this.scrub), element("div", { className: "row" }, this.save, this.more, this.away),
      this.facts);
    box.append(this.box);
  }

  toggle() { if (this.#player) this.#player.playing = !this.#player.playing; }

  get player() { return this.#player; }

  // Plays the pieces of a stream as they come.
  async stream(signal) {
    let wanted = this.body.timeline ? this.body.timeline.reduce((sum, part) => sum + part.seconds, 0) : this.body.seconds;
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

  // Shows a motion that is done.
  show(scene) {
    if (this.#player) this.#player.show(scene); else this.#open(scene, false);
    this.progress.hidden = true;
    this.more.disabled = this.save.disabled = false;
    const { frames, fps } = this.#player;
    this.facts.textContent = `seed ${this.body.seed} · ${frames} frames · ${(frames / fps).toFixed(1)} s`;
  }

  fail(message) {
    this.progress.hidden = true;
    this.facts.textContent = message;
    if (this.#player) this.#player.growing = false;
  }

  remove() {
    if (this.#player) this.#player.remove();
    this.box.remove();
  }

  #open(scene, growing) {
    const listens = {
      onFrame: (frame) => { this.scrub.value = frame; },
      onPlaying: (playing) => {
        window.showPlaying(this.play, playing);
        this.play.setAttribute("aria-label", playing ? "Pause" : "Play");
      },
      onLoad: (player) => { this.scrub.max = player.frames - 1; },
    };
    this.#player = new window.Player(this.canvas, scene, { smooth: true, playing: !window.stillWished(), ...listens });
    this.#player.growing = growing;
    this.play.disabled = this.scrub.disabled = false;
  }

  async #download(format) {
    try {
      const { blob, name } = await this.fileOf(format);
      save(blob, name);
      this.say(`Saved ${name}.`);
    } catch (error) { this.say(error.message, true); }
  }

  // The motion as a file of the service.
  fileOf(format) {
    return this.from ? continued(this.from.blob, { ...this.from.fields, format }) : file({ ...this.body, format });
  }

  // Becomes the continuation of another take.
  async follow(other, prompt, seconds, signal) {
    const { seed, model, repair, body } = this.body, { blob } = await other.fileOf("npz");
    this.from = { blob, fields: { prompt, seconds, seed, model, repair, body } };
    const answer = await continued(blob, { ...this.from.fields, format: "scene" }, signal);
    this.show(JSON.parse(await answer.blob.text()).scene);
  }
}
