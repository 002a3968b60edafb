// The one WebGL renderer of a page: light, floor and soft shadow, drawn for one cell after another.
//
//   const stage = sharedStage({ fine: 1 });                  // null where there is no WebGL
//   stage.draw(pen, width, height, [{ camera, objects, reach, left, top, width, height }], theme);
//
// Browsers allow about sixteen contexts a page, so players own 2D canvases, and the picture is copied into them.

import {
  Color, DirectionalLight, Group, HemisphereLight, Mesh, NeutralToneMapping, PCFShadowMap, PerspectiveCamera,
  PlaneGeometry, Scene, ShaderMaterial, ShadowMaterial, Vector2, VSMShadowMap, WebGLRenderer,
} from "three";
import { FOCAL } from "./camera.js";

const FLOOR = `
varying vec2 place;
uniform vec2 feet; uniform float reach; uniform vec3 tile, line;
float lines(vec2 at, float width) {
  vec2 step = fwidth(at), near = abs(fract(at - 0.5) - 0.5) / step;
  vec2 strength = clamp(width + 0.5 - near, 0.0, 1.0) * clamp(0.35 / step, 0.0, 1.0);
  return max(strength.x, strength.y);
}
void main() {
  float fade = pow(clamp(1.0 - distance(place, feet) / reach, 0.0, 1.0), 0.9);
  float checker = mod(floor(place.x) + floor(place.y), 2.0);
  float drawn = lines(place, 0.5);
  float alpha = max(checker * 0.85, drawn) * fade;
  gl_FragColor = vec4(mix(tile, line, drawn), alpha);
}`;
const PLACE = `
varying vec2 place;
void main() {
  vec4 world = modelMatrix * vec4(position, 1.0);
  place = world.xz;
  gl_Position = projectionMatrix * viewMatrix * world;
}`;

class Stage {
  constructor(canvas, context, fine) {
    const renderer = new WebGLRenderer({ canvas, context, alpha: true });
    renderer.setPixelRatio(1);
    renderer.toneMapping = NeutralToneMapping;
    renderer.shadowMap.enabled = true;
    const soft = fine > 0 && !webgl().software; // blurred, which is slow where the processor draws
    renderer.shadowMap.type = soft ? VSMShadowMap : PCFShadowMap;
    renderer.autoClear = false;
    this.renderer = renderer;
    this.lens = new PerspectiveCamera(2 * Math.atan(0.5 / FOCAL) * 180 / Math.PI, 1, 0.05, 120);
    this.scene = new Scene();
    this.world = new Group();
    this.sky = new HemisphereLight(0xffffff, 0xb9b2a6, 2.1);
    this.sun = new DirectionalLight(0xfff4e6, 2.7);
    this.rim = new DirectionalLight(0xd4e2ff, 1.6);
    const { shadow } = this.sun;
    this.sun.castShadow = true;
    shadow.mapSize.setScalar(soft ? 1024 : fine ? 512 : 256);
    shadow.radius = soft ? 9 : 2.5; shadow.blurSamples = 16;
    shadow.bias = soft ? -0.0004 : -0.002; shadow.normalBias = 0.01;
    shadow.camera.near = 1; shadow.camera.far = 14;
    const plane = new PlaneGeometry(60, 60).rotateX(-Math.PI / 2);
    this.floor = new Mesh(plane, new ShaderMaterial({
      vertexShader: PLACE, fragmentShader: FLOOR, transparent: true, depthWrite: false,
      uniforms: { feet: { value: new Vector2() }, reach: { value: 8 }, tile: { value: new Color() }, line: { value: new Color() } },
    }));
    this.dark = new Mesh(plane, new ShadowMaterial({ transparent: true, depthWrite: false }));
    this.dark.receiveShadow = true;
    this.dark.position.y = 0.002;
    this.floor.renderOrder = -2; this.dark.renderOrder = -1;
    this.scene.add(this.sky, this.sun, this.sun.target, this.rim, this.rim.target, this.floor, this.dark, this.world);
    this.theme = null;
  }

  // Draws cells, in pixels from the top left, and copies the picture to a 2D canvas of the same size.
  draw(pen, width, height, cells, theme) {
    const { renderer } = this, size = renderer.getSize(new Vector2());
    if (size.x !== width || size.y !== height) renderer.setSize(width, height, false);
    if (theme !== this.theme) this.#paint(theme);
    renderer.setScissorTest(false);
    renderer.clear();
    renderer.setScissorTest(true);
    for (const cell of cells) {
      const bottom = height - cell.top - cell.height;
      renderer.setViewport(cell.left, bottom, cell.width, cell.height);
      renderer.setScissor(cell.left, bottom, cell.width, cell.height);
      this.#aim(cell);
      this.world.add(...cell.objects);
      renderer.render(this.scene, this.lens);
      this.world.remove(...cell.objects);
    }
    pen.drawImage(renderer.domElement, 0, 0, width, height, 0, 0, width, height);
  }

  #aim({ camera, reach, width, height }) {
    const { lens, sun, rim, floor } = this, [x, y, z] = camera.target, [fx, fz] = camera.feet;
    lens.position.set(x - camera.forward[0] * camera.distance, y - camera.forward[1] * camera.distance,
      z - camera.forward[2] * camera.distance);
    lens.up.set(...camera.up);
    lens.lookAt(x, y, z);
    lens.aspect = width / height;
    lens.updateProjectionMatrix();
    // the light comes from over the left shoulder of the camera, the rim from behind
    const from = (right, up, back) => [camera.right[0] * right + camera.back[0] * back, up,
      camera.right[2] * right + camera.back[1] * back];
    const place = (light, at) => {
      light.position.set(fx + at[0], at[1], fz + at[2]);
      light.target.position.set(fx, 0.6, fz);
    };
    place(sun, from(-2.6, 5.2, 2.6));
    place(rim, from(2.5, 3, -4));
    const range = Math.max(1.5, reach + 0.9), box = sun.shadow.camera;
    if (Math.abs(box.right - range) > 0.02) {
      box.left = box.bottom = -range; box.right = box.top = range;
      box.updateProjectionMatrix();
    }
    floor.position.set(fx, 0, fz);
    this.dark.position.x = fx; this.dark.position.z = fz;
    floor.material.uniforms.feet.value.set(fx, fz);
    floor.material.uniforms.reach.value = Math.max(7, 2.2 * reach);
  }

  #paint(theme) {
    this.theme = theme;
    const raw = (color) => new Color().setStyle(color, "srgb-linear"); // as it is on the screen
    this.floor.material.uniforms.tile.value.copy(raw(theme.tile));
    this.floor.material.uniforms.line.value.copy(raw(theme.line));
    this.dark.material.color.setStyle(`rgb(${theme.shadow})`);
    this.dark.material.opacity = theme.dark ? 0.55 : 0.3;
    this.sky.intensity = theme.dark ? 1.5 : 2.1;
    this.rim.intensity = theme.dark ? 2.6 : 1.6;
  }
}

// Whether WebGL is there, and whether the processor draws instead of a graphics card; tried once.
let support = null;
export function webgl() {
  if (support) return support;
  const context = document.createElement("canvas").getContext("webgl2");
  const info = context && context.getExtension("WEBGL_debug_renderer_info");
  const name = context ? String(context.getParameter(info ? info.UNMASKED_RENDERER_WEBGL : context.RENDERER)) : "";
  if (context) context.getExtension("WEBGL_lose_context")?.loseContext();
  return (support = { there: Boolean(context), software: /swiftshader|llvmpipe|software|basic render/i.test(name) });
}

let stage; // undefined until it is tried
export function sharedStage({ fine = 1 } = {}) {
  if (stage !== undefined) return stage;
  if (!webgl().there) return (stage = null);
  const canvas = document.createElement("canvas");
  try {
    const context = canvas.getContext("webgl2", { antialias: true, alpha: true, powerPreference: "high-performance" });
    stage = context ? new Stage(canvas, context, fine) : null;
  } catch { stage = null; }
  return stage;
}
