// What Review shows of the events: those that pass the filters, grouped into visits.

import { KEPT, REVIEWED } from "./store.js";
import { t } from "./words.js";

const APART_MS = 8000; // events this close belong together
const REACH_MS = 120_000; // what stands for hours joins nothing to its visit after this long
const LONGEST_VISIT_MS = 30 * 60_000;

export const TIMES = {
	night: { name: "Night", from: 22, to: 6 },
	morning: { name: "Morning", from: 6, to: 12 },
	afternoon: { name: "Afternoon", from: 12, to: 18 },
	evening: { name: "Evening", from: 18, to: 22 },
};

// The event that a visit is about, first.
const RANK = ["person", "dog", "cat", "horse", "bird", "bicycle", "motorcycle", "car", "truck", "bus"];
const rank = (label) => (RANK.indexOf(label) + 1 || RANK.length + 1);

/** The filters in an address. */
export function filtersOf(query) {
	return {
		labels: query.getAll("label"), zones: query.getAll("zone"),
		times: query.getAll("time").filter((name) => Object.hasOwn(TIMES, name)),
		kept: query.has("kept"), fresh: query.has("new"), text: query.get("q") ?? "",
	};
}

/** The query of an address that has these filters; empty for none. */
export function queryOf(filters) {
	const query = new URLSearchParams();
	for (const label of filters.labels) query.append("label", label);
	for (const zone of filters.zones) query.append("zone", zone);
	for (const time of filters.times) query.append("time", time);
	if (filters.kept) query.set("kept", "");
	if (filters.fresh) query.set("new", "");
	if (filters.text) query.set("q", filters.text);
	return query.toString() ? `?${query}` : "";
}

const plain = (text) => text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();

/** The events that pass, in their order. */
export function filtered(events, { labels, zones, times, kept, fresh, text }) {
	const words = plain(text).split(/\s+/).filter(Boolean);
	const hours = times.map((name) => TIMES[name]);
	const texts = new Map();
	const textOf = (event) => {
		const key = `${event.label}\n${event.zones.join("\n")}`;
		if (!texts.has(key)) texts.set(key, plain(`${key} ${t(event.label)}`));
		return texts.get(key);
	};
	return events.filter((event) =>
		(!labels.length || labels.includes(event.label))
		&& (!zones.length || event.zones.some((zone) => zones.includes(zone)))
		&& (!kept || event.flags & KEPT)
		&& (!fresh || !(event.flags & REVIEWED))
		&& (!hours.length || hours.some(({ from, to }) => within(new Date(event.start).getHours(), from, to)))
		&& (!words.length || words.every((word) => textOf(event).includes(word) || event.id.toLowerCase().includes(word))));
}

function within(hour, from, to) {
	return from < to ? hour >= from && hour < to : hour >= from || hour < to;
}

/** Events, the latest first, as visits, the latest first. */
export function visitsOf(events) {
	const visits = [];
	let visit = null;
	for (let at = events.length - 1; at >= 0; at -= 1) {
		const event = events[at];
		const reach = Math.min(event.end, event.start + REACH_MS);
		const joins = visit !== null && event.start <= visit.reach + APART_MS
			&& event.start - visit.start < LONGEST_VISIT_MS
			&& new Date(event.start).getDate() === new Date(visit.start).getDate();
		if (joins) {
			visit.events.push(event);
			visit.reach = Math.max(visit.reach, reach);
		} else {
			visit = { start: event.start, reach, events: [event] };
			visits.push(visit);
		}
	}
	for (const each of visits) finish(each);
	return visits.reverse();
}

function finish(visit) {
	visit.end = Math.max(...visit.events.map((event) => event.end));
	visit.ongoing = visit.events.some((event) => event.ongoing);
	visit.fresh = visit.events.some((event) => !(event.flags & REVIEWED));
	visit.kept = visit.events.some((event) => event.flags & KEPT);
	const byRank = [...visit.events].sort((a, b) =>
		rank(a.label) - rank(b.label) || (b.end - b.start) - (a.end - a.start));
	[visit.lead] = byRank;
	visit.others = byRank.slice(1);
	visit.labels = [...new Set(byRank.map((event) => event.label))];
	visit.zones = [...new Set(byRank.flatMap((event) => event.zones))];
}
