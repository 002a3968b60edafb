// Plays motions on a canvas: one figure, or several side by side on one clock. Plain 2D drawing, no library.
//
//   const player = new Player(canvas, scene, { playing: true, onFrame: (frame, seconds) => { ... } });
//   player.playing = false; player.seek(10); player.speed = 0.5;
//
// `scene` is what `scene` of motionmillion/io/html.py makes, or a function that returns it when the canvas is first seen.
// A page may hold any number of players: one clock runs them all, and only those in view move and are drawn. Colours
// come from the page's custom properties (player.css); drag turns, double-click resets, the wheel zooms if asked to.
const Player = (() => {
  const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer;

  // ---- motions: points[frame][point] in metres ----
  function unpack(m, limbs) {
    const root = new Float32Array(bytes(m.root)), near = new Int16Array(bytes(m.points)), count = m.anchors;
    const points = new Float32Array(near.length);
    for (let i = 0; i < near.length; i++) {
      points[i] = near[i] * m.unit + root[Math.floor(i / (3 * count)) * 3 + i % 3];
    }
    const centre = smooth(root, m.frames, Math.max(1, Math.round(m.fps / 4)));
    const shape = extent(points, centre, m.frames, count);
    return { ...m, limbs: limbs[m.figure], root, points, count, centre, ...shape };
  }

  function smooth(path, frames, reach) {
    const out = new Float32Array(path.length);
    for (let t = 0; t < frames; t++) {
      for (let axis = 0; axis < 3; axis++) {
        let sum = 0;
        for (let k = -reach; k <= reach; k++) sum += path[Math.min(frames - 1, Math.max(0, t + k)) * 3 + axis];
        out[t * 3 + axis] = sum / (2 * reach + 1);
      }
    }
    return out;
  }

  function extent(points, centre, frames, count) {
    let low = Infinity, high = -Infinity, reach = 0;
    for (let t = 0; t < frames; t++) {
      for (let p = 0; p < count; p++) {
        const i = (t * count + p) * 3;
        low = Math.min(low, points[i + 1]); high = Math.max(high, points[i + 1]);
        reach = Math.max(reach, Math.hypot(points[i] - centre[t * 3], points[i + 2] - centre[t * 3 + 2]));
      }
    }
    return { low, high, reach };
  }

  // ---- camera ----
  const FOCAL = 1.9;

  function camera(motion, frame, width, height, bounds, view) {
    const { low, high, reach } = bounds;
    const needed = Math.max((high - low) * 1.5, 2.1 * reach * height / width, 1.2);
    const distance = (needed * FOCAL + reach) / view.zoom;
    const turn = view.azimuth + motion.facing, sin = Math.sin(turn), cos = Math.cos(turn);
    const rise = Math.sin(view.elevation), flat = Math.cos(view.elevation);
    const target = [motion.centre[frame * 3], (low + high) / 2, motion.centre[frame * 3 + 2]];
    const right = [cos, 0, -sin], forward = [-sin * flat, -rise, -cos * flat], up = [-sin * rise, flat, -cos * rise];
    const dot = (a, x, y, z) => a[0] * x + a[1] * y + a[2] * z;
    return {
      target, right, width, height,
      project(x, y, z) { // pixels x and y, depth in pixels, pixels a metre
        x -= target[0]; y -= target[1]; z -= target[2];
        const depth = dot(forward, x, y, z), far = Math.max(depth + distance, 0.05), scale = FOCAL * height / far;
        return [width / 2 + dot(right, x, y, z) * scale, height / 2 - dot(up, x, y, z) * scale,
          depth * FOCAL * height / distance, scale, depth + distance];
      },
    };
  }

  // ---- drawing; all players share the scratch canvases, they draw one after another ----
  const bodyCanvas = document.createElement("canvas"), bodyPen = bodyCanvas.getContext("2d");
  const shadowCanvas = document.createElement("canvas"), shadowPen = shadowCanvas.getContext("2d");
  let theme = null, quality = 1.5, depths = new Float32Array(0);

  function readTheme() {
    const style = getComputedStyle(document.documentElement);
    theme = {};
    for (const name of ["paper", "tile", "line", "shadow", "trail"]) {
      theme[name] = style.getPropertyValue("--" + name).trim();
    }
  }

  function drawFloor(pen, cam, ratio) {
    const REACH = 8, x0 = Math.round(cam.target[0]), z0 = Math.round(cam.target[2]);
    pen.lineWidth = ratio;
    for (let x = x0 - REACH; x < x0 + REACH; x++) {
      for (let z = z0 - REACH; z < z0 + REACH; z++) {
        const away = Math.hypot(x + 0.5 - cam.target[0], z + 0.5 - cam.target[2]);
        const strength = Math.max(0, 1 - away / (REACH - 1)) ** 0.8;
        const corners = [[x, z], [x + 1, z], [x + 1, z + 1], [x, z + 1]].map((c) => cam.project(c[0], 0, c[1]));
        if (strength === 0 || corners.some((c) => c[4] < 0.3)) continue;
        pen.globalAlpha = strength;
        pen.beginPath();
        corners.forEach((c, i) => (i ? pen.lineTo(c[0], c[1]) : pen.moveTo(c[0], c[1])));
        pen.closePath();
        if ((x + z) & 1) { pen.fillStyle = theme.tile; pen.fill(); }
        pen.strokeStyle = theme.line;
        pen.stroke();
      }
    }
    pen.globalAlpha = 1;
  }

  function drawTrail(pen, motion, frame, cam, ratio) {
    pen.strokeStyle = theme.trail; pen.lineWidth = 2 * ratio; pen.lineCap = "round";
    for (let t = 1; t <= frame; t++) {
      const a = cam.project(motion.root[t * 3 - 3], 0, motion.root[t * 3 - 1]);
      const b = cam.project(motion.root[t * 3], 0, motion.root[t * 3 + 2]);
      if (a[4] < 0.3 || b[4] < 0.3) continue;
      pen.globalAlpha = 0.12 + 0.55 * t / frame;
      pen.beginPath(); pen.moveTo(a[0], a[1]); pen.lineTo(b[0], b[1]); pen.stroke();
    }
    pen.globalAlpha = 1;
  }

  function drawShadow(pen, motion, frame, cam) {
    const COARSE = 7; // a coarse picture drawn large is soft
    shadowCanvas.width = Math.ceil(cam.width / COARSE); shadowCanvas.height = Math.ceil(cam.height / COARSE);
    shadowPen.scale(1 / COARSE, 1 / COARSE);
    shadowPen.lineCap = "round"; shadowPen.strokeStyle = `rgb(${theme.shadow})`;
    const at = (p) => {
      const i = (frame * motion.count + p) * 3, y = motion.points[i + 1];
      return cam.project(motion.points[i] + cam.right[0] * 0.3 * y, 0, motion.points[i + 2] + cam.right[2] * 0.3 * y);
    };
    for (const [start, stop, r0, r1] of motion.limbs) {
      const a = at(start), b = at(stop);
      shadowPen.lineWidth = (r0 + r1) * 0.8 * a[3];
      shadowPen.beginPath(); shadowPen.moveTo(a[0], a[1]); shadowPen.lineTo(b[0] + 0.1, b[1]); shadowPen.stroke();
    }
    pen.imageSmoothingEnabled = true; pen.imageSmoothingQuality = "high";
    pen.globalAlpha = 0.36;
    pen.drawImage(shadowCanvas, 0, 0, shadowCanvas.width * COARSE, shadowCanvas.height * COARSE);
    pen.globalAlpha = 1;
  }

  const unit = (v) => v.map((x) => x / Math.hypot(...v));
  const LIGHT = unit([-0.42, 0.66, 0.62]); // towards the light: right, up, towards the viewer
  const HALF = unit([LIGHT[0], LIGHT[1], LIGHT[2] + 1]);

  function drawBody(pen, motion, frame, cam, ratio) {
    const scale = Math.max(quality, ratio) / ratio;
    const pixels = [];
    let left = Infinity, top = Infinity, right = -Infinity, bottom = -Infinity;
    for (let p = 0; p < motion.count; p++) {
      const i = (frame * motion.count + p) * 3;
      const q = cam.project(motion.points[i], motion.points[i + 1], motion.points[i + 2]);
      const margin = 0.15 * q[3];
      left = Math.min(left, q[0] - margin); right = Math.max(right, q[0] + margin);
      top = Math.min(top, q[1] - margin); bottom = Math.max(bottom, q[1] + margin);
      pixels.push(q);
    }
    left = Math.max(0, Math.floor(left)); top = Math.max(0, Math.floor(top));
    right = Math.min(cam.width, Math.ceil(right)); bottom = Math.min(cam.height, Math.ceil(bottom));
    if (right <= left || bottom <= top) return;
    const width = Math.ceil((right - left) * scale), height = Math.ceil((bottom - top) * scale);
    const image = bodyPen.createImageData(width, height);
    if (depths.length < width * height) depths = new Float32Array(width * height);
    depths.fill(1e9, 0, width * height);
    for (const q of pixels) {
      q[0] = (q[0] - left) * scale; q[1] = (q[1] - top) * scale; q[2] *= scale; q[3] *= scale;
    }
    for (const limb of motion.limbs) sweep(image, pixels[limb[0]], pixels[limb[1]], limb);
    bodyCanvas.width = width; bodyCanvas.height = height;
    bodyPen.putImageData(image, 0, 0);
    pen.drawImage(bodyCanvas, left, top, width / scale, height / scale);
  }

  // A ball swept from a to b, drawn where it is nearer than what is there; its rim is blended into the background.
  function sweep(image, a, b, limb) {
    const width = image.width, height = image.height, out = image.data, tint = limb[4];
    const r0 = limb[2] * a[3], r1 = limb[3] * b[3];
    const x0 = Math.max(0, Math.floor(Math.min(a[0] - r0, b[0] - r1) - 1));
    const x1 = Math.min(width, Math.ceil(Math.max(a[0] + r0, b[0] + r1) + 1));
    const y0 = Math.max(0, Math.floor(Math.min(a[1] - r0, b[1] - r1) - 1));
    const y1 = Math.min(height, Math.ceil(Math.max(a[1] + r0, b[1] + r1) + 1));
    const length = Math.max(Math.hypot(b[0] - a[0], b[1] - a[1]), 0.01);
    const ux = (b[0] - a[0]) / length, uy = (b[1] - a[1]) / length;
    const slope = (b[2] - a[2]) / length, lean = slope / Math.hypot(1, slope), taper = (r1 - r0) / length;
    const steep = Math.abs(taper) > 0.5;
    for (let py = y0; py < y1; py++) {
      for (let px = x0; px < x1; px++) {
        const x = px + 0.5 - a[0], y = py + 0.5 - a[1], q = ux * x + uy * y;
        const foot = q < 0 ? 0 : q > length ? length : q;
        const across = x * x + y * y - q * q, rim = r0 + taper * foot, beside = q - foot;
        const apart = across + beside * beside, outline = rim + 0.5;
        if (apart > outline * outline && !steep) continue;
        const gap = Math.sqrt(apart) - rim; // outside the outline, pixels
        let s = q - Math.sqrt(Math.max(rim * rim - across, 0)) * lean;
        s = s < 0 ? 0 : s > length ? length : s;
        let radius = r0 + taper * s, rise = radius * radius - across - (q - s) * (q - s);
        if (rise <= 0) { s = foot; radius = rim; rise = radius * radius - across - beside * beside; }
        if (rise < 0 && gap > 0.5) continue;
        const nz = Math.sqrt(Math.max(rise, 0)) / radius, front = a[2] + slope * s - nz * radius;
        const i = py * width + px, cover = rise > 0 ? Math.min(1, Math.max(0, 0.5 - gap)) : Math.max(0, 0.5 - gap);
        const alpha = Math.round(255 * (rise > 0 && gap < -0.5 ? 1 : Math.max(cover, gap > 0.5 ? 1 : 0)));
        if (alpha < 255 ? out[4 * i + 3] >= alpha : front >= depths[i]) continue;
        if (alpha === 255) depths[i] = front;
        const nx = (x - ux * s) / radius, ny = -(y - uy * s) / radius;
        const lit = nx * LIGHT[0] + ny * LIGHT[1] + nz * LIGHT[2];
        const diffuse = Math.min(1, Math.max(0, lit * 0.75 + 0.25));
        const gloss = Math.max(0, nx * HALF[0] + ny * HALF[1] + nz * HALF[2]) ** 24 * 34;
        const tone = (0.42 + 0.08 * ny + 0.62 * diffuse) * (0.72 + 0.28 * Math.min(1, nz * 1.6));
        out[4 * i] = tint[0] * tone + gloss; out[4 * i + 1] = tint[1] * tone + gloss;
        out[4 * i + 2] = tint[2] * tone + gloss; out[4 * i + 3] = alpha;
      }
    }
  }

  // ---- a player ----
  class Player {
    #scene; #pen; #motions = null; #bounds; #longest; #azimuth; #view; #options;
    #now = 0; #playing = false; #before = null; #dirty = true; #drawn = "";

    constructor(canvas, scene, options = {}) {
      this.canvas = canvas;
      this.speed = 1;
      this.#scene = scene; this.#options = options; this.#pen = canvas.getContext("2d");
      this.#listen();
      if (typeof scene !== "function") this.#load();
      players.push(this);
      this.playing = Boolean(options.playing);
    }

    get playing() { return this.#playing; }

    set playing(value) {
      this.#playing = value; this.#before = null;
      if (this.#options.onPlaying) this.#options.onPlaying(value);
    }

    get frames() { return this.#longest ? this.#longest.frames : 0; }

    get frame() { // of the longest motion
      return this.#longest ? Math.min(this.frames - 1, Math.floor(this.#now * this.#longest.fps + 1e-4)) : 0;
    }

    seek(frame) {
      if (!this.#motions) this.#load();
      this.#now = Math.min(this.frames - 1, Math.max(0, frame)) / this.#longest.fps;
      this.#dirty = true;
    }

    step(frames) { this.playing = false; this.seek(this.frame + frames); }

    redraw() { this.#dirty = true; }

    remove() { players.splice(players.indexOf(this), 1); }

    advance() { // one tick of the clock
      if (!this.#motions) this.#load();
      const stamp = performance.now(), seconds = this.#longest.frames / this.#longest.fps;
      if (this.#playing) {
        if (this.#before !== null) this.#now += (stamp - this.#before) / 1000 * this.speed;
        this.#before = stamp;
        if (this.#now >= seconds) this.#now %= seconds;
      }
      const shown = this.#motions.map((m) => Math.floor(this.#now * m.fps + 1e-4)).join();
      if (!this.#dirty && shown === this.#drawn) return;
      this.#drawn = shown; this.#dirty = false;
      if (this.#options.onFrame) this.#options.onFrame(this.frame, this.#now);
      this.#draw();
    }

    #load() {
      const scene = typeof this.#scene === "function" ? this.#scene() : this.#scene;
      this.#motions = scene.motions.map((m) => unpack(m, scene.limbs));
      this.#bounds = {
        low: Math.min(...this.#motions.map((m) => m.low)), high: Math.max(...this.#motions.map((m) => m.high)),
        reach: Math.max(...this.#motions.map((m) => m.reach)),
      };
      this.#longest = this.#motions.reduce((a, b) => (b.frames / b.fps > a.frames / a.fps ? b : a));
      this.#azimuth = scene.azimuth;
      this.home();
    }

    home() { this.#view = { azimuth: this.#azimuth, elevation: 0.21, zoom: 1 }; this.#dirty = true; }

    get inView() {
      const box = this.canvas.getBoundingClientRect();
      return box.width > 0 && box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth;
    }

    rest() { this.#before = null; } // time that passes from now on does not count

    #draw() {
      const canvas = this.canvas, pen = this.#pen, ratio = Math.min(window.devicePixelRatio || 1, 2);
      const width = Math.round(canvas.clientWidth * ratio), height = Math.round(canvas.clientHeight * ratio);
      if (canvas.width !== width || canvas.height !== height) { canvas.width = width; canvas.height = height; }
      if (!theme) readTheme();
      pen.setTransform(1, 0, 0, 1, 0, 0);
      pen.fillStyle = theme.paper;
      pen.fillRect(0, 0, width, height);
      const column = Math.floor(width / this.#motions.length);
      this.#motions.forEach((motion, index) => {
        const frame = Math.min(motion.frames - 1, Math.floor(this.#now * motion.fps + 1e-4));
        const cam = camera(motion, frame, column, height, this.#bounds, this.#view);
        pen.save();
        pen.translate(index * column, 0);
        pen.beginPath(); pen.rect(0, 0, column, height); pen.clip();
        drawFloor(pen, cam, ratio); drawTrail(pen, motion, frame, cam, ratio); drawShadow(pen, motion, frame, cam);
        drawBody(pen, motion, frame, cam, ratio);
        pen.restore();
      });
    }

    #listen() {
      const canvas = this.canvas;
      canvas.addEventListener("pointerdown", (event) => canvas.setPointerCapture(event.pointerId));
      canvas.addEventListener("pointermove", (event) => {
        if (!(event.buttons & 1) || !this.#motions) return;
        const view = this.#view;
        view.azimuth -= event.movementX * 0.008;
        view.elevation = Math.min(1.5, Math.max(-0.1, view.elevation + event.movementY * 0.006));
        this.#dirty = true;
      });
      canvas.addEventListener("dblclick", () => this.home());
      if (!this.#options.zoom) return; // else the wheel scrolls the page
      canvas.addEventListener("wheel", (event) => {
        event.preventDefault();
        this.#view.zoom = Math.min(6, Math.max(0.25, this.#view.zoom * Math.exp(-event.deltaY * 0.001)));
        this.#dirty = true;
      }, { passive: false });
    }
  }

  // ---- the clock of all players ----
  const BUDGET = 40; // milliseconds a tick; players that are left over come first in the next
  const players = [];
  let painted = 0, first = 0;

  function advance() {
    const started = performance.now(), count = players.length;
    const seen = players.map((player) => player.inView); // all together: the page is laid out once
    let done = 0;
    while (done < count && performance.now() - started < BUDGET) {
      const index = (first + done++) % count;
      if (seen[index]) players[index].advance(); else players[index].rest();
    }
    if (done < count) first = (first + done) % count;
    const spent = performance.now() - started; // a slow machine gets a coarser body, not a slower one
    if (spent > 24 && quality > 0.75) quality -= 0.25;
  }

  function tick() {
    painted = performance.now();
    advance();
    requestAnimationFrame(tick);
  }

  requestAnimationFrame(tick);
  // Where the browser paints nothing, as in a hidden or headless window, a timer keeps the clock going.
  setInterval(() => { if (performance.now() - painted > 150) advance(); }, 50);
  const redrawAll = () => players.forEach((player) => player.redraw());
  addEventListener("resize", redrawAll);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { readTheme(); redrawAll(); });
  return Player;
})();

const PLAY_ICONS = { true: "M6 4h4v16H6zM14 4h4v16h-4z", false: "M7 4l13 8-13 8z" };

function showPlaying(button, playing) { // the icon of a play button
  button.innerHTML = `<svg viewBox="0 0 24 24" aria-hidden="true"><path d="${PLAY_ICONS[playing]}"/></svg>`;
}
