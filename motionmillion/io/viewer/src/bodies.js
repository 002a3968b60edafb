// Bodies that motions are shown on, as objects of three.js: human, mannequin, stick, or the meshes of a file.
//
//   const body = makeBody("human", motion, { fine: 1 });
//   scene.add(body.object);
//   body.pose(motion, 12.5);                       // in frames
//
// The human has its own proportions: it takes over the rotations, and its path is scaled to its legs. Motions without
// SMPL22's joints get the mannequin for it. Geometry is shared by all bodies of a kind and skeleton.

import {
  AnimationMixer, Bone, Group, Matrix4, MeshBasicMaterial, MeshLambertMaterial, MeshStandardMaterial, Skeleton as Bones, SkinnedMesh,
  Mesh, Vector3,
} from "three";
import { capsuleGeometry, figureLimbs, humanGeometry, humanInverses } from "./meshes.js";
import { sharedData } from "./motions.js";
import { webgl } from "./stage.js";

export const BODIES = ["human", "mannequin", "stick"];

const materials = new Map();
function materialOf(fine, ghost) {
  const key = `${fine} ${ghost}`;
  if (!materials.has(key)) {
    const look = { vertexColors: true, transparent: ghost > 0, opacity: ghost > 0 ? ghost : 1 };
    materials.set(key, fine && !webgl().software ? new MeshStandardMaterial({ ...look, roughness: 0.62, metalness: 0 })
      : new MeshLambertMaterial(look));
  }
  return materials.get(key);
}

const VEIL = new MeshBasicMaterial({ colorWrite: false, transparent: true });

const made = new WeakMap(); // geometry by skeleton, then by body and detail
function geometryOf(skeleton, body, fine) {
  if (body === "human") return humanGeometry();
  if (!made.has(skeleton)) made.set(skeleton, {});
  const own = made.get(skeleton);
  return (own[body + fine] ??= capsuleGeometry(skeleton, figureLimbs(skeleton, body), fine));
}

export function bodyFor(wanted, motion) { // the body that a motion can have
  if (wanted === "human") return motion.file ? "file" : motion.skeleton.human ? "human" : "mannequin";
  return wanted;
}

export function makeBody(name, motion, { fine = 1, ghost = 0 } = {}) {
  if (name === "file") return new FileBody(motion);
  const body = new SkinnedBody(name, motion, fine, ghost);
  return webgl().software ? new PosedBody(body) : body;
}

// Only the nearest surface of a ghost is seen, not the limbs inside of it: a veil of depth is drawn before it.
function veilOf(geometry, Kind) {
  const veil = new Kind(geometry, VEIL);
  veil.frustumCulled = false;
  veil.renderOrder = 1;
  return veil;
}

export class SkinnedBody {
  constructor(name, motion, fine = 1, ghost = 0) {
    const { skeleton } = motion;
    this.name = name;
    [this.scale, this.lift] = name === "human" ? skeleton.human : [1, 0];
    const offsets = name === "human" ? sharedData().human.offsets : skeleton.offsets;
    this.bones = makeBones(skeleton.names, skeleton.parents, offsets);
    const inverses = name === "human" ? humanInverses()
      : skeleton.restPositions().map(([x, y, z]) => new Matrix4().makeTranslation(-x, -y, -z));
    this.object = new SkinnedMesh(geometryOf(skeleton, name, fine), materialOf(fine, ghost));
    this.object.add(this.bones[0]);
    this.object.bind(new Bones(this.bones, inverses), new Matrix4());
    this.object.frustumCulled = false;
    this.object.castShadow = !ghost; this.object.receiveShadow = fine > 0;
    if (ghost) {
      const veil = veilOf(this.object.geometry, SkinnedMesh);
      veil.bind(this.object.skeleton, new Matrix4());
      this.object.add(veil);
      this.object.renderOrder = 2;
    }
    this.room = null;
  }

  pose(motion, time) {
    const pose = (this.room = motion.pose(time, this.room ?? undefined));
    this.bones.forEach((bone, joint) => bone.quaternion.fromArray(pose.rotations, joint * 4));
    const [x, y, z] = pose.root;
    this.bones[0].position.set(x * this.scale, y * this.scale + this.lift, z * this.scale);
  }

  // Of the bones as they are drawn, [J * 3].
  jointPositions() {
    this.object.updateMatrixWorld(true);
    return this.bones.flatMap((bone) => bone.getWorldPosition(new Vector3()).toArray());
  }

  dispose() { this.object.skeleton.dispose(); }
}

// A skinned body whose vertices are posed here: processors that stand in for a graphics card are slow at it.
class PosedBody {
  constructor(skinned) {
    const { object } = skinned, geometry = object.geometry.clone();
    this.skinned = skinned; this.name = skinned.name; this.scale = skinned.scale; this.lift = skinned.lift;
    this.bones = skinned.bones;
    this.object = new Mesh(geometry, object.material);
    this.object.frustumCulled = false;
    this.object.castShadow = object.castShadow; this.object.receiveShadow = object.receiveShadow;
    this.object.renderOrder = object.renderOrder;
    if (object.children.length > 1) this.object.add(...object.children.slice(1).map(() => veilOf(geometry, Mesh)));
    this.rest = object.geometry.attributes;
  }

  pose(motion, time) {
    this.skinned.pose(motion, time);
    this.bones[0].updateMatrixWorld(true);
    this.skinned.object.skeleton.update();
    const { position, normal } = this.object.geometry.attributes, { rest } = this;
    blend(this.skinned.object.skeleton.boneMatrices, rest, position.array, normal.array);
    position.needsUpdate = normal.needsUpdate = true;
  }

  jointPositions() { return this.skinned.jointPositions(); }

  dispose() { this.object.geometry.dispose(); this.skinned.dispose(); }
}

// Linear blend skinning of positions and normals with matrices in columns, as three.js' shader does it.
function blend(matrices, { position, normal, skinIndex, skinWeight }, points, normals) {
  const at = position.array, up = normal.array, joints = skinIndex.array, weights = skinWeight.array;
  for (let v = 0, i = 0; v < joints.length; v += 4, i += 3) {
    const x = at[i], y = at[i + 1], z = at[i + 2], a = up[i], b = up[i + 1], c = up[i + 2];
    let px = 0, py = 0, pz = 0, nx = 0, ny = 0, nz = 0;
    for (let k = 0; k < 4; k++) {
      const w = weights[v + k];
      if (w === 0) continue;
      const m = joints[v + k] * 16, m0 = matrices[m] * w, m1 = matrices[m + 1] * w, m2 = matrices[m + 2] * w;
      const m4 = matrices[m + 4] * w, m5 = matrices[m + 5] * w, m6 = matrices[m + 6] * w;
      const m8 = matrices[m + 8] * w, m9 = matrices[m + 9] * w, m10 = matrices[m + 10] * w;
      px += m0 * x + m4 * y + m8 * z + matrices[m + 12] * w;
      py += m1 * x + m5 * y + m9 * z + matrices[m + 13] * w;
      pz += m2 * x + m6 * y + m10 * z + matrices[m + 14] * w;
      nx += m0 * a + m4 * b + m8 * c; ny += m1 * a + m5 * b + m9 * c; nz += m2 * a + m6 * b + m10 * c;
    }
    points[i] = px; points[i + 1] = py; points[i + 2] = pz;
    normals[i] = nx; normals[i + 1] = ny; normals[i + 2] = nz;
  }
}

// The meshes and the animation of a file that was dropped.
class FileBody {
  constructor(motion) {
    const { object, clip, joints, scale } = motion.file;
    this.name = "file"; this.scale = 1; this.lift = 0; this.bones = joints; this.own = object;
    this.object = new Group();
    this.object.add(object);
    this.object.scale.setScalar(scale);
    this.mixer = new AnimationMixer(object);
    this.mixer.clipAction(clip).play();
    object.traverse((part) => {
      part.frustumCulled = false;
      if (part.isMesh) part.castShadow = part.receiveShadow = true;
    });
  }

  pose(motion, time) { this.mixer.setTime(Math.min(time / motion.fps, motion.file.clip.duration - 1e-6)); }

  jointPositions() {
    this.object.updateMatrixWorld(true);
    return this.bones.flatMap((bone) => bone.getWorldPosition(new Vector3()).toArray());
  }

  dispose() { // three.js sends them to the graphics card again if the motion is shown once more
    this.object.traverse((part) => {
      if (!part.isMesh) return;
      part.geometry.dispose();
      for (const material of [part.material].flat()) {
        for (const value of Object.values(material)) if (value?.isTexture) value.dispose();
        material.dispose();
      }
    });
  }
}

export function makeBones(names, parents, offsets) {
  const bones = names.map((name, joint) => {
    const bone = new Bone();
    bone.name = name;
    if (joint) bone.position.set(...offsets[joint]);
    return bone;
  });
  bones.forEach((bone, joint) => { if (parents[joint] >= 0) bones[parents[joint]].add(bone); });
  return bones;
}
