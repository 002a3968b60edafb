// Files that the browser keeps, in IndexedDB: each under a name, { blob, name }.
//
//   await keepFile("a1", { blob, name: "walk.bvh" });
//   const file = await keptFile("a1");                // undefined if it is not kept
//   await keepOnly(["a1"]);                           // forgets all others
//
// Browsers may have no room or forbid it: then these throw.

const NAME = "motionmillion", STORE = "files";

function settled(request) {
  return new Promise((resolve, reject) => { request.onsuccess = () => resolve(request.result); request.onerror = () => reject(request.error); });
}

async function within(mode, act) { // the result of `act`, when what it did is on the disk
  const opening = indexedDB.open(NAME, 1);
  opening.onupgradeneeded = () => opening.result.createObjectStore(STORE);
  const base = await settled(opening);
  try {
    const change = base.transaction(STORE, mode);
    const ended = new Promise((resolve, reject) => { change.oncomplete = resolve; change.onabort = () => reject(change.error); });
    const result = await act(change.objectStore(STORE));
    await ended;
    return result;
  } finally { base.close(); }
}

export const keepFile = (id, { blob, name }) => within("readwrite", (store) => settled(store.put({ blob, name }, id)));

export const keptFile = (id) => within("readonly", (store) => settled(store.get(id)));

export function keepOnly(ids) {
  return within("readwrite", async (store) => {
    for (const id of await settled(store.getAllKeys())) if (!ids.includes(id)) store.delete(id);
  });
}
