// Motions of files that are dropped onto the page: BVH, GLB, and NPZ in the layout of AMASS.
//
//   const motion = await readDropped(file);        // a Motion; errors are told to the reader
//   new Player(canvas, await dressedScene(scene, file));          // the scene of a GLB file, on the meshes of the file
//
// Joints with SMPL22's names and lengths get the human; other rigs a mannequin of capsules; GLB files keep their own
// meshes. BVH has no unit: the one that makes the body between half a metre and three metres tall is taken.
// Unusual: this is for looking at files; `Motion.load` reads many more, and puts them onto SMPL22.

import { AnimationMixer, Quaternion, Vector3 } from "three";
import { BVHLoader } from "three/examples/jsm/loaders/BVHLoader.js";
import { GLTFLoader } from "three/examples/jsm/loaders/GLTFLoader.js";
import { Motion, multiply, sharedData, Skeleton, turn } from "./motions.js";
import { readNpz } from "./npz.js";

const UNITS = [1, 0.01, 0.0254, 0.001, 0.056444, 0.1];
const RATES = [20, 24, 25, 30, 50, 60, 100, 120];
const UPRIGHT = [-Math.SQRT1_2, 0, 0, Math.SQRT1_2]; // from z up to y up

export async function readDropped(file) {
  const caption = file.name, suffix = caption.split(".").pop().toLowerCase();
  if (suffix === "bvh") return ofBvh(await file.text(), caption);
  if (suffix === "glb") return ofGlb(await file.arrayBuffer(), caption);
  if (suffix === "npz") return ofNpz(await readNpz(await file.arrayBuffer()), caption);
  throw new Error("only BVH, GLB and NPZ files can be shown here");
}

// A scene of one motion, shown on the meshes of the GLB file that the motion was read from.
export async function dressedScene(scene, file) {
  const [given] = scene.motions;
  const motion = await ofGlb(await file.arrayBuffer(), given.caption, given);
  if (!motion.file.meshes) throw new Error("it has no meshes");
  return { ...scene, body: "human", skeletons: [], motions: [Object.assign(motion, { facing: given.facing, parts: given.parts })] };
}

// ---- BVH ----
function ofBvh(text, caption) {
  if (!/^\s*HIERARCHY/.test(text)) throw new Error("it is no BVH file");
  const { skeleton, clip } = new BVHLoader().parse(text), { bones } = skeleton;
  const tracks = new Map(clip.tracks.map((track) => [track.name, track]));
  const turns = bones.map((bone) => tracks.get(`${bone.name}.quaternion`));
  const times = turns.find(Boolean)?.times;
  if (!times || !times.length) throw new Error("it has no frames");
  let kept = bones.map((_, joint) => joint);
  const { smpl22 } = sharedData(), own = kept.filter((joint) => bones[joint].name !== "ENDSITE");
  const ours = own.length === smpl22.length && own.every((joint) => smpl22.names.includes(bones[joint].name));
  if (ours) kept = smpl22.names.map((name) => bones.findIndex((bone) => bone.name === name));
  const step = Number(/Frame\s*Time:\s*([\d.eE+-]+)/.exec(text)?.[1]) || 1 / 30, count = kept.length;
  const rotations = new Float32Array(times.length * count * 4), root = new Float32Array(times.length * 3);
  const path = tracks.get(`${bones[0].name}.position`);
  kept.forEach((joint, place) => {
    for (let t = 0; t < times.length; t++) {
      const from = bones[joint].name === "ENDSITE" || !turns[joint] ? [0, 0, 0, 1] : turns[joint].values.subarray(t * 4, t * 4 + 4);
      rotations.set(from, (t * count + place) * 4);
    }
  });
  root.set(path ? path.values.subarray(0, root.length) : root);
  const parents = kept.map((joint) => kept.indexOf(bones.indexOf(bones[joint].parent)));
  const offsets = kept.map((joint) => bones[joint].position.toArray());
  const names = kept.map((joint) => bones[joint].name);
  return built({ names, parents, offsets, rotations, root, frames: times.length, fps: near(1 / step), caption });
}

// A motion in metres with y up, of a rig in any unit whose vertical axis may be z.
function built({ names, parents, offsets, rotations, root, frames, fps, caption }) {
  const rough = new Motion({ skeleton: new Skeleton({ names, parents, offsets }), fps, frames, root, rotations, caption });
  const [, tall, deep] = size(rough.positions(0));
  if (deep > 1.5 * tall) {
    for (let t = 0; t < frames; t++) {
      const own = t * names.length * 4;
      rotations.set(multiply(UPRIGHT, rotations.subarray(own, own + 4)), own);
      root.set(turn(UPRIGHT, root.subarray(t * 3, t * 3 + 3)), t * 3);
    }
  }
  const unit = unitOf(Math.max(tall, deep)), scaled = offsets.map((offset) => offset.map((value) => value * unit));
  const { smpl22 } = sharedData(), skeleton = new Skeleton({ names, parents, offsets: scaled });
  return new Motion({
    skeleton: smpl22.sameAs(skeleton) ? smpl22 : skeleton, fps, frames, rotations, caption,
    root: root.map((value) => value * unit),
  });
}

function size(points) {
  return [0, 1, 2].map((axis) => {
    const values = points.filter((_, i) => i % 3 === axis);
    return Math.max(...values) - Math.min(...values);
  });
}

function unitOf(height) {
  return UNITS.find((unit) => height * unit > 0.5 && height * unit < 3) ?? 1.7 / Math.max(height, 1e-6);
}

function near(rate) { return RATES.find((common) => Math.abs(common - rate) < 0.02 * common) ?? rate; }

// ---- GLB ----
async function ofGlb(buffer, caption, given = null) { // `given` has fps and frames, if they are known
  const { scene, animations: [clip] } = await new GLTFLoader().parseAsync(buffer, "");
  if (!clip) throw new Error("it has no animation");
  const joints = jointsOf(scene, clip);
  const steps = clip.tracks.flatMap(({ times }) => (times.length > 2 ? [(times[times.length - 1] - times[0]) / (times.length - 1)] : []));
  const fps = given?.fps ?? near(1 / (steps.sort((a, b) => a - b)[0] ?? 1 / 30));
  const frames = given?.frames ?? Math.round(clip.duration * fps) + 1;
  const mixer = new AnimationMixer(scene), parents = joints.map((joint) => joints.indexOf(above(joint, joints)));
  mixer.clipAction(clip).play();
  const rotations = new Float32Array(frames * joints.length * 4), root = new Float32Array(frames * 3);
  const places = joints.map(() => new Vector3()), turns = joints.map(() => new Quaternion()), scale = new Vector3();
  let offsets = null, unit = 1;
  for (let t = 0; t < frames; t++) {
    mixer.setTime(Math.min(t / fps, clip.duration - 1e-6));
    scene.updateMatrixWorld(true);
    joints.forEach((joint, place) => joint.matrixWorld.decompose(places[place], turns[place], scale));
    if (t === 0) {
      unit = unitOf(size(places.flatMap((place) => place.toArray()))[1]);
      offsets = joints.map((_, place) => (parents[place] < 0 ? [0, 0, 0] : places[place].clone().sub(places[parents[place]])
        .applyQuaternion(turns[parents[place]].clone().invert()).multiplyScalar(unit).toArray()));
    }
    joints.forEach((_, place) => {
      const own = parents[place] < 0 ? turns[place] : turns[parents[place]].clone().invert().multiply(turns[place]);
      own.toArray(rotations, (t * joints.length + place) * 4);
    });
    places[0].clone().multiplyScalar(unit).toArray(root, t * 3);
  }
  const skeleton = new Skeleton({ names: joints.map((joint) => joint.name), parents, offsets });
  let meshes = 0;
  scene.traverse((part) => { if (part.isMesh) meshes++; });
  return new Motion({ skeleton, fps, frames, root, rotations, caption, file: { object: scene, clip, joints, scale: unit, meshes } });
}

function jointsOf(scene, clip) { // of the skin with the most joints, else the nodes that move; those above come first
  let bones = [], root = null;
  scene.traverse((part) => { if (part.isSkinnedMesh && part.skeleton.bones.length > bones.length) bones = part.skeleton.bones; });
  const moved = new Set(clip.tracks.map((track) => track.name.slice(0, track.name.lastIndexOf("."))));
  const wanted = new Set(bones), out = [];
  scene.traverse((part) => {
    const joint = bones.length ? wanted.has(part) : moved.has(part.name);
    if (joint && (root === null || above(part, out))) { out.push(part); root ??= part; }
  });
  if (!out.length) throw new Error("it has no joints");
  return out;
}

function above(joint, joints) {
  let parent = joint.parent;
  while (parent && !joints.includes(parent)) parent = parent.parent;
  return parent;
}

// ---- NPZ ----
function ofNpz(arrays, caption) {
  const { poses, trans } = arrays, { smpl22, pelvis } = sharedData();
  if (!poses?.values || !trans?.values || poses.shape[1] < 66 || trans.shape[1] !== 3) {
    throw new Error("it must hold poses and trans as AMASS' files do");
  }
  const [frames, width] = poses.shape, up = arrays.up_axis?.text ?? "z";
  const rate = arrays.mocap_framerate ?? arrays.mocap_frame_rate ?? arrays.fps;
  const rotations = new Float32Array(frames * 88), root = new Float32Array(frames * 3);
  const shift = pelvis[arrays.surface_model_type?.text === "smplx" ? "smplx" : "smplh"];
  for (let t = 0; t < frames; t++) {
    for (let joint = 0; joint < 22; joint++) {
      const vector = [...poses.values.subarray(t * width + joint * 3, t * width + joint * 3 + 3)];
      const angle = Math.hypot(...vector), share = angle > 1e-9 ? Math.sin(angle / 2) / angle : 0.5;
      const local = [...vector.map((value) => value * share), Math.cos(angle / 2)];
      rotations.set(joint === 0 && up === "z" ? multiply(UPRIGHT, local) : local, (t * 22 + joint) * 4);
    }
    const place = shift.map((value, axis) => value + trans.values[t * 3 + axis]);
    root.set(up === "z" ? turn(UPRIGHT, place) : place, t * 3);
  }
  const told = arrays.caption?.text || caption;
  return new Motion({ skeleton: smpl22, fps: rate?.values?.[0] || 30, frames, root, rotations, caption: told });
}
