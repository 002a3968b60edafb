// What is drawn on the floor: the path of the root, and rings where parts of the feet touch.
//
//   const marks = new Marks(motion, body);
//   scene.add(marks.object);
//   marks.update(frame, theme, { trail: true, contacts: true });

import {
  BufferAttribute, BufferGeometry, Color, DoubleSide, Group, Mesh, MeshBasicMaterial, PlaneGeometry, ShaderMaterial, Vector3,
} from "three";

const WIDTH = 0.012, HEIGHT = 0.004;
const PARTS = ["left_ankle", "left_foot", "right_ankle", "right_foot"]; // in the order of the bits
const RING = `
varying vec2 at;
uniform vec3 color;
void main() {
  float away = length(at - 0.5) * 2.0, soft = fwidth(away);
  float disc = smoothstep(1.0, 1.0 - 2.0 * soft, away);
  float ring = smoothstep(0.74 - soft, 0.74 + soft, away) * disc;
  gl_FragColor = vec4(color, disc * 0.22 + ring * 0.6);
}`;
const AT = "varying vec2 at; void main() { at = uv; gl_Position = projectionMatrix * modelViewMatrix * vec4(position, 1.0); }";

export class Marks {
  constructor(motion, body) {
    this.motion = motion; this.body = body; this.object = new Group();
    this.trail = ribbon(motion, body.scale);
    this.faint = new Mesh(this.trail, flat(0.32));
    this.past = new Mesh(this.trail.clone(), flat(0.9));
    this.object.add(this.faint, this.past);
    this.rings = [];
    if (!motion.contacts) return;
    const square = new PlaneGeometry(1, 1).rotateX(-Math.PI / 2);
    this.rings = PARTS.map((name) => {
      const ring = new Mesh(square, new ShaderMaterial({
        vertexShader: AT, fragmentShader: RING, transparent: true, depthWrite: false, uniforms: { color: { value: new Color() } },
      }));
      ring.userData.bone = body.bones[motion.skeleton.names.indexOf(name)];
      ring.scale.setScalar(name.endsWith("ankle") ? 0.2 : 0.19);
      this.object.add(ring);
      return ring;
    });
  }

  update(frame, theme, { trail, contacts }) {
    this.faint.visible = this.past.visible = trail;
    this.past.geometry.setDrawRange(0, frame * 6);
    for (const part of [this.faint, this.past]) part.material.color.setStyle(theme.trail);
    const bits = this.motion.contacts ? this.motion.contacts[frame] : 0, at = new Vector3();
    if (contacts && bits) this.body.object.updateMatrixWorld(true);
    this.rings.forEach((ring, part) => {
      ring.visible = contacts && Boolean(bits & (1 << part));
      if (!ring.visible) return;
      ring.userData.bone.getWorldPosition(at);
      ring.position.set(at.x, HEIGHT + 0.001 * part, at.z);
      ring.material.uniforms.color.value.setStyle(theme.contact, "srgb-linear");
    });
  }

  dispose() { this.trail.dispose(); this.past.geometry.dispose(); }
}

function flat(opacity) {
  return new MeshBasicMaterial({ transparent: true, opacity, depthWrite: false, side: DoubleSide, toneMapped: false });
}

function ribbon({ root, frames }, scale) { // two vertices a frame
  const points = new Float32Array(frames * 6), index = [];
  let side = [WIDTH, 0];
  for (let t = 0; t < frames; t++) {
    const a = Math.max(0, t - 1) * 3, b = Math.min(frames - 1, t + 1) * 3;
    const x = root[b] - root[a], z = root[b + 2] - root[a + 2], length = Math.hypot(x, z);
    if (length > 1e-4) side = [-z / length * WIDTH, x / length * WIDTH];
    const [cx, cz] = [root[t * 3] * scale, root[t * 3 + 2] * scale];
    points.set([cx + side[0], HEIGHT, cz + side[1], cx - side[0], HEIGHT, cz - side[1]], t * 6);
    if (t) index.push(2 * t - 2, 2 * t - 1, 2 * t, 2 * t, 2 * t - 1, 2 * t + 1);
  }
  const geometry = new BufferGeometry();
  geometry.setAttribute("position", new BufferAttribute(points, 3));
  geometry.setIndex(index);
  return geometry;
}
