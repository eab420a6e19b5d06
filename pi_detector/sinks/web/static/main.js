// The frame of the page: which view an address shows, and the connection that keeps all up to date.

import { ask, find, icon } from "./dom.js";
import * as event from "./event.js";
import * as live from "./live.js";
import * as review from "./review.js";
import * as store from "./store.js";
import { t, translate } from "./words.js";
import * as zones from "./zones.js";

const TITLES = { live: "Live", review: "Review", event: "Event", zones: "Zones" };
const RECONNECT_MS = 3000;
let source = null;
let current = null;

/** The view of a path, and the id of an event in it. */
function viewOf(path) {
	const found = /^\/events\/([^/]+)$/.exec(path);
	if (found) return ["event", decodeURIComponent(found[1])];
	return [{ "/": "live", "/review": "review", "/zones": "zones" }[path] ?? "live", null];
}

/** Go to an address of the page. */
function navigate(address, { replace = false } = {}) {
	if (address !== location.pathname + location.search) {
		history[replace ? "replaceState" : "pushState"]({ inside: true }, "", address);
	}
	show(false);
}

function show(returning) {
	const [name, id] = viewOf(location.pathname);
	if (current !== name) {
		if (current === "review") review.hide();
		if (current === "event") event.hide();
		zones.show(name === "zones");
	}
	for (const page of Object.keys(TITLES)) find(`page-${page}`).hidden = page !== name;
	document.body.dataset.view = name;
	for (const link of document.querySelectorAll("nav a")) {
		if (link.pathname === (name === "event" ? "/review" : location.pathname)) link.setAttribute("aria-current", "page");
		else link.removeAttribute("aria-current");
	}
	document.title = `${t(TITLES[name])} – pi-detector`;
	const room = find(`page-${name}`).querySelector(".stage-room");
	if (room && find("stage").parentElement !== room) room.append(find("stage"));
	live.look(room !== null);
	if (name === "review") review.show(new URLSearchParams(location.search), returning || current === "event");
	else if (name === "event") event.show(id);
	else if (current !== name) scrollTo({ top: 0 });
	current = name;
}

function follow(click) {
	const link = click.target.closest("a[href]");
	if (!link || click.defaultPrevented || click.button !== 0 || click.ctrlKey || click.metaKey || click.shiftKey || click.altKey) return;
	if (link.origin !== location.origin || link.target || link.hasAttribute("download") || link.hash) return;
	if (!/^\/(?:$|review$|zones$|events\/)/.test(link.pathname)) return;
	click.preventDefault();
	// From event to event the address is replaced: Back leads to the list that they were opened from.
	navigate(link.pathname + link.search, { replace: link.closest("#page-event") !== null && link.pathname.startsWith("/events/") });
}

function connect() {
	source?.close();
	source = new EventSource("/api/v1/live");
	source.addEventListener("overview", (message) => {
		const overview = JSON.parse(message.data);
		live.take(overview);
		zones.take(overview);
	});
	source.addEventListener("event", (message) => store.hear(JSON.parse(message.data)));
	source.addEventListener("error", () => {
		live.offline();
		// A browser retries by itself unless it was refused.
		if (source.readyState !== EventSource.CLOSED) return;
		setTimeout(() => ask("/api/v1/overview").then(connect, connect), RECONNECT_MS);
	});
}

/** Addresses of older versions, in messages that were sent: `#event=ID`, `#events`, `#zones`. */
function takeOldAddress() {
	const [name, id] = location.hash.slice(1).split("=", 2);
	const address = name === "event" && id ? `/events/${id}` : { events: "/review", zones: "/zones", live: "/" }[name];
	if (address) history.replaceState(null, "", address);
	return Boolean(address);
}

document.addEventListener("visibilitychange", () => {
	if (document.hidden) {
		source?.close();
		live.look(false);
	} else {
		connect();
		store.load();
		live.look(find("stage").offsetParent !== null);
	}
});
addEventListener("popstate", () => show(true));
addEventListener("hashchange", () => { if (takeOldAddress()) show(false); });
document.addEventListener("click", follow);
history.scrollRestoration = "manual";
translate(document);
for (const link of document.querySelectorAll("nav a")) link.prepend(icon(link.dataset.icon));
takeOldAddress();
zones.begin();
live.begin();
review.begin(navigate);
event.begin(navigate);
connect();
store.load();
show(false);
navigator.serviceWorker?.register("/sw.js").catch(() => null);
