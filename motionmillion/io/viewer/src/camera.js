// The view onto moving bodies: an orbit around a point that follows them, the gestures that turn it, and its presets.
//
//   const view = new View(azimuth);
//   listen(canvas, view, { zoom: true, onChange: redraw });
//   const camera = view.camera(target, bounds, facing, width, height);
//
// Drag turns; the wheel, two fingers and + - zoom; Shift, the right button or two fingers move.

export const FOCAL = 1.9; // of the height of the picture
export const PRESETS = [
  ["Three quarters", null, 0.21], ["Front", 0, 0.1], ["Side", Math.PI / 2, 0.1], ["Back", Math.PI, 0.14],
  ["Top", 0, 1.45],
];

export class View {
  constructor(azimuth) { this.start = azimuth; this.preset(0); }

  preset(index) {
    const [, azimuth, elevation] = PRESETS[index];
    Object.assign(this, { azimuth: azimuth ?? this.start, elevation, zoom: 1, pan: [0, 0], chosen: index });
  }

  turn(right, up) {
    this.azimuth -= right;
    this.elevation = Math.min(1.5, Math.max(-0.1, this.elevation + up));
    this.chosen = -1;
  }

  magnify(factor) { this.zoom = Math.min(8, Math.max(0.2, this.zoom * factor)); }

  // Bounds are { low, high, reach } of what is to be seen around the target [x, z]; sizes are pixels.
  camera(target, { low, high, reach }, facing, width, height) {
    const needed = Math.max((high - low) * 1.34, 2.05 * reach * height / width, 1.2);
    const distance = (needed * FOCAL + reach) / this.zoom, turn = this.azimuth + facing;
    const sin = Math.sin(turn), cos = Math.cos(turn), rise = Math.sin(this.elevation), flat = Math.cos(this.elevation);
    const right = [cos, 0, -sin], forward = [-sin * flat, -rise, -cos * flat], up = [-sin * rise, flat, -cos * rise];
    const perPixel = distance / (FOCAL * height), [x, y] = this.pan;
    const middle = [target[0], (low + high) / 2 - (high - low) * 0.03, target[1]];
    const centre = middle.map((value, axis) => value - (right[axis] * x - up[axis] * y) * perPixel * height);
    return { target: centre, feet: target, right, forward, up, back: [sin, cos], distance, width, height };
  }
}

// Turn, zoom and move a view by mouse, pen or fingers.
export function listen(canvas, view, { zoom = false, onChange }) {
  const fingers = new Map();
  let spread = 0;
  const distance = () => {
    const [a, b] = [...fingers.values()];
    return Math.hypot(a[0] - b[0], a[1] - b[1]);
  };
  canvas.addEventListener("pointerdown", (event) => {
    try { canvas.setPointerCapture(event.pointerId); } catch { /* a pointer that is gone */ }
    fingers.set(event.pointerId, [event.clientX, event.clientY]);
    if (fingers.size === 2) spread = distance();
  });
  const lift = (event) => { fingers.delete(event.pointerId); };
  canvas.addEventListener("pointerup", lift);
  canvas.addEventListener("pointercancel", lift);
  canvas.addEventListener("pointermove", (event) => {
    if (!event.buttons) return;
    const before = fingers.get(event.pointerId), height = canvas.clientHeight || 1;
    const right = event.movementX || (before ? event.clientX - before[0] : 0);
    const down = event.movementY || (before ? event.clientY - before[1] : 0);
    if (before) fingers.set(event.pointerId, [event.clientX, event.clientY]);
    const moves = fingers.size === 2 || event.buttons & 6 || event.shiftKey;
    if (moves && zoom) {
      const part = fingers.size === 2 ? 0.5 : 1;
      view.pan[0] += part * right / height; view.pan[1] += part * down / height;
    } else if (fingers.size < 2) view.turn(right * 0.008, down * 0.006);
    if (zoom && fingers.size === 2) {
      const now = distance();
      if (spread > 0) view.magnify(now / spread);
      spread = now;
    }
    onChange();
  });
  canvas.addEventListener("dblclick", () => { view.preset(0); onChange(); });
  if (!zoom) return; // else the wheel scrolls the page
  canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    view.magnify(Math.exp(-event.deltaY * 0.001));
    onChange();
  }, { passive: false });
}
