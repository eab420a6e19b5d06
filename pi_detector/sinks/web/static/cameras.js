// The view of several cameras: a tile for each, and the events of all.

import { ask, duration, find, icon, make, timeOf } from "./dom.js";
import { capital, t, translate } from "./words.js";

const PICTURE_MS = 1000;
const STATE_MS = 2000;
const EVENTS_MS = 5000;
const AWAY_MS = 6000; // until a camera that does not answer is asked again
const OWN = { name: "", title: t("This camera"), page: "/", api: "/api/v1/overview", picture: "/view.jpg" };

let cameras = [];
let known = new Map(); // events by camera and id
let until = null;

function others(list) {
	return list.map(({ name, page }) => ({
		name, title: name, page: `${page.replace(/\/+$/, "")}/`,
		api: `/api/v1/cameras/${encodeURIComponent(name)}/overview`,
		picture: `/api/v1/cameras/${encodeURIComponent(name)}/view.jpg`,
	}));
}

// Each tile waits for its own camera alone.
function tile(camera) {
	const image = make("img", { alt: "" });
	const nothing = make("p", { class: "hint", hidden: true }, t("No picture"));
	const state = make("p", { class: "state", role: "status" }, t("Connecting …"));
	const link = make("a", { href: camera.page }, camera.title);
	const element = make("li", { class: "tile" },
		make("div", { class: "frame" }, image, nothing),
		make("div", { class: "words" }, make("p", { class: "title" }, link), state));
	const next = (wait) => setTimeout(() => {
		if (document.hidden) next(PICTURE_MS);
		else image.src = `${camera.picture}?${Date.now()}`;
	}, wait);
	image.addEventListener("load", () => { image.hidden = false; nothing.hidden = true; next(PICTURE_MS); });
	image.addEventListener("error", () => { image.hidden = true; nothing.hidden = false; next(AWAY_MS); });
	image.src = camera.picture;
	const look = async () => {
		let words;
		let wait = STATE_MS;
		try {
			const now = await ask(camera.api);
			element.classList.remove("away");
			if (camera === OWN && now.name) link.textContent = camera.title = now.name;
			words = sentence(now);
		} catch (error) {
			element.classList.add("away");
			words = error.message.replace(`${camera.name}: `, "");
			wait = AWAY_MS;
		}
		if (state.textContent !== words) state.textContent = words;
		setTimeout(look, wait);
	};
	look();
	return element;
}

function sentence(now) {
	if (now.source_state !== "live") return `${now.source ?? t("Camera")}: ${t(now.source_state ?? "unknown")}`;
	if (now.detection === "paused") return t("Detection is paused");
	const found = Object.entries(now.found).map(([label, count]) => (count > 1 ? `${t(label)} ×${count}` : t(label)));
	return found.length ? t("Now: {names}", { names: found.join(", ") }) : t("Nobody now");
}

async function loadEvents(before = null) {
	const query = before ? `?${new URLSearchParams({ until: before })}` : "";
	const page = await ask(`/api/v1/cameras/events${query}`);
	for (const event of page.events) known.set(`${event.camera}\u0000${event.id}`, event);
	if (before || until === null) until = page.until;
	find("missing").replaceChildren(...page.missing.map((words) => make("p", {}, words)));
	show();
}

function show() {
	const events = [...known.values()].sort((a, b) => (a.started < b.started ? 1 : -1));
	find("events").replaceChildren(...events.map(row));
	find("none").hidden = events.length > 0;
	find("earlier").hidden = !until;
}

function row(event) {
	const camera = cameras.find(({ name }) => name === event.camera);
	// Of an own event that is ongoing there is a picture too.
	const own = `/api/v1/events/${encodeURIComponent(event.id)}/thumbnail.jpg`;
	const address = event.thumbnail ?? (event.camera === "" ? own : null);
	const image = address
		? make("img", { class: "thumb", src: address, alt: "", loading: "lazy" })
		: make("span", { class: "thumb", "aria-hidden": "true" });
	const length = event.going_on ? t("ongoing") : duration(event.duration_s);
	return make("li", {}, image, make("div", { class: "words" },
		make("a", { href: `${camera?.page ?? "/"}events/${encodeURIComponent(event.id)}` }, capital(t(event.label))),
		make("span", { class: "hint" }, camera?.title ?? event.camera, event.zones.length ? ` · ${event.zones.join(", ")}` : ""),
		make("span", { class: "hint" }, timeOf(new Date(event.started)), ` · ${length}`)));
}

function fail(error) {
	find("problem").hidden = false;
	find("problem").textContent = error.message;
}

async function follow() {
	try {
		if (!document.hidden) await loadEvents();
		find("problem").hidden = true;
	} catch (error) {
		fail(error);
	}
	setTimeout(follow, EVENTS_MS);
}

translate(document);
for (const link of document.querySelectorAll("[data-icon]")) link.prepend(icon(link.dataset.icon));
try {
	cameras = [OWN, ...others(await ask("/api/v1/cameras"))];
	find("tiles").replaceChildren(...cameras.map(tile));
	follow();
} catch (error) {
	fail(error);
}
find("earlier").addEventListener("click", () => loadEvents(until).catch(fail));
