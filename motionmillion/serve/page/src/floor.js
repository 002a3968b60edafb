// A path drawn on the floor, from above: the person starts in the middle below and faces up.
//
//   const floor = new Floor(canvas, output);
//   floor.points                                     // [[x, z]] in metres, the first where the person starts

const WIDE = 7; // metres across
const STEP = 0.25; // metres that the cross moves, and between two points of a line
const MOST = 200; // points that the service takes
const WALK = 1.3; // metres a second of a path without a length

export class Floor {
  constructor(canvas, told) {
    this.canvas = canvas; this.told = told; this.points = []; this.cross = [0, 1];
    canvas.onpointerdown = (event) => { canvas.focus(); canvas.setPointerCapture(event.pointerId); this.add(this.#at(event)); };
    canvas.onpointermove = (event) => { if (event.buttons & 1) this.add(this.#at(event), STEP); };
    canvas.onkeydown = (event) => this.#key(event);
    canvas.onfocus = canvas.onblur = () => this.draw();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
    this.clear();
  }

  clear() { this.points = [[0, 0]]; this.draw(); }

  add(point, apart = 0.05) {
    const [x, z] = this.points.at(-1);
    if (this.points.length < MOST && Math.hypot(point[0] - x, point[1] - z) > apart) this.points.push(point.map((value) => Math.round(value * 100) / 100));
    this.draw();
  }

  get #scale() { return this.canvas.width / WIDE; }

  // Metres of an event; x to the person's left is to the left of the picture, z goes up.
  #at(event) {
    const box = this.canvas.getBoundingClientRect(), ratio = this.canvas.width / box.width, { height } = this.canvas;
    return [(this.canvas.width / 2 - (event.clientX - box.left) * ratio) / this.#scale,
      (height - 30 - (event.clientY - box.top) * ratio) / this.#scale];
  }

  #place([x, z]) { return [this.canvas.width / 2 - x * this.#scale, this.canvas.height - 30 - z * this.#scale]; }

  #key(event) {
    const moves = { ArrowLeft: [STEP, 0], ArrowRight: [-STEP, 0], ArrowUp: [0, STEP], ArrowDown: [0, -STEP] };
    if (moves[event.key]) this.cross = this.cross.map((value, axis) => value + moves[event.key][axis]);
    else if (event.key === "Enter" && !event.ctrlKey) this.add([...this.cross]);
    else if (event.key === "Backspace" && this.points.length > 1) this.points.pop();
    else return;
    event.preventDefault();
    this.draw();
  }

  draw() {
    const { canvas } = this, pen = canvas.getContext("2d"), style = getComputedStyle(document.documentElement);
    const color = (name) => style.getPropertyValue(name).trim();
    pen.fillStyle = color("--paper"); pen.fillRect(0, 0, canvas.width, canvas.height);
    pen.strokeStyle = color("--line"); pen.lineWidth = 1;
    for (let metre = -10; metre <= 10; metre++) {
      const [x, y] = this.#place([metre, metre]);
      pen.beginPath(); pen.moveTo(x, 0); pen.lineTo(x, canvas.height); pen.moveTo(0, y); pen.lineTo(canvas.width, y); pen.stroke();
    }
    pen.strokeStyle = pen.fillStyle = color("--accent"); pen.lineWidth = 4; pen.lineJoin = "round";
    pen.beginPath();
    this.points.forEach((point, index) => { const [x, y] = this.#place(point); if (index) pen.lineTo(x, y); else pen.moveTo(x, y); });
    pen.stroke();
    for (const point of this.points) { pen.beginPath(); pen.arc(...this.#place(point), 6, 0, 7); pen.fill(); }
    if (document.activeElement === canvas) {
      const [x, y] = this.#place(this.cross);
      pen.strokeStyle = color("--ink"); pen.lineWidth = 2;
      pen.beginPath(); pen.moveTo(x - 9, y); pen.lineTo(x + 9, y); pen.moveTo(x, y - 9); pen.lineTo(x, y + 9); pen.stroke();
    }
    let metres = 0;
    this.points.forEach(([x, z], index) => { if (index) metres += Math.hypot(x - this.points[index - 1][0], z - this.points[index - 1][1]); });
    this.told.textContent = `${metres.toFixed(1)} metres, ${(metres / WALK).toFixed(1)} seconds`;
  }
}
