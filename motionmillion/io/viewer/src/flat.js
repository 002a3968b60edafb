// Draws motions on a 2D canvas where there is no WebGL: no library, a mannequin or a stick figure, a soft shadow.
//
//   drawFlat(pen, width, height, [{ camera, shown: [{ motion, time }], left, top, width, height }], theme, options);
//
// Limbs are swept balls with a depth buffer of their own. A slow machine gets a coarser body, not a slower one.

import { FOCAL } from "./camera.js";
import { figureLimbs } from "./meshes.js";
import { sharedData } from "./motions.js";

export function drawFlat(pen, width, height, cells, theme, { body, trail }) {
  const ratio = Math.min(window.devicePixelRatio || 1, 2), started = performance.now();
  for (const cell of cells) {
    const cam = projection(cell.camera, cell.width, cell.height);
    pen.save();
    pen.translate(cell.left, cell.top);
    pen.beginPath(); pen.rect(0, 0, cell.width, cell.height); pen.clip();
    drawFloor(pen, cam, ratio, theme);
    for (const { motion, time } of cell.shown) {
      const figure = figureLimbs(motion.skeleton, body);
      const points = motion.anchors(time, figure.anchors);
      if (trail) drawTrail(pen, motion, Math.floor(time), cam, ratio, theme);
      drawShadow(pen, points, figure.limbs, cam, theme);
      drawBody(pen, points, figure.limbs, cam, ratio);
    }
    pen.restore();
  }
  if (performance.now() - started > 24 && quality > 0.75) quality -= 0.25;
}

function projection({ target, feet, right, forward, up, distance }, width, height) {
  const dot = (a, x, y, z) => a[0] * x + a[1] * y + a[2] * z;
  return {
    feet, right, width, height,
    project(x, y, z) { // pixels x and y, depth in pixels, pixels a metre, depth in metres
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
let quality = 1.5, depths = new Float32Array(0);

function drawFloor(pen, cam, ratio, theme) {
  const REACH = 8, x0 = Math.round(cam.feet[0]), z0 = Math.round(cam.feet[1]);
  pen.lineWidth = ratio;
  for (let x = x0 - REACH; x < x0 + REACH; x++) {
    for (let z = z0 - REACH; z < z0 + REACH; z++) {
      const away = Math.hypot(x + 0.5 - cam.feet[0], z + 0.5 - cam.feet[1]);
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

function drawTrail(pen, motion, frame, cam, ratio, theme) {
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

function drawShadow(pen, points, limbs, cam, theme) {
  const COARSE = 7; // a coarse picture drawn large is soft
  shadowCanvas.width = Math.ceil(cam.width / COARSE); shadowCanvas.height = Math.ceil(cam.height / COARSE);
  shadowPen.scale(1 / COARSE, 1 / COARSE);
  shadowPen.lineCap = "round"; shadowPen.strokeStyle = `rgb(${theme.shadow})`;
  const at = (p) => {
    const i = p * 3, y = points[i + 1];
    return cam.project(points[i] + cam.right[0] * 0.3 * y, 0, points[i + 2] + cam.right[2] * 0.3 * y);
  };
  for (const [start, stop, r0, r1] of limbs) {
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

function drawBody(pen, points, limbs, cam, ratio) {
  const scale = Math.max(quality, ratio) / ratio;
  const pixels = [];
  let left = Infinity, top = Infinity, right = -Infinity, bottom = -Infinity;
  for (let i = 0; i < points.length; i += 3) {
    const q = cam.project(points[i], points[i + 1], points[i + 2]);
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
  for (const limb of limbs) sweep(image, pixels[limb[0]], pixels[limb[1]], limb);
  bodyCanvas.width = width; bodyCanvas.height = height;
  bodyPen.putImageData(image, 0, 0);
  pen.drawImage(bodyCanvas, left, top, width / scale, height / scale);
}

// A ball swept from a to b, drawn where it is nearer than what is there; its rim is blended into the background.
function sweep(image, a, b, limb) {
  const width = image.width, height = image.height, out = image.data, tint = sharedData().colors[limb[4]];
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
