// The editor of a timeline: parts with a text and a length, dragged or moved with buttons.
//
//   const timeline = new Timeline(list, total, [["a person walks", 3], ["a person jumps", 2]]);
//   timeline.parts                                   // [{ prompt, seconds }]

import { button, element } from "./dom.js";

export class Timeline {
  constructor(list, total, parts) {
    this.list = list; this.total = total;
    for (const [prompt, seconds] of parts) this.add(prompt, seconds);
  }

  get parts() {
    return [...this.list.children].map((row) => {
      const [text, seconds] = row.querySelectorAll("input");
      return { prompt: text.value.trim(), seconds: Number(seconds.value) };
    });
  }

  set parts(parts) {
    this.list.replaceChildren();
    for (const { prompt, seconds } of parts) this.add(prompt, seconds);
  }

  add(prompt = "", seconds = 2) {
    const row = element("li", { draggable: true });
    const text = element("input", { type: "text", maxLength: 1000, value: prompt, "aria-label": "What the person does in this part" });
    const length = element("input", { type: "number", min: 0.5, max: 60, step: 0.5, value: seconds, "aria-label": "Seconds of this part" });
    const move = (step) => {
      const other = step < 0 ? row.previousElementSibling : row.nextElementSibling;
      if (other) this.list.insertBefore(step < 0 ? row : other, step < 0 ? other : row);
      this.#changed();
    };
    row.append(text, length, button("↑", () => move(-1), { "aria-label": "Move this part up" }),
      button("↓", () => move(1), { "aria-label": "Move this part down" }),
      button("×", () => { row.remove(); this.#changed(); }, { "aria-label": "Remove this part" }));
    text.onmousedown = length.onmousedown = () => { row.draggable = false; }; // so that text can be selected
    text.onblur = length.onblur = () => { row.draggable = true; };
    row.oninput = () => this.#changed();
    this.#drags(row);
    this.list.append(row);
    this.#changed();
    return text;
  }

  #drags(row) {
    row.ondragstart = (event) => { this.dragged = row; event.dataTransfer.setData("text/plain", ""); };
    row.ondragover = (event) => { if (this.dragged) { event.preventDefault(); row.classList.add("over"); } };
    row.ondragleave = () => row.classList.remove("over");
    row.ondrop = (event) => {
      event.preventDefault();
      row.classList.remove("over");
      if (this.dragged && this.dragged !== row) this.list.insertBefore(this.dragged, row);
      this.dragged = null;
      this.#changed();
    };
  }

  #changed() {
    const seconds = this.parts.reduce((sum, part) => sum + part.seconds, 0);
    this.total.textContent = `${this.list.children.length} parts, ${seconds} seconds`;
  }
}
