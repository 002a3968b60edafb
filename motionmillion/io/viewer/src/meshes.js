// Geometry of bodies: the human of the page, and capsules along the limbs of any skeleton.
//
//   const geometry = humanGeometry();                           // made once a page
//   const geometry = capsuleGeometry(skeleton, figureLimbs(skeleton, "stick"), 1);
//
// All are skinned, with a colour for each vertex, so that a body is one draw call.

import { BufferAttribute, BufferGeometry, Color, Matrix4, Quaternion, Vector3 } from "three";
import { humanArrays, sharedData } from "./motions.js";

const STICK = 0.011, BALL = 0.02;

export const humanGeometry = once(() => {
  const { vertices, faces, joints, weights } = humanArrays(), { parts } = sharedData().human;
  const normals = smoothNormals(vertices, faces);
  const out = { position: [], normal: [], color: [], skinIndex: [], skinWeight: [], index: [] };
  let start = 0;
  for (const [, rgb, count] of parts) { // vertices on a seam become one for each part
    const tint = linear(rgb), seen = new Map();
    for (let i = start * 3; i < (start + count) * 3; i++) {
      const vertex = faces[i];
      if (!seen.has(vertex)) {
        seen.set(vertex, out.position.length / 3);
        for (let k = 0; k < 3; k++) { out.position.push(vertices[vertex * 3 + k]); out.normal.push(normals[vertex * 3 + k]); }
        out.color.push(...tint);
        let sum = 0;
        for (let k = 0; k < 4; k++) sum += weights[vertex * 4 + k];
        for (let k = 0; k < 4; k++) {
          out.skinIndex.push(joints[vertex * 4 + k]); out.skinWeight.push(weights[vertex * 4 + k] / sum);
        }
      }
      out.index.push(seen.get(vertex));
    }
    start += count;
  }
  return geometryOf(out);
});

export function humanInverses() {
  const { inverseBind } = humanArrays();
  return sharedData().human.offsets.map((_, joint) => {
    return new Matrix4().fromArray(inverseBind, joint * 16).transpose(); // rows in the file, columns in three.js
  });
}

// Limbs [start, stop, radius, radius, side] of the mannequin, or of a stick figure with balls at its joints.
export function figureLimbs(skeleton, body) {
  if (body !== "stick") {
    return { anchors: skeleton.anchors, limbs: skeleton.limbs.length ? skeleton.limbs : [[0, 0, 0.05, 0.05, "centre"]] };
  }
  const anchors = skeleton.names.map((_, joint) => [joint, 0, 0, 0]);
  const side = (joint) => {
    const limb = skeleton.limbs.find((one) => one[1] === joint) || skeleton.limbs.find((one) => one[0] === joint);
    return limb ? limb[4] : "centre";
  };
  const bones = skeleton.parents.flatMap((parent, joint) => (parent < 0 ? [] : [[parent, joint, STICK, STICK, side(joint)]]));
  const balls = anchors.map((_, joint) => [joint, joint, BALL, BALL, side(joint)]);
  return { anchors, limbs: [...bones, ...balls] };
}

// Closed tapered capsules; one between two bones blends from the first to the second. Fine is 1, coarse 0.
export function capsuleGeometry(skeleton, { anchors, limbs }, fine) {
  const rest = skeleton.restPositions(), { colors } = sharedData();
  const around = fine ? 16 : 7, cap = fine ? 5 : 2, middle = fine ? 5 : 2;
  const out = { position: [], normal: [], color: [], skinIndex: [], skinWeight: [], index: [] };
  const carrier = ([joint, x, y, z]) => (x || y || z ? joint : Math.max(skeleton.parents[joint], 0));
  for (const [start, stop, r0, r1, side] of limbs) {
    const at = ([joint, x, y, z]) => new Vector3(...rest[joint]).add(new Vector3(x, y, z));
    const a = at(anchors[start]), b = at(anchors[stop]), first = anchors[start][0];
    const second = start === stop ? first : carrier(anchors[stop]);
    capsule(out, { a, b, r0, r1, around, cap, middle, tint: linear(colors[side] || colors.centre), first, second });
  }
  return geometryOf(out);
}

function capsule(out, { a, b, r0, r1, around, cap, middle, tint, first, second }) {
  const axis = b.clone().sub(a), length = axis.length(), base = out.position.length / 3;
  if (length > 1e-4) axis.divideScalar(length); else axis.set(0, 1, 0);
  const spin = new Quaternion().setFromUnitVectors(new Vector3(0, 1, 0), axis);
  // angle of the circles where the cone touches the spheres, above their equators
  const touch = Math.asin(Math.min(0.95, Math.max(-0.95, (r0 - r1) / Math.max(length, 1e-4))));
  const rings = [];
  for (let i = 0; i < cap; i++) rings.push([-Math.PI / 2 + (touch + Math.PI / 2) * i / cap, 0]);
  for (let i = 0; i < middle; i++) rings.push([touch, i / (middle - 1)]);
  for (let i = 1; i <= cap; i++) rings.push([touch + (Math.PI / 2 - touch) * i / cap, 1]);
  const point = new Vector3(), normal = new Vector3();
  for (const [angle, way] of rings) {
    const radius = r0 + (r1 - r0) * way, weight = first === second ? 0 : way * way * (3 - 2 * way);
    for (let k = 0; k <= around; k++) {
      const turn = 2 * Math.PI * k / around;
      normal.set(Math.cos(angle) * Math.sin(turn), Math.sin(angle), Math.cos(angle) * Math.cos(turn));
      point.copy(normal).multiplyScalar(radius);
      point.y += length * way;
      out.position.push(...point.applyQuaternion(spin).add(a).toArray());
      out.normal.push(...normal.applyQuaternion(spin).toArray());
      out.color.push(...tint);
      out.skinIndex.push(first, weight > 0 ? second : 0, 0, 0);
      out.skinWeight.push(1 - weight, weight, 0, 0);
    }
  }
  const row = around + 1;
  for (let ring = 0; ring + 1 < rings.length; ring++) {
    for (let k = 0; k < around; k++) {
      const i = base + ring * row + k;
      out.index.push(i, i + 1, i + 1 + row, i, i + 1 + row, i + row);
    }
  }
}

function smoothNormals(vertices, faces) { // means of the triangles around each vertex by area
  const geometry = new BufferGeometry();
  geometry.setAttribute("position", new BufferAttribute(vertices, 3));
  geometry.setIndex(new BufferAttribute(faces, 1));
  geometry.computeVertexNormals();
  return geometry.attributes.normal.array;
}

function geometryOf(out) {
  const geometry = new BufferGeometry(), floats = (values, width) => new BufferAttribute(new Float32Array(values), width);
  geometry.setAttribute("position", floats(out.position, 3));
  geometry.setAttribute("normal", floats(out.normal, 3));
  geometry.setAttribute("color", floats(out.color, 3));
  geometry.setAttribute("skinIndex", new BufferAttribute(new Uint16Array(out.skinIndex), 4));
  geometry.setAttribute("skinWeight", floats(out.skinWeight, 4));
  geometry.setIndex(out.index);
  return geometry;
}

const linear = ([r, g, b]) => new Color().setRGB(r / 255, g / 255, b / 255, "srgb").toArray();

function once(make) {
  let made = null;
  return () => (made ??= make());
}
