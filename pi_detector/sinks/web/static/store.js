// All events that the page knows: listed once, then kept up to date by the live connection.

import { ask, send } from "./dom.js";

export const KEPT = 1;
export const REVIEWED = 2;
export const OPEN = 4;

const STALE_MS = 60_000;
const known = new Map();
const hidden = new Set();
const listeners = new Set();
let sorted = [];
let loading = null;
let loaded_ms = 0;
let earlier = null;
export let recorded = true;
export let failure = null;

/** Call `listener` with the new event, or null, whenever an event is added or changed. */
export function subscribe(listener) {
	listeners.add(listener);
}

function changed(event = null, inOrder = false) {
	if (!inOrder) sorted = null;
	for (const listener of listeners) listener(event);
}

/** The events, the latest start first. */
export function all() {
	sorted ??= [...known.values()].filter((event) => !hidden.has(event.id)).sort((a, b) => b.start - a.start);
	return sorted;
}

export const get = (id) => known.get(id);
export const isLoaded = () => loaded_ms > 0;

/** Ask for the list, where it is not there or old. */
export function load() {
	if (loading) return loading;
	if (loaded_ms && Date.now() - loaded_ms < STALE_MS) return Promise.resolve();
	loading = fetchList().finally(() => { loading = null; });
	return loading;
}

async function fetchList() {
	try {
		const list = await ask("/api/v1/review");
		const open = [...known.values()].filter((event) => event.ongoing);
		known.clear();
		take(list);
		for (const event of list.recorded ? open : []) if (!known.has(event.id)) known.set(event.id, event);
		({ recorded, earlier } = list);
		loaded_ms = Date.now();
		failure = null;
	} catch (error) {
		failure = error.message;
	}
	changed();
}

/** Ask for events before those of the list, if there are any. */
export async function loadEarlier() {
	if (earlier === null || loading) return;
	const before = earlier;
	earlier = null;
	const list = await ask(`/api/v1/review?before=${before}`).catch(() => null);
	if (list === null) {
		earlier = before;
		return;
	}
	take(list);
	({ earlier } = list);
	changed();
}

function take({ id, label, labels, zone, zones, started_ms, duration_ms, flags }) {
	for (let at = 0; at < id.length; at += 1) {
		const old = known.get(id[at]);
		const start = started_ms[at];
		known.set(id[at], {
			id: id[at], label: labels[label[at]], zones: zones[zone[at]], start, end: start + duration_ms[at],
			flags: flags[at], ongoing: old?.ongoing ?? false,
		});
	}
}

/** An event began, changed or ended, as the server sends it. */
export function hear(card) {
	const old = known.get(card.id);
	const start = Date.parse(card.started);
	const event = {
		id: card.id, label: card.label, zones: card.zones, start, end: start + card.duration_s * 1000,
		flags: (old?.flags ?? 0) & ~OPEN | (card.going_on ? OPEN : 0), ongoing: card.going_on,
		stationary: card.stationary,
	};
	if (old) Object.assign(old, event); // it stays where it is in the list
	else known.set(card.id, event);
	changed(old ? null : event, Boolean(old));
}

function flag(ids, bit, on) {
	for (const id of ids) {
		const event = known.get(id);
		if (event) event.flags = on ? event.flags | bit : event.flags & ~bit;
	}
	changed(null, true);
}

/** Protect an event from being deleted by itself, or no longer. */
export async function keep(id, on) {
	await send(`/api/v1/events/${encodeURIComponent(id)}`, "PATCH", { kept: on });
	flag([id], KEPT, on);
}

const MOST_MARKED = 2000; // per request

/** Mark events as reviewed, or no longer. */
export async function review(ids, on) {
	flag(ids, REVIEWED, on);
	if (!recorded) return;
	for (let at = 0; at < ids.length; at += MOST_MARKED) {
		await send("/api/v1/review", "POST", { ids: ids.slice(at, at + MOST_MARKED), reviewed: on });
	}
}

/** Take an event out of all lists, until it is shown again or really deleted. */
export function hide(id, on) {
	if (on) hidden.add(id);
	else hidden.delete(id);
	changed();
}

/** Delete an event for good. */
export async function remove(id, leaving) {
	await ask(`/api/v1/events/${encodeURIComponent(id)}`, { method: "DELETE", keepalive: leaving });
	known.delete(id);
}

/** Where an event's picture is; that of an ongoing one changes. */
export function thumbnailOf(event) {
	const refresh = event.flags & OPEN ? `?${Math.round(event.end / 1000)}` : "";
	return `/api/v1/events/${encodeURIComponent(event.id)}/thumbnail.jpg${refresh}`;
}
