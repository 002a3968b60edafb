// The editor of a timeline: a track of parts that are dragged to other places and pulled longer at their right edge, and
// a row for each with its text, its length and buttons for the keyboard. Alt with an arrow up or down moves a row too. What
// moves keeps the focus, and its new place is told to screen readers.
//
//   const timeline = new Timeline(track, list, total, told, [["a person walks", 3], ["a person jumps", 2]]);
//   timeline.parts                                   // [{ prompt, seconds }]

import { button, element } from "./dom.js";

const LEAST = 0.5, MOST = 60, STEP = 0.5;
const KEYS = { ArrowLeft: -STEP, ArrowDown: -STEP, ArrowRight: STEP, ArrowUp: STEP, PageDown: -4 * STEP, PageUp: 4 * STEP, Home: -MOST, End: MOST };
const ROOM = 10; // seconds that the track shows at least

const rounded = (seconds) => Math.min(MOST, Math.max(LEAST, Math.round(seconds / STEP) * STEP));

export class Timeline {
  #blocks = new Map(); // of the rows of the list, which holds what counts

  constructor(track, list, total, told, parts) {
    this.track = track; this.list = list; this.total = total; this.told = told;
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
    const text = element("input", { type: "text", maxLength: 1000, value: prompt });
    const length = element("input", { type: "number", min: LEAST, max: MOST, step: STEP, value: seconds });
    row.append(text, length, button("↑", () => this.#move(row, -1)), button("↓", () => this.#move(row, 1)), button("×", () => this.#remove(row)));
    row.oninput = () => this.#changed();
    row.onkeydown = (event) => {
      if (!event.altKey || !/^Arrow(Up|Down)$/.test(event.key)) return;
      event.preventDefault();
      this.#move(row, event.key === "ArrowUp" ? -1 : 1);
    };
    this.list.append(row);
    this.#blocks.set(row, this.#block(row, length));
    this.#changed();
    return text;
  }

  #move(row, step) {
    const other = step < 0 ? row.previousElementSibling : row.nextElementSibling, held = document.activeElement;
    if (!other) return;
    this.list.insertBefore(step < 0 ? row : other, step < 0 ? other : row);
    this.#changed();
    const [text, , up, down] = row.children; // a button that has done all it can gives the focus to the other one
    const wanted = row.contains(held) ? held : text;
    (wanted.disabled ? [up, down].find((one) => !one.disabled) : wanted).focus();
    this.told.textContent = `${text.value || "Empty part"}: now part ${this.rows.indexOf(row) + 1} of ${this.rows.length}`;
  }

  #remove(row) {
    const [text] = row.children, next = row.nextElementSibling ?? row.previousElementSibling;
    row.remove();
    this.#changed();
    next.children[0].focus();
    this.told.textContent = `${text.value || "Empty part"}: removed`;
  }

  #name() { // the controls of all rows, by their places
    const { rows } = this;
    rows.forEach((row, index) => {
      const [text, , up, down, away] = row.children, part = `part ${index + 1}`;
      const names = [`What the person does in ${part} of ${rows.length}`, `Seconds of ${part}`, `Move ${part} up`, `Move ${part} down`, `Remove ${part}`];
      names.forEach((name, place) => row.children[place].setAttribute("aria-label", name));
      text.setAttribute("aria-keyshortcuts", "Alt+ArrowUp Alt+ArrowDown");
      up.disabled = index === 0; down.disabled = index === rows.length - 1; away.disabled = rows.length === 1;
    });
  }

  // ---- the track ----
  #block(row, length) {
    const edge = element("span", { className: "edge", tabIndex: 0, role: "slider", "aria-valuemin": LEAST, "aria-valuemax": MOST });
    const block = element("div", { className: "block" }, element("span", { className: "text" }), edge);
    const set = (seconds) => { length.value = rounded(seconds); this.#changed(); };
    edge.onkeydown = (event) => {
      const step = KEYS[event.key];
      if (!step || event.altKey) return;
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
    this.#name();
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
