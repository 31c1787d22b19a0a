// Reads what the page holds: arrays that jaxgen/views/packing.py packed, as text in elements of their own.

const ABOUT = JSON.parse(document.getElementById("about").textContent);
const TYPES = {u1: Uint8Array, u2: Uint16Array, u4: Uint32Array, f4: Float32Array};
const arrays = new Map();

// The bytes that base64 text stands for.
function toBytes(text) {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

async function inflate(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// Numbers of `size` bytes from all their first bytes, then all their second ones.
function fromPlanes(planes, size) {
  if (size === 1) return planes;
  const count = planes.length / size;
  const bytes = new Uint8Array(planes.length);
  for (let plane = 0; plane < size; plane++) {
    for (let i = 0; i < count; i++) bytes[i * size + plane] = planes[plane * count + i];
  }
  return bytes;
}

// Numbers from steps on a scale, of which the highest code is NaN.
function fromSteps(codes, {low, step, type}) {
  const missing = type === "u1" ? 255 : 65535;
  const values = new Float32Array(codes.length);
  for (let i = 0; i < codes.length; i++) values[i] = codes[i] === missing ? NaN : low + codes[i] * step;
  return values;
}

async function unpack(name) {
  const form = ABOUT.arrays[name];
  const planes = await inflate(toBytes(document.getElementById(`array:${name}`).textContent));
  if (form.type === "text") return new TextDecoder().decode(planes).split("\0");
  const Kind = TYPES[form.type];
  const values = new Kind(fromPlanes(planes, Kind.BYTES_PER_ELEMENT).buffer);
  return "step" in form ? fromSteps(values, form) : values;
}

function has(name) {
  return name in ABOUT.arrays;
}

// An array by name, unpacked when it is first asked for; null where the job has none.
function load(name) {
  if (!has(name)) return Promise.resolve(null);
  if (!arrays.has(name)) arrays.set(name, unpack(name));
  return arrays.get(name);
}
