// What was made before, kept in the browser: requests, which make the same motions again, and files: those that were
// opened, and those that were made of a motion.
//
//   const history = new History(list, (entry) => { ... });
//   history.add({ caption, samples, body });
//   await history.addFile(caption, { blob, name });  // false if the browser has no room for it
//   const file = await history.fileOf(entry);        // null for one that is not kept any more

import { button, element } from "./dom.js";
import { keepFile, keepOnly, keptFile } from "./files.js";

const NAME = "motionmillion-history", MOST = 40;
const MOST_BYTES = 200e6; // of all files

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
    return keepOnly(this.entries.map((entry) => entry.file).filter(Boolean)).catch(() => null);
  }

  add(entry) { // or move it to the top
    const same = JSON.stringify(entry);
    let bytes = 0;
    const all = [entry, ...this.entries.filter((other) => JSON.stringify(other) !== same)];
    return this.#keep(all.filter(({ size = 0 }) => (bytes += size) <= MOST_BYTES || !size).slice(0, MOST));
  }

  async addFile(caption, { blob, name }) {
    const same = this.entries.find((entry) => entry.caption === caption && entry.name === name && entry.size === blob.size);
    const id = same?.file ?? `${Date.now()}-${Math.random()}`;
    try { await keepFile(id, { blob, name }); } catch { return false; }
    await this.add({ caption, file: id, name, size: blob.size });
    return true;
  }

  async fileOf(entry) {
    const file = await keptFile(entry.file).catch(() => null);
    if (file) await this.add(entry);
    else await this.#keep(this.entries.filter((other) => other.file !== entry.file));
    return file ?? null;
  }

  clear() { return this.#keep([]); }

  show() {
    const entries = this.entries;
    this.list.closest("section").hidden = !entries.length;
    this.list.replaceChildren(...entries.map((entry) => {
      const made = button(entry.caption, () => this.onPick(entry));
      made.append(" ", element("small", {}, factsOf(entry)));
      return element("li", {}, made);
    }));
  }
}

function factsOf({ file, name, size, body, samples }) {
  if (file) return `${name}, ${size < 1e6 ? `${Math.ceil(size / 1000)} kB` : `${(size / 1e6).toFixed(1)} MB`}`;
  return `seed ${body.seed}, ${samples} ${samples === 1 ? "take" : "takes"}`;
}
