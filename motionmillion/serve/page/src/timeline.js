// The editor of a timeline: a track of parts that are dragged to other places and pulled longer at their right edge, and
// a row for each with its text, its length and buttons for the keyboard.
//
//   const timeline = new Timeline(track, list, total, [["a person walks", 3], ["a person jumps", 2]]);
//   timeline.parts                                   // [{ prompt, seconds }]

import { button, element } from "./dom.js";

const LEAST = 0.5, MOST = 60, STEP = 0.5;
const ROOM = 10; // seconds that the track shows at least

const rounded = (seconds) => Math.min(MOST, Math.max(LEAST, Math.round(seconds / STEP) * STEP));

export class Timeline {
  #blocks = new Map(); // of the rows of the list, which holds what counts

  constructor(track, list, total, parts) {
    this.track = track; this.list = list; this.total = total;
    for (const [prompt, seconds] of parts) this.add(prompt, seconds);
  }

  get rows() { return [...this.list.children]; }

  get parts() {
    return this.rows.map((row) => {
      const [text, seconds] = row.querySelectorAll("input");
      return { prompt: text.value.trim(), seconds: Number(seconds.value) };
    });
  }

  set parts(parts) {
    this.list.replaceChildren();
    for (const { prompt, seconds } of parts) this.add(prompt, seconds);
    this.#changed();
  }

  add(prompt = "", seconds = 2) {
    const row = element("li");
    const text = element("input", { type: "text", maxLength: 1000, value: prompt, "aria-label": "What the person does in this part" });
    const length = element("input", { type: "number", min: LEAST, max: MOST, step: STEP, value: seconds, "aria-label": "Seconds of this part" });
    const move = (step) => {
      const other = step < 0 ? row.previousElementSibling : row.nextElementSibling;
      if (other) this.list.insertBefore(step < 0 ? row : other, step < 0 ? other : row);
      this.#changed();
    };
    row.append(text, length, button("↑", () => move(-1), { "aria-label": "Move this part up" }),
      button("↓", () => move(1), { "aria-label": "Move this part down" }),
      button("×", () => { row.remove(); this.#changed(); }, { "aria-label": "Remove this part" }));
    row.oninput = () => this.#changed();
    this.list.append(row);
    this.#blocks.set(row, this.#block(row, length));
    this.#changed();
    return text;
  }

  // ---- the track ----
  #block(row, length) {
    const edge = element("span", { className: "edge", tabIndex: 0, role: "slider", "aria-valuemin": LEAST, "aria-valuemax": MOST });
    const block = element("div", { className: "block" }, element("span", { className: "text" }), edge);
    const set = (seconds) => { length.value = rounded(seconds); this.#changed(); };
    edge.onkeydown = (event) => {
      const step = { ArrowLeft: -STEP, ArrowDown: -STEP, ArrowRight: STEP, ArrowUp: STEP }[event.key];
      if (!step) return;
      event.preventDefault();
      set(Number(length.value) + step);
    };
    edge.onpointerdown = (event) => {
      event.stopPropagation();
      const from = event.clientX, seconds = Number(length.value), scale = this.#scale;
      this.#follow(event, block, (now) => set(seconds + (now.clientX - from) / scale));
    };
    block.onpointerdown = (event) => this.#follow(event, block, (now) => this.#moveTo(row, now.clientX));
    return block;
  }

  #follow(event, block, act) { // the pointer until it is let go; the track holds it, because blocks change places
    event.preventDefault();
    const { track } = this, ended = new AbortController(), { signal } = ended;
    track.setPointerCapture(event.pointerId);
    block.classList.add("held");
    track.addEventListener("pointermove", act, { signal });
    for (const end of ["pointerup", "pointercancel"]) {
      track.addEventListener(end, () => { ended.abort(); block.classList.remove("held"); this.#changed(); }, { signal });
    }
  }

  #moveTo(row, x) { // before the first part whose middle is right of x
    const others = this.rows.filter((other) => other !== row);
    const next = others.find((other) => {
      const box = this.#blocks.get(other).getBoundingClientRect();
      return x < box.left + box.width / 2;
    }) ?? null;
    if (row.nextElementSibling === next) return;
    this.list.insertBefore(row, next);
    this.#changed();
  }

  get #seconds() { return this.parts.reduce((sum, part) => sum + part.seconds, 0); }

  get #scale() { return this.track.clientWidth / Math.max(ROOM, this.#seconds); } // pixels a second

  #changed() {
    const { parts, rows } = this, room = Math.max(ROOM, this.#seconds);
    for (const row of this.#blocks.keys()) if (!row.isConnected) this.#blocks.delete(row);
    const blocks = rows.map((row) => this.#blocks.get(row));
    blocks.forEach((block, index) => {
      const { prompt, seconds } = parts[index], [text, edge] = block.children;
      block.style.width = `${100 * seconds / room}%`;
      text.textContent = block.title = prompt;
      edge.setAttribute("aria-valuenow", seconds);
      edge.setAttribute("aria-valuetext", `${seconds} seconds`);
      edge.setAttribute("aria-label", `Length of part ${index + 1}, ${prompt || "empty"}`);
    });
    const shown = [...this.track.children]; // a block that is moved loses the focus
    if (shown.length !== blocks.length || shown.some((block, index) => block !== blocks[index])) this.track.replaceChildren(...blocks);
    this.total.textContent = `${rows.length} ${rows.length === 1 ? "part" : "parts"}, ${this.#seconds} seconds`;
  }
}
