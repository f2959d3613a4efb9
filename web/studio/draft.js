// What the user had chosen when they left for the checkout: it waits here until they are back. A
// file has no place in localStorage, so this is a database of the browser with one row.

const [NAME, STORE, KEY] = ["unstuck", "drafts", "draft"];

/** Keeps a draft; a browser that keeps nothing only loses it. */
export const keep = (draft) => inStore((store) => store.put(draft, KEY)).catch(() => {});

/** The draft that was kept for this user, if there is one. Nobody finds it a second time. */
export async function take(user) {
  const draft = await inStore((store) => store.get(KEY)).catch(() => null);
  await inStore((store) => store.delete(KEY)).catch(() => {});
  return draft?.user === user.id ? draft : null;
}

async function inStore(work) {
  const opening = indexedDB.open(NAME);
  opening.onupgradeneeded = () => opening.result.createObjectStore(STORE);
  const database = await done(opening);
  try {
    return await done(work(database.transaction(STORE, "readwrite").objectStore(STORE)));
  } finally {
    database.close();
  }
}

function done(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
