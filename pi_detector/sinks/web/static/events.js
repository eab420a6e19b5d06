// The gallery of events.

import { about, ask, colourOf, dot, duration, find, make, timeOf } from "./dom.js";

let next = null;
let recorded = false;
let labelsKnown = "";
let asked = 0;
let watching = 0;

const LEAD_S = 1; // a clip is shown from so long before its event
const AGAIN_MS = 3000;

export function begin() {
	const filter = find("filter");
	filter.addEventListener("change", load);
	filter.addEventListener("reset", () => setTimeout(load));
	filter.addEventListener("submit", (event) => event.preventDefault());
	find("more").addEventListener("click", () => load(next));
	find("newer").addEventListener("click", load);
	find("show").addEventListener("close", () => {
		clearTimeout(watching);
		find("show-media").replaceChildren();
	});
	ask("/api/places").then(({ zones }) =>
		filter.elements.zone.append(...Object.keys(zones).map((name) => new Option(name))), () => null);
}

/** Show the first page of events, or the one after `before`. */
export async function load(before = null) {
	const from = typeof before === "string" ? before : null;
	const number = ++asked;
	let page;
	try {
		page = await ask(`/api/events?${query(from)}`);
	} catch (error) {
		if (number === asked) none(error.message);
		return;
	}
	if (number !== asked) return;
	({ next, recorded } = page);
	find("not-recorded").hidden = recorded;
	find("newer").hidden = true;
	find("more").hidden = next === null;
	offer(page.labels);
	const cards = page.events.map(card);
	if (from) find("gallery").append(...cards);
	else find("gallery").replaceChildren(...cards);
	find("no-events").textContent = "No matching events.";
	find("no-events").hidden = find("gallery").childElementCount > 0;
	if (from) cards[0]?.querySelector("button")?.focus();
}

function none(message) {
	find("gallery").replaceChildren();
	find("more").hidden = true;
	find("no-events").textContent = message;
	find("no-events").hidden = false;
}

function query(before) {
	const { label, zone, day } = find("filter").elements;
	const wanted = new URLSearchParams({ label: label.value, zone: zone.value });
	if (day.value) {
		const start = new Date(`${day.value}T00:00`);
		const end = new Date(start.getFullYear(), start.getMonth(), start.getDate() + 1);
		wanted.set("since", start.toISOString());
		wanted.set("until", new Date(end - 1).toISOString());
	}
	if (before) wanted.set("before", before);
	return wanted;
}

function offer(labels) {
	const text = labels.join("\n");
	if (text === labelsKnown) return;
	labelsKnown = text;
	const select = find("filter").elements.label;
	const chosen = select.value;
	select.replaceChildren(new Option("everything", ""), ...labels.map((label) => new Option(label)));
	select.value = labels.includes(chosen) ? chosen : "";
}

function card(event) {
	const facts = make("span", { class: "facts" }, dot(colourOf(event.label), event.going_on),
		make("strong", {}, event.label), timeOf(event.started), make("span", { class: "about" }, about(event)));
	if (!recorded) return make("li", { class: "plain", "data-id": event.id }, facts);
	const inside = event.thumbnail
		? make("img", { src: event.thumbnail, alt: "", loading: "lazy" })
		: make("span", {}, event.going_on ? "ongoing …" : "no image");
	return make("li", { "data-id": event.id }, make("button", { type: "button", onclick: () => show(event) },
		make("span", { class: "thumb" }, inside), facts));
}

/** Show the event of this id, as a message links to it. */
export async function open(id) {
	const { events, recorded: known } = await ask(`/api/events?${new URLSearchParams({ id })}`)
		.catch(() => ({ events: [] }));
	const event = events.find((each) => each.id === id);
	if (!event) {
		await load(); // which has words of its own
		find("no-events").textContent = "The event that the link names is not here any more.";
		find("no-events").hidden = false;
	} else {
		show({ ...event, recording: event.recording ?? !known });
	}
}

function show(event) {
	describe(event);
	find("show").showModal();
	if (event.recording) showAgain(event);
}

/** Show the rest of an event that was still being recorded, once it is there. */
async function showAgain(before) {
	let event = before;
	try {
		const { events } = await ask(`/api/events?${new URLSearchParams({ id: before.id })}`);
		event = events[0] ?? before;
	} catch {
		// It is asked for again.
	}
	if (!find("show").open || find("show").dataset.id !== before.id) return;
	const changed = event.recording !== before.recording || event.going_on !== before.going_on
		|| event.clips.length !== before.clips.length;
	if (changed) describe(event);
	if (event.recording) watching = setTimeout(showAgain, AGAIN_MS, event);
}

function describe(event) {
	find("show").dataset.id = event.id;
	find("show-title").textContent = event.label;
	const media = event.clips.map((clip, number) => make("video", {
		src: addressOf(clip), controls: true, playsinline: true, preload: "metadata", poster: event.picture,
		"aria-label": `Clip ${number + 1} of ${event.clips.length}`,
	}));
	if (!media.length && event.picture) media.push(make("img", { src: event.picture, alt: `Best view: ${event.label}` }));
	const state = stateOf(event, media.length);
	if (state) media.push(make("p", { class: "hint" }, state));
	find("show-media").replaceChildren(...media);
	const facts = [
		["Began", timeOf(event.started)],
		["Took", event.going_on ? "ongoing" : duration(event.duration_s)],
		["Zones", event.zones.join(", ") || "none"],
		["Score", `${Math.round(event.score * 100)} %`],
		["Protected", event.kept ? "yes" : "no"],
		["Id", event.id],
	];
	find("show-facts").replaceChildren(...facts.flatMap(([name, value]) =>
		[make("dt", {}, name), make("dd", {}, value)]));
}

/** The address of a clip, from where in it the event begins. */
function addressOf(clip) {
	const start = Math.max(0, clip.offset_s - LEAD_S);
	return start ? `${clip.url}#t=${start.toFixed(1)}` : clip.url;
}

/** What of an event is still to come, in words. */
function stateOf(event, shown) {
	if (event.recording && event.going_on) return "The event is ongoing; its clip appears here once it is written.";
	if (event.recording) return "The clip of this event is being written and appears here within half a minute.";
	return shown ? null : "This event has no clip and no image.";
}

/** An event began, changed or ended: change its card, or offer to show it. */
export function hear(event) {
	if (find("page-events").hidden) return;
	const old = [...find("gallery").children].find((child) => child.dataset.id === event.id);
	if (!recorded && old) old.replaceWith(card(event));
	else if (!recorded && !narrowed()) {
		find("gallery").prepend(card(event));
		find("no-events").hidden = true;
	} else if (!old) find("newer").hidden = false;
}

function narrowed() {
	return [...new FormData(find("filter")).values()].some(Boolean);
}
