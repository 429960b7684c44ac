// Opens the page when agentd is not there: it then says that it is not connected. Nothing that was said is kept here.

const CACHE = "agentd-{{page}}";
const FILES = ["/", "{{script}}", "{{style}}", "{{icon}}", "{{manifest}}"];

addEventListener("install", (event) => {
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(FILES)));
  skipWaiting();
});

addEventListener("activate", (event) => {
  const forget = async () => {
    for (const name of await caches.keys()) if (name !== CACHE) await caches.delete(name);
    await clients.claim();
  };
  event.waitUntil(forget());
});

addEventListener("fetch", (event) => {
  const { pathname, origin } = new URL(event.request.url);
  if (event.request.method !== "GET" || origin !== location.origin) return;
  if (pathname === "/") event.respondWith(fetch(event.request).catch(() => caches.match("/")));
  else if (FILES.includes(pathname)) event.respondWith(kept(pathname).then((hit) => hit ?? fetch(event.request)));
});

function kept(pathname) {
  return caches.match(pathname, { ignoreVary: true });
}
