// Requests to the service.
//
//   const { models, formats } = await listModels();
//   for await (const { name, data } of streamed(body, signal)) ...      // server-sent events of a POST
//   const { blob, name } = await made({ ...body, format: "bvh" });
//   const { blob, name } = await worked("v1/continue", { motion: { blob, name } }, { prompt, seconds, format: "npz" });

let key = "";

export function useKey(value) { key = value.trim(); }

const headers = () => (key ? { Authorization: `Bearer ${key}` } : {});

async function checked(response) {
  if (response.ok) return response;
  const body = await response.json().catch(() => null);
  const error = new Error(body?.error?.message ?? `the service answered ${response.status}`);
  error.status = response.status;
  throw error;
}

async function asked(path, options = {}) {
  const response = await fetch(path, { ...options, headers: { ...options.headers, ...headers() } }).catch((error) => {
    throw error.name === "AbortError" ? error : new Error("The service cannot be reached. Is it still running?");
  });
  return checked(response);
}

function post(path, body, signal) {
  return asked(path, { method: "POST", signal, body: JSON.stringify(body), headers: { "Content-Type": "application/json" } });
}

export async function listModels() { return (await asked("v1/models")).json(); }

export async function scenes(body, signal) { return (await post("v1/motions", { ...body, format: "scene" }, signal)).json(); }

export async function made(body, signal) { return named(await post("v1/motions", body, signal), body.format); }

// The answer to a form with files.
export async function worked(path, files, fields, signal) {
  const form = new FormData();
  for (const [field, { blob, name }] of Object.entries(files)) form.append(field, blob, name);
  for (const [field, value] of Object.entries(fields)) {
    for (const one of Array.isArray(value) ? value : [value ?? ""]) if (one !== "") form.append(field, one);
  }
  return named(await asked(path, { method: "POST", body: form, signal }), fields.format);
}

async function named(response, format) {
  const name = /filename="([^"]+)"/.exec(response.headers.get("content-disposition") ?? "");
  return { blob: await response.blob(), name: name ? name[1] : `motion.${format}` };
}

export async function* streamed(body, signal) {
  const response = await post("v1/motions/stream", { ...body, format: "scene" }, signal);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    text += value;
    for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
      const [name, data] = text.slice(0, end).split("\n");
      text = text.slice(end + 2);
      yield { name: name.slice("event: ".length), data: JSON.parse(data.slice("data: ".length)) };
    }
  }
}
