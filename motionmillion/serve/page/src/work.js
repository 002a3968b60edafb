// The form with which one goes on working on a take: continue it from a frame, change frames or joints, join it to
// another motion, or put it on a character.
//
//   const work = new Work(form, { models: () => [...], takes: () => [...], start });
//   work.open(take);                                 // moves the form into the take
//   start(job)                                       // called with what is asked: { caption, address, files, fields }

import { byId, element } from "./dom.js";

const GROUPS = { left_arm: "Left arm", right_arm: "Right arm", left_leg: "Left leg", right_leg: "Right leg",
  upper_body: "Upper body", lower_body: "Lower body" };
const ACTS = { continue: "Continue", edit: "Change", join: "Join", retarget: "Put on" };
const PARTS = { // the fields of each act
  continue: ["prompt", "keep", "seconds"], edit: ["prompt", "frames", "joints"], join: ["prompt", "other", "seconds"],
  retarget: ["character"],
};
const number = (id) => (byId(id).value === "" ? null : Number(byId(id).value));

export class Work {
  constructor(form, { models, takes, start }) {
    Object.assign(this, { form, models, takes, start, take: null });
    byId("work-joints").append(...Object.entries(GROUPS).map(([name, text]) => element("label", {},
      element("input", { type: "checkbox", name: "joint", value: name }), text)));
    byId("work-act").onchange = () => this.#show();
    byId("work-close").onclick = () => this.close();
    for (const here of form.querySelectorAll("[data-here]")) here.onclick = () => this.#here(here.dataset.here);
    form.onsubmit = (event) => { event.preventDefault(); this.#go(); };
    form.onkeydown = (event) => { if (event.key === "Escape") { event.stopPropagation(); this.close(); } };
  }

  open(take) {
    this.take = take;
    take.box.append(this.form);
    this.form.hidden = false;
    const { frames } = take.player;
    for (const id of ["work-keep", "work-first", "work-stop"]) byId(id).max = frames;
    byId("work-keep").value = byId("work-stop").value = frames;
    byId("work-first").value = 0;
    this.#show();
    byId("work-act").focus();
  }

  // Also when its take is removed: the form stays on the page.
  close() {
    if (!this.take) return;
    const { work } = this.take;
    this.take = null;
    this.form.hidden = true;
    byId("takes").after(this.form);
    work.focus();
  }

  // The frame shown, as the frames up to and with it, or as the first one that changes.
  #here(id) {
    const { player } = this.take;
    player.playing = false;
    byId(id).value = player.frame + (id === "work-first" ? 0 : 1);
  }

  get #act() { return byId("work-act").value; }

  get #editor() { // the model that changes motions: the chosen one if it can
    const models = this.models(), chosen = models.find((model) => model.name === byId("model").value);
    return chosen?.edits ? chosen : models.find((model) => model.edits);
  }

  #show() {
    const act = this.#act, parts = PARTS[act];
    for (const part of this.form.querySelectorAll("[data-part]")) part.hidden = !parts.includes(part.dataset.part);
    const others = this.takes().filter((take) => take !== this.take && take.done);
    byId("work-other").replaceChildren(...others.map((take) => new Option(`${take.caption}, ${take.facts.textContent}`)));
    this.others = others;
    const lack = act === "edit" && !this.#editor
      ? "This service has no model that changes frames or joints. It needs a DiT: motionmillion serve --model mini --model mini-dit."
      : act === "join" && !others.length ? "Make or open another motion first." : "";
    byId("work-told").textContent = lack;
    byId("work-go").disabled = Boolean(lack);
    byId("work-go").textContent = ACTS[act];
  }

  #problem() {
    const act = this.#act, prompt = byId("work-prompt").value.trim();
    if (PARTS[act].includes("prompt") && !/[\p{L}\p{N}]/u.test(prompt)) return ["Say what the person does.", "work-prompt"];
    if (act === "edit" && !(number("work-first") < number("work-stop"))) return ["The last frame must be after the first.", "work-stop"];
    if (act === "edit" && !this.#joints.length && number("work-stop") - number("work-first") >= this.take.player.frames) {
      return ["Choose frames or joints: something has to stay as it is.", "work-first"];
    }
    if (act === "retarget" && !byId("work-character").files.length) return ["Choose the file of a character.", "work-character"];
    return null;
  }

  get #joints() { return [...this.form.querySelectorAll("[name=joint]:checked")].map((box) => box.value); }

  #go() {
    const problem = this.#problem();
    if (problem) { byId("work-told").textContent = problem[0]; byId(problem[1]).focus(); return; }
    const job = this.#job();
    this.close();
    this.start(job);
  }

  // What to ask the service for, with a function for the files, which may have to be made first.
  #job() {
    const { take } = this, prompt = byId("work-prompt").value.trim(), seconds = number("work-seconds") ?? 2;
    const motion = async () => ({ motion: await take.source() });
    if (this.#act === "continue") {
      return { caption: `${take.caption}; then ${prompt}`, address: "v1/continue", files: motion, fields: { prompt, seconds, keep: number("work-keep") } };
    }
    if (this.#act === "edit") {
      const first = number("work-first"), stop = number("work-stop"), all = stop - first >= take.player.frames;
      const frames = all ? {} : { first, stop };
      return { caption: `${take.caption}; ${prompt}`, address: "v1/edit", files: motion, model: this.#editor.name,
        fields: { prompt, joints: this.#joints, ...frames } };
    }
    if (this.#act === "join") {
      const other = this.others[byId("work-other").selectedIndex];
      return { caption: `${take.caption}; ${prompt}; ${other.caption}`, address: "v1/inbetween", fields: { prompt, seconds },
        files: async () => ({ start: await take.source(), end: await other.source() }) };
    }
    const [character] = byId("work-character").files;
    return { caption: `${take.caption}, on ${character.name}`, address: "v1/retarget", character: true,
      files: async () => ({ motion: await take.source(), character: { blob: character, name: character.name } }),
      fields: { feet: byId("work-feet").checked, format: character.name.toLowerCase().endsWith(".bvh") ? "bvh" : "glb" } };
  }
}
