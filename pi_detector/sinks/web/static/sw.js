// Shows a page of its own where the detector cannot be reached. Nothing else is kept: what the page
// shows is of now, or it is not shown.

const CACHE = "offline-1";
const FILES = ["/offline", "/static/style.css", "/static/offline.js", "/static/es.js", "/static/words.js", "/static/icon.svg"];

addEventListener("install", (event) => {
	event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(FILES)).then(() => self.skipWaiting()));
});
addEventListener("activate", (event) => {
	event.waitUntil(caches.keys().then((names) =>
		Promise.all(names.filter((name) => name !== CACHE).map((name) => caches.delete(name)))).then(() => self.clients.claim()));
});
addEventListener("fetch", (event) => {
	const { request } = event;
	const { pathname } = new URL(request.url);
	if (request.mode === "navigate") {
		event.respondWith(fetch(request).catch(() => caches.match("/offline")));
	} else if (FILES.includes(pathname)) {
		event.respondWith(fetch(request).catch(() => caches.match(pathname)));
	}
});
