// What was made before, kept in the browser: the requests, which make the same motions again.
//
//   const history = new History(list, (entry) => { ... });
//   history.add({ caption, samples, body });

import { button, element } from "./dom.js";

const NAME = "motionmillion-history", MOST = 40;

export class History {
  constructor(list, onPick) {
    this.list = list; this.onPick = onPick;
    this.show();
  }

  get entries() {
    try { return JSON.parse(localStorage.getItem(NAME)) ?? []; } catch { return []; }
  }

  #keep(entries) {
    try { localStorage.setItem(NAME, JSON.stringify(entries)); } catch { /* a full or forbidden store keeps nothing */ }
    this.show();
  }

  add(entry) {
    const same = JSON.stringify(entry);
    this.#keep([entry, ...this.entries.filter((other) => JSON.stringify(other) !== same)].slice(0, MOST));
  }

  clear() { this.#keep([]); }

  show() {
    const entries = this.entries;
    this.list.closest("section").hidden = !entries.length;
    this.list.replaceChildren(...entries.map((entry) => {
      const made = button(entry.caption, () => this.onPick(entry));
      made.append(" ", element("small", {}, `seed ${entry.body.seed}, ${entry.samples} takes`));
      return element("li", {}, made);
    }));
  }
}
