// Requests to the service.
//
//   const { models, formats } = await listModels();
//   for await (const { name, data } of streamed(body, signal)) ...      // server-sent events of a POST
//   const blob = await file({ ...body, format: "bvh" });

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

function post(path, body, signal) {
  return fetch(path, {
    method: "POST", signal, body: JSON.stringify(body), headers: { "Content-Type": "application/json", ...headers() },
  }).then(checked);
}

export async function listModels() { return (await checked(await fetch("v1/models", { headers: headers() }))).json(); }

export async function scenes(body, signal) { return (await post("v1/motions", { ...body, format: "scene" }, signal)).json(); }

export async function file(body) { return named(await post("v1/motions", body), body.format); }

// The file of a motion, a blob of .npz, with its continuation.
export async function continued(motion, fields, signal) {
  const form = new FormData();
  form.append("motion", motion, "motion.npz");
  for (const [name, value] of Object.entries(fields)) if (value !== null && value !== undefined) form.append(name, value);
  const response = await fetch("v1/continue", { method: "POST", body: form, signal, headers: headers() });
  return named(await checked(response), fields.format);
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
