// Reads the arrays of a NumPy .npz file: a zip of .npy files, stored or deflated.
//
//   const arrays = await readNpz(buffer);       // { poses: { shape: [T, 156], values: Float64Array }, ... }
//
// Numbers become Float64Array; texts are joined to one string. Pickled arrays are refused, nothing in a file is run.

const NUMBERS = {
  f2: null, f4: Float32Array, f8: Float64Array, i1: Int8Array, i2: Int16Array, i4: Int32Array, u1: Uint8Array, b1: Uint8Array,
  u2: Uint16Array, u4: Uint32Array, i8: BigInt64Array, u8: BigUint64Array,
};

export async function readNpz(buffer) {
  const out = {};
  for (const [name, data] of await unzip(buffer)) {
    if (name.endsWith(".npy")) out[name.slice(0, -4)] = parseNpy(data, name);
  }
  return out;
}

async function unzip(buffer) {
  const view = new DataView(buffer), files = [];
  let end = buffer.byteLength - 22;
  while (end >= 0 && view.getUint32(end, true) !== 0x06054b50) end--;
  if (end < 0) throw new Error("it is no zip archive");
  let at = view.getUint32(end + 16, true);
  for (let left = view.getUint16(end + 10, true); left > 0; left--) {
    if (view.getUint32(at, true) !== 0x02014b50) throw new Error("its directory is damaged");
    const method = view.getUint16(at + 10, true), size = view.getUint32(at + 20, true), start = view.getUint32(at + 42, true);
    const long = view.getUint16(at + 28, true);
    const name = new TextDecoder().decode(new Uint8Array(buffer, at + 46, long));
    const data = start + 30 + view.getUint16(start + 26, true) + view.getUint16(start + 28, true);
    const packed = new Uint8Array(buffer, data, size);
    if (method !== 0 && method !== 8) throw new Error(`${name} is packed in an unknown way`);
    files.push([name, method ? await inflate(packed) : packed.slice().buffer]);
    at += 46 + long + view.getUint16(at + 30, true) + view.getUint16(at + 32, true);
  }
  return files;
}

function inflate(packed) {
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  return new Response(stream).arrayBuffer();
}

function parseNpy(buffer, name) {
  const view = new DataView(buffer), major = view.getUint8(6);
  if (view.getUint32(0) !== 0x934e554d) throw new Error(`${name} is no array`);
  const start = major === 1 ? 10 : 12, length = major === 1 ? view.getUint16(8, true) : view.getUint32(8, true);
  const head = new TextDecoder("latin1").decode(new Uint8Array(buffer, start, length));
  const type = /'descr':\s*'([^']*)'/.exec(head)?.[1] ?? "", dims = /'shape':\s*\(([^)]*)\)/.exec(head)?.[1] ?? "";
  const shape = dims.split(",").filter((word) => word.trim()).map(Number);
  const count = shape.reduce((a, b) => a * b, 1), data = buffer.slice(start + length);
  if (/'fortran_order':\s*True/.test(head)) throw new Error(`${name} is in Fortran order`);
  if (/^[<|=]?U/.test(type)) {
    const codes = [...new Uint32Array(data.slice(0, 4 * Math.floor(data.byteLength / 4)))].filter(Boolean);
    return { shape, text: String.fromCodePoint(...codes) };
  }
  const Kind = NUMBERS[type.slice(1)];
  if (!Kind || type[0] === ">") return { shape, values: null }; // of a kind that is not needed here
  return { shape, values: Float64Array.from(new Kind(data, 0, count), Number) };
}
