// The frame of the page: which part is shown, and the connection that keeps all of them up to date.

import { ask, find } from "./dom.js";
import * as events from "./events.js";
import * as live from "./live.js";
import * as zones from "./zones.js";

const PAGES = ["live", "events", "zones"];
let source = null;

function show() {
	const [wanted, id] = location.hash.slice(1).split("=", 2);
	if (wanted === "main") return;
	if (wanted === "event" && id) {
		history.replaceState(null, "", "#events"); // the address of the list, for a way back
		show();
		events.open(decodeURIComponent(id));
		return;
	}
	const page = PAGES.includes(wanted) ? wanted : "live";
	for (const name of PAGES) find(`page-${name}`).hidden = name !== page;
	for (const link of document.querySelectorAll("nav a")) {
		if (link.hash === `#${page}`) link.setAttribute("aria-current", "page");
		else link.removeAttribute("aria-current");
	}
	document.title = `${page[0].toUpperCase()}${page.slice(1)} – pi-detector`;
	const place = find(`page-${page}`).querySelector(".stage-place");
	if (place && find("stage").parentElement !== place) place.append(find("stage"));
	live.look(place !== null);
	zones.show(page === "zones");
	if (page === "events") events.load();
}

function connect() {
	source = new EventSource("/api/live");
	let fresh = false; // what comes before the first overview happened before
	source.addEventListener("overview", (message) => {
		const overview = JSON.parse(message.data);
		fresh = true;
		live.tell(overview);
		zones.tell(overview);
	});
	source.addEventListener("event", (message) => {
		const event = JSON.parse(message.data);
		live.add(event, fresh);
		if (fresh) events.hear(event);
	});
	source.addEventListener("error", () => {
		live.offline();
		// A browser tries again by itself unless it was refused.
		if (source.readyState !== EventSource.CLOSED) return;
		setTimeout(() => ask("/api/overview").then(connect, connect), 3000);
	});
}

document.addEventListener("visibilitychange", () => {
	if (document.hidden) {
		source?.close();
		live.look(false);
	} else {
		connect();
		show();
	}
});
addEventListener("hashchange", show);
zones.begin();
events.begin();
connect();
show();
