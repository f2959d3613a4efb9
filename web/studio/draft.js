// Keeps the form's values while the user is at the checkout. localStorage cannot hold files, so
// they are kept in an IndexedDB with one row.

const [NAME, STORE, KEY] = ["unstuck", "drafts", "draft"];

/** Keeps a draft. If the browser refuses to store it, the draft is lost and nothing else fails. */
export const keep = (draft) => inStore((store) => store.put(draft, KEY)).catch(() => {});

/** Returns the draft that was kept for this user, if there is one, and deletes it. */
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
