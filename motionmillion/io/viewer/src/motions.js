// Motions as the player shows them: skeletons, local rotations, root paths, forward kinematics.
//
//   const motion = new Motion({ skeleton, fps, frames, root, rotations, contacts, caption, parts });
//   motion.positions(12)                    // Float32Array [J * 3] of frame 12, metres
//
// A pose is { rotations [J * 4] local quaternions x y z w, root [3] }; between frames it is interpolated.

const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer;

export class Skeleton {
  constructor({ names, parents, offsets, anchors = null, limbs = null, human = null }) {
    this.names = names; this.parents = parents; this.offsets = offsets; this.human = human;
    if (!limbs) { // a bone of every joint but the root
      anchors = names.map((_, joint) => [joint, 0, 0, 0]);
      limbs = parents.flatMap((parent, joint) => {
        const length = Math.hypot(...offsets[joint]), radius = Math.min(0.035, Math.max(0.008, length * 0.3));
        return parent < 0 || length < 1e-4 ? [] : [[parent, joint, radius, radius, sideOf(names[joint])]];
      });
    }
    this.anchors = anchors; this.limbs = limbs;
  }

  get length() { return this.names.length; }

  restPositions() {
    const out = this.offsets.map((offset) => [...offset]);
    out[0] = [0, 0, 0];
    this.parents.forEach((parent, joint) => {
      if (parent >= 0) out[joint] = out[joint].map((value, axis) => value + out[parent][axis]);
    });
    return out;
  }

  sameAs(other) {
    return this.length === other.length && this.names.every((name, joint) => name === other.names[joint]
      && this.parents[joint] === other.parents[joint]
      && (joint === 0 || this.offsets[joint].every((v, axis) => Math.abs(v - other.offsets[joint][axis]) < 1e-4)));
  }
}

function sideOf(name) {
  if (/left|(^|[^a-z])l([^a-z]|$)|^l[A-Z]/.test(name) || /Left/.test(name)) return "left";
  if (/right|(^|[^a-z])r([^a-z]|$)|^r[A-Z]/.test(name) || /Right/.test(name)) return "right";
  return "centre";
}

export class Motion {
  constructor({ skeleton, fps, frames, root, rotations, contacts = null, caption = "", parts = [], file = null }) {
    Object.assign(this, { skeleton, fps, frames, root, rotations, contacts, caption, parts, file });
    this.seconds = frames / fps;
    this.facing = headingOf(rotations);
    this.centre = smooth(root, frames, Math.max(1, Math.round(fps / 4)));
    Object.assign(this, this.#extent());
  }

  static unpack(json, skeletons) {
    const packed = new Int16Array(bytes(json.rotations)), rotations = new Float32Array(packed.length);
    for (let i = 0; i < packed.length; i += 4) {
      const norm = Math.hypot(packed[i], packed[i + 1], packed[i + 2], packed[i + 3]);
      for (let k = 0; k < 4; k++) rotations[i + k] = packed[i + k] / norm;
    }
    return new Motion({ ...json, skeleton: skeletons(json.skeleton), rotations,
      root: new Float32Array(bytes(json.root)), contacts: json.contacts ? new Uint8Array(bytes(json.contacts)) : null });
  }

  static join(first, next) { // the frames of both, on the skeleton of the first
    const joined = (a, b) => {
      const out = new a.constructor(a.length + b.length);
      out.set(a); out.set(b, a.length);
      return out;
    };
    return new Motion({ ...first, frames: first.frames + next.frames, root: joined(first.root, next.root),
      rotations: joined(first.rotations, next.rotations),
      contacts: first.contacts && next.contacts ? joined(first.contacts, next.contacts) : null });
  }

  frameAt(seconds) { return Math.min(this.frames - 1, Math.max(0, Math.floor(seconds * this.fps + 1e-4))); }

  // The pose at a time in frames, linear between them.
  pose(time, out = { rotations: new Float32Array(this.skeleton.length * 4), root: new Float32Array(3) }) {
    const last = this.frames - 1, at = Math.min(last, Math.max(0, time)), first = Math.floor(at);
    const next = Math.min(last, first + 1), share = at - first, width = this.skeleton.length * 4;
    for (let k = 0; k < 3; k++) {
      out.root[k] = this.root[first * 3 + k] * (1 - share) + this.root[next * 3 + k] * share;
    }
    const a = first * width, b = next * width, from = this.rotations;
    if (share < 1e-3) { out.rotations.set(from.subarray(a, a + width)); return out; }
    for (let i = 0; i < width; i += 4) {
      const dot = from[a + i] * from[b + i] + from[a + i + 1] * from[b + i + 1] + from[a + i + 2] * from[b + i + 2]
        + from[a + i + 3] * from[b + i + 3];
      const sign = dot < 0 ? -share : share;
      let norm = 0;
      for (let k = 0; k < 4; k++) {
        const value = from[a + i + k] * (1 - share) + from[b + i + k] * sign;
        out.rotations[i + k] = value; norm += value * value;
      }
      norm = Math.sqrt(norm);
      for (let k = 0; k < 4; k++) out.rotations[i + k] /= norm;
    }
    return out;
  }

  // Global joint positions [J * 3] and rotations [J * 4] of a pose.
  globals({ rotations, root }) {
    const { parents, offsets } = this.skeleton, count = parents.length;
    const positions = new Float32Array(count * 3), turned = new Float32Array(count * 4);
    for (let joint = 0; joint < count; joint++) {
      const parent = parents[joint], own = rotations.subarray(joint * 4, joint * 4 + 4);
      if (parent < 0) { positions.set(root, joint * 3); turned.set(own, joint * 4); continue; }
      const above = turned.subarray(parent * 4, parent * 4 + 4), shift = turn(above, offsets[joint]);
      for (let k = 0; k < 3; k++) positions[joint * 3 + k] = positions[parent * 3 + k] + shift[k];
      turned.set(multiply(above, own), joint * 4);
    }
    return { positions, turned };
  }

  positions(frame) { return this.globals(this.pose(frame)).positions; }

  // Points [P * 3] at joints and offsets in their frames, such as the ends of limbs.
  anchors(time, anchors) {
    const { positions, turned } = this.globals(this.pose(time));
    const out = new Float32Array(anchors.length * 3);
    anchors.forEach(([joint, x, y, z], place) => {
      const shift = x || y || z ? turn(turned.subarray(joint * 4, joint * 4 + 4), [x, y, z]) : [0, 0, 0];
      for (let k = 0; k < 3; k++) out[place * 3 + k] = positions[joint * 3 + k] + shift[k];
    });
    return out;
  }

  #extent() { // of every few frames, with room for what is around the joints
    let low = Infinity, high = -Infinity, reach = 0;
    const step = Math.max(1, Math.floor(this.frames / 60));
    for (let frame = 0; frame < this.frames; frame += step) {
      const points = this.positions(frame);
      for (let i = 0; i < points.length; i += 3) {
        low = Math.min(low, points[i + 1]); high = Math.max(high, points[i + 1]);
        reach = Math.max(reach, Math.hypot(points[i] - this.centre[frame * 3], points[i + 2] - this.centre[frame * 3 + 2]));
      }
    }
    return { low: low - 0.03, high: high + 0.14, reach: reach + 0.1 };
  }
}

function headingOf([x, y, z, w]) { return Math.atan2(2 * (x * z + w * y), 1 - 2 * (x * x + y * y)); }

function smooth(path, frames, reach) { // running mean, in time linear in frames
  const out = new Float32Array(path.length), clamp = (t) => Math.min(frames - 1, Math.max(0, t)) * 3;
  for (let axis = 0; axis < 3; axis++) {
    let sum = 0;
    for (let k = -reach; k <= reach; k++) sum += path[clamp(k) + axis];
    for (let t = 0; t < frames; t++) {
      out[t * 3 + axis] = sum / (2 * reach + 1);
      sum += path[clamp(t + reach + 1) + axis] - path[clamp(t - reach) + axis];
    }
  }
  return out;
}

export function multiply(a, b) {
  return [
    a[3] * b[0] + a[0] * b[3] + a[1] * b[2] - a[2] * b[1], a[3] * b[1] - a[0] * b[2] + a[1] * b[3] + a[2] * b[0],
    a[3] * b[2] + a[0] * b[1] - a[1] * b[0] + a[2] * b[3], a[3] * b[3] - a[0] * b[0] - a[1] * b[1] - a[2] * b[2],
  ];
}

export function turn(q, v) {
  const [x, y, z, w] = q, [a, b, c] = v;
  const u = 2 * (y * c - z * b), s = 2 * (z * a - x * c), t = 2 * (x * b - y * a);
  return [a + w * u + y * t - z * s, b + w * s + z * u - x * t, c + w * t + x * s - y * u];
}

// What all players of a page share, from the element #player-data; read when it is first needed.
let shared = null;
export function sharedData() {
  if (!shared) {
    const data = JSON.parse(document.getElementById("player-data").textContent);
    shared = { ...data, smpl22: new Skeleton(data.smpl22), arrays: {} };
  }
  return shared;
}

export function humanArrays() { // of the mesh of the human
  const { human, arrays } = sharedData();
  if (!arrays.vertices) {
    arrays.vertices = Float32Array.from(new Int16Array(bytes(human.vertices)), (value) => value * human.unit);
    arrays.faces = new Uint16Array(bytes(human.faces));
    arrays.joints = new Uint8Array(bytes(human.joints));
    arrays.weights = new Uint8Array(bytes(human.weights));
    arrays.inverseBind = new Float32Array(bytes(human.inverseBind));
  }
  return arrays;
}

export function unpackScene(scene) { // motions that are unpacked already stay as they are
  const own = scene.skeletons.map((json) => new Skeleton(json));
  const skeletons = (index) => (index < 0 ? sharedData().smpl22 : own[index]);
  return scene.motions.map((json) => (json instanceof Motion ? json : Motion.unpack(json, skeletons)));
}
