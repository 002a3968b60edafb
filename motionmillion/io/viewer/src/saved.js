// Files of a motion, made in the page: BVH (centimetres, a T-pose) and GLB (the body that is shown).
//
//   const told = await saveMotion(motion, "bvh", "human");      // the browser saves it; a line that says so

import { AnimationClip, MeshStandardMaterial, QuaternionKeyframeTrack, Scene, VectorKeyframeTrack } from "three";
import { GLTFExporter } from "three/examples/jsm/exporters/GLTFExporter.js";
import { bodyFor, SkinnedBody } from "./bodies.js";
import { multiply } from "./motions.js";

const CENTIMETRES = 100, DEGREES = 180 / Math.PI;

export async function saveMotion(motion, format, body) {
  const words = motion.caption.replace(/\.(bvh|glb|npz)$/i, "").toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? ["motion"];
  const name = `${words.join("-").slice(0, 60)}.${format}`;
  const url = URL.createObjectURL(await fileContent(motion, format, body));
  const link = Object.assign(document.createElement("a"), { href: url, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
  return `Saved ${name}.`;
}

export async function fileContent(motion, format, body) {
  if (format === "bvh") return new Blob([bvhText(motion)], { type: "text/plain" });
  return new Blob([await glbBytes(motion, body)], { type: "model/gltf-binary" });
}

// ---- BVH ----
function bvhText(motion) {
  const { names, parents, offsets } = motion.skeleton, order = [], lines = ["HIERARCHY"];
  const numbers = (values) => values.map((value) => value.toFixed(6)).join(" ");
  const write = (joint, tab) => {
    order.push(joint);
    const offset = joint ? offsets[joint].map((value) => value * CENTIMETRES) : [0, 0, 0];
    const more = joint ? "CHANNELS 3" : "CHANNELS 6 Xposition Yposition Zposition";
    lines.push(`${tab}${joint ? "JOINT" : "ROOT"} ${names[joint].replace(/\s+/g, "_")}`, `${tab}{`, `${tab}\tOFFSET ${numbers(offset)}`,
      `${tab}\t${more} Zrotation Xrotation Yrotation`);
    const children = parents.flatMap((parent, child) => (parent === joint ? [child] : []));
    for (const child of children) write(child, `${tab}\t`);
    if (!children.length) lines.push(`${tab}\tEnd Site`, `${tab}\t{`, `${tab}\t\tOFFSET 0.0 5.0 0.0`, `${tab}\t}`);
    lines.push(`${tab}}`);
  };
  write(0, "");
  lines.push("MOTION", `Frames: ${motion.frames}`, `Frame Time: ${(1 / motion.fps).toFixed(10)}`);
  const before = new Map();
  for (let t = 0; t < motion.frames; t++) {
    const { rotations, root } = motion.pose(t), row = [...root].map((value) => value * CENTIMETRES);
    for (const joint of order) {
      const angles = eulerZxy(rotations.subarray(joint * 4, joint * 4 + 4)).map((angle) => angle * DEGREES);
      const last = before.get(joint); // curves without jumps by whole turns
      const smooth = last ? angles.map((angle, axis) => angle + 360 * Math.round((last[axis] - angle) / 360)) : angles;
      before.set(joint, smooth);
      row.push(...smooth);
    }
    lines.push(numbers(row));
  }
  return `${lines.join("\n")}\n`;
}

// Angles with rotation = Rz(first) Rx(second) Ry(third); the third from what is left, so that it is exact near a pole.
function eulerZxy(q) {
  const [x, y, z, w] = q;
  const r01 = 2 * (x * y - w * z), r11 = 1 - 2 * (x * x + z * z), r21 = 2 * (y * z + w * x);
  const first = Math.atan2(-r01, r11), second = Math.atan2(r21, Math.hypot(r01, r11));
  const back = multiply([-Math.sin(second / 2), 0, 0, Math.cos(second / 2)], [0, 0, -Math.sin(first / 2), Math.cos(first / 2)]);
  const [, b, , d] = multiply(back, q);
  return [first, second, 2 * Math.atan2(b, d)];
}

// ---- GLB ----
async function glbBytes(motion, wanted) {
  const name = bodyFor(wanted, motion), body = new SkinnedBody(name === "file" ? "mannequin" : name, motion);
  const times = Float32Array.from({ length: motion.frames }, (_, t) => t / motion.fps), count = motion.skeleton.length;
  const tracks = body.bones.map((bone, joint) => {
    const values = new Float32Array(motion.frames * 4);
    for (let t = 0; t < motion.frames; t++) {
      values.set(motion.rotations.subarray((t * count + joint) * 4, (t * count + joint) * 4 + 4), t * 4);
    }
    return new QuaternionKeyframeTrack(`${bone.uuid}.quaternion`, times, values);
  });
  const path = motion.root.map((value, i) => value * body.scale + (i % 3 === 1 ? body.lift : 0));
  tracks.unshift(new VectorKeyframeTrack(`${body.bones[0].uuid}.position`, times, path));
  const rest = motion.skeleton.restPositions(), scene = new Scene();
  body.bones[0].position.y = -Math.min(...rest.map((point) => point[1])) * body.scale + body.lift;
  body.object.name = body.name;
  body.object.material = new MeshStandardMaterial({ vertexColors: true, roughness: 0.7, metalness: 0 });
  scene.add(body.object);
  scene.updateMatrixWorld(true);
  const clip = new AnimationClip(motion.caption || "motion", -1, tracks);
  return new GLTFExporter().parseAsync(scene, { binary: true, animations: [clip], onlyVisible: false });
}
