// Review: what happened, as visits, with filters, and a timeline to move by.

import { clock, colourOf, dayName, dot, duration, eventsIn, find, icon, make, startOfDay } from "./dom.js";
import { Grid } from "./grid.js";
import { attachPreview } from "./preview.js";
import * as store from "./store.js";
import * as timeline from "./timeline.js";
import { say } from "./toast.js";
import { filtered, filtersOf, queryOf, TIMES, visitsOf } from "./visits.js";
import { capital, count, number, t } from "./words.js";

const MOST_CROPS = 3;
const TYPED_MS = 150;
const SOON_MS = 30;
const UPDATE_MS = 1000;

let grid = null;
let filters = filtersOf(new URLSearchParams());
let visible = false;
let visits = [];
let shown = []; // events that pass
let waiting = new Set(); // new events that came while the user reads further down
let scrolled = 0;
let navigate = () => null;
let typing = 0;
let drawing = 0;

export function begin(go) {
	navigate = go;
	grid = new Grid(find("visits"), {
		cardOf: card, headingOf: heading, onMove: (visit) => timeline.follow(visit.start), onEnd: () => store.loadEarlier(),
	});
	timeline.begin((at) => grid.scrollTo((visit) => visit.start <= at));
	find("search").addEventListener("input", () => {
		clearTimeout(typing);
		typing = setTimeout(() => change({ text: find("search").value.trim() }), TYPED_MS);
	});
	find("search-form").addEventListener("submit", (event) => event.preventDefault());
	find("search-form").prepend(icon("search"));
	find("newer").addEventListener("click", showNewer);
	find("newer").prepend(icon("up"));
	find("mark-all").addEventListener("click", markAll);
	find("mark-all").prepend(icon("check"));
	find("clear").addEventListener("click", () => change(filtersOf(new URLSearchParams())));
	new ResizeObserver(([{ target }]) => {
		find("visits").style.setProperty("--covered", `${target.offsetHeight + (Number.parseFloat(getComputedStyle(target).top) || 0)}`);
	}).observe(find("review-head"));
	store.subscribe(heard);
}

/** Show the view with the filters of an address. */
export function show(query, returning) {
	visible = true;
	grid.active = true;
	filters = filtersOf(query);
	if (find("search").value.trim() !== filters.text) find("search").value = filters.text;
	store.load();
	draw();
	scrollTo({ top: returning ? scrolled : 0 });
}

export function hide() {
	if (visible) scrolled = scrollY;
	visible = false;
	if (grid) grid.active = false;
}

/** The events beside one, as the list has them now. */
export function neighbours(id) {
	const at = shown.findIndex((event) => event.id === id);
	return at < 0 ? null : { newer: shown[at - 1]?.id ?? null, older: shown[at + 1]?.id ?? null, query: queryOf(filters) };
}

/** The visit that an event is part of; null where the list has none. */
export function visitOf(id) {
	return visits.find((visit) => visit.events.some((event) => event.id === id)) ?? null;
}

function heard(event) {
	if (event && visible && scrollY > 200 && filtered([event], filters).length) waiting.add(event.id);
	// Many changes are drawn at once: grouping thousands of events again takes a while.
	if (!drawing) drawing = setTimeout(() => { drawing = 0; draw(); }, event || !store.isLoaded() ? SOON_MS : UPDATE_MS);
}

function draw() {
	const events = store.all();
	shown = filtered(events, filters);
	const listed = waiting.size ? shown.filter((event) => !waiting.has(event.id)) : shown;
	visits = visitsOf(listed);
	// Not what the live connection sent before the list came: it would be shown for a moment alone.
	if (!visible || document.hidden || (!store.isLoaded() && !store.failure)) return;
	for (const visit of visits) visit.key = keyOf(visit);
	timeline.show(filters.text || hasFilters() ? shown : events);
	grid.show(daysOf(visits));
	drawChips(events);
	drawHints(events);
	find("newer").hidden = waiting.size === 0;
	find("newer-text").textContent = count(waiting.size, "1 new", "{n} new");
}

const hasFilters = () => filters.labels.length + filters.zones.length + filters.times.length > 0 || filters.kept || filters.fresh;

function keyOf(visit) {
	return visit.events.map(({ id, flags, ongoing, end, zones }) =>
		`${id}${flags}${ongoing ? Math.round(end / 5000) : ""}${zones.length}`).join();
}

function daysOf(all) {
	const days = [];
	for (const visit of all) {
		const at = startOfDay(visit.start).getTime();
		if (days.at(-1)?.key !== at) days.push({ key: at, items: [] });
		days.at(-1).items.push(visit);
	}
	return days;
}

function heading({ key, items }) {
	const events = items.reduce((sum, visit) => sum + visit.events.length, 0);
	return make("h3", {}, capital(dayName(key)), " ", make("small", {}, `${count(items.length, "1 visit", "{n} visits")} · ${eventsIn(events)}`));
}

function card(visit) {
	const { lead, others } = visit;
	const names = visit.labels.map((label) => t(label)).join(", ");
	const seconds = (visit.end - visit.start) / 1000;
	const about = [...(visit.zones.length ? [visit.zones.join(", ")] : []), visit.ongoing ? t("here now") : duration(seconds)].join(" · ");
	const image = picture(lead);
	const crops = others.slice(0, MOST_CROPS).map((event) => picture(event));
	const left = others.length - crops.length;
	const link = make("a", {
		class: `visit${visit.fresh && store.recorded ? " fresh" : ""}`, href: `/events/${encodeURIComponent(lead.id)}`, "data-id": lead.id,
	},
	make("span", { class: "shot" }, image,
		visit.ongoing ? make("span", { class: "badge" }, t("now")) : null,
		visit.kept ? make("span", { class: "badge kept", title: t("Kept") }, icon("keep"), make("span", { class: "unseen" }, t("Kept"))) : null,
		crops.length ? make("span", { class: "crops" }, ...crops, left > 0 ? make("span", { class: "left" }, `+${number(left)}`) : null) : null),
	make("span", { class: "caption" },
		make("strong", {}, capital(names)), make("time", { datetime: new Date(visit.start).toISOString() }, clock(visit.start)),
		make("span", { class: "about" }, make("span", { class: "dots" }, ...visit.labels.map((label) => dot(colourOf(label), visit.ongoing))), about),
		visit.fresh && store.recorded ? make("span", { class: "unseen" }, t("Not reviewed")) : null));
	attachPreview(link, lead);
	return link;
}

function picture(event) {
	const image = make("img", { src: store.thumbnailOf(event), alt: "", decoding: "async" });
	image.addEventListener("error", () => image.classList.add("missing"));
	return image;
}

// --- filters

function change(changes) {
	navigate(`/review${queryOf({ ...filters, ...changes })}`, { replace: "text" in changes && filters.text !== "" && changes.text !== "" });
}

function toggled(list, value) {
	return list.includes(value) ? list.filter((each) => each !== value) : [...list, value];
}

function drawChips(events) {
	const labels = counted(events.map((event) => event.label), filters.labels);
	const zones = counted(events.flatMap((event) => event.zones), filters.zones);
	const chips = [
		...(store.recorded ? [chip("new", t("Not reviewed"), filters.fresh, () => change({ fresh: !filters.fresh }))] : []),
		...labels.map(([label, n]) => chip(`label ${label}`, capital(t(label)), filters.labels.includes(label),
			() => change({ labels: toggled(filters.labels, label) }), dot(colourOf(label)), n)),
		...zones.map(([zone, n]) => chip(`zone ${zone}`, zone, filters.zones.includes(zone),
			() => change({ zones: toggled(filters.zones, zone) }), icon("zones"), n)),
		...Object.entries(TIMES).map(([key, { name }]) => chip(`time ${key}`, t(name), filters.times.includes(key),
			() => change({ times: toggled(filters.times, key) }))),
		...(store.recorded ? [chip("kept", t("Kept"), filters.kept, () => change({ kept: !filters.kept }), icon("keep"))] : []),
	];
	const text = chips.map((each) => each.outerHTML).join("");
	const bar = find("chips");
	if (bar.dataset.shown === text) return;
	bar.dataset.shown = text;
	const focused = bar.contains(document.activeElement) ? document.activeElement.dataset.key : null;
	bar.replaceChildren(...chips);
	if (focused) bar.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
}

function counted(values, chosen) {
	const counts = new Map(chosen.map((value) => [value, 0]));
	for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
	return [...counts].sort(([, one], [, other]) => other - one);
}

function chip(key, name, on, onclick, before = null, n = null) {
	return make("button", { type: "button", class: "chip", "aria-pressed": String(on), "data-key": key, onclick }, before, name,
		n === null ? null : make("small", {}, number(n)));
}

function drawHints(events) {
	const filtering = hasFilters() || filters.text !== "";
	find("clear").hidden = !filtering;
	find("mark-all").hidden = !store.recorded || !shown.some((event) => !(event.flags & store.REVIEWED));
	find("not-recorded").hidden = store.recorded || !store.isLoaded();
	const empty = visits.length === 0 && store.isLoaded();
	find("no-events").hidden = !empty && !store.failure;
	find("no-events").textContent = store.failure ?? (filtering && events.length
		? t("No event passes these filters.") : t("Nothing has happened yet. Events appear here as they begin."));
	find("visits").classList.toggle("waiting", !store.isLoaded() && !store.failure);
}

function showNewer() {
	waiting = new Set();
	draw();
	scrollTo({ top: 0, behavior: "smooth" });
}

async function markAll() {
	const ids = shown.filter((event) => !(event.flags & store.REVIEWED)).map((event) => event.id);
	try {
		await store.review(ids, true);
		say(count(ids.length, "1 event marked as reviewed", "{n} events marked as reviewed"));
	} catch (error) {
		say(error.message);
	}
}

addEventListener("scroll", () => {
	if (visible && waiting.size && scrollY < 40) {
		waiting = new Set();
		draw();
	}
}, { passive: true });
