// The days and the hours of Review: how much happened when, by class; and where the list stands.

import { clock, colourOf, dayName, eventsIn, find, make, startOfDay } from "./dom.js";
import { capital, LOCALE, t } from "./words.js";

const MOST_DAYS = 90;
const SLOTS = 48; // half hours
const SLOT_MS = 30 * 60_000;
const WEEKDAY = new Intl.DateTimeFormat(LOCALE, { weekday: "narrow" });
const DATE = new Intl.DateTimeFormat(LOCALE, { day: "numeric" });
const MONTH = new Intl.DateTimeFormat(LOCALE, { month: "short" });
const HOUR = new Intl.DateTimeFormat(LOCALE, { hour: "numeric" });

let days = [];
let day = null;
let slot = SLOTS - 1;
let jump = () => null;
let jumped = null; // where the page was scrolled to by the last choice

/** `jumpTo(at)` is called where the user chooses a time. */
export function begin(jumpTo) {
	jump = jumpTo;
	const hours = find("hours");
	hours.addEventListener("pointerdown", (event) => {
		hours.setPointerCapture(event.pointerId);
		scrub(event);
	});
	hours.addEventListener("pointermove", (event) => {
		if (hours.hasPointerCapture(event.pointerId)) scrub(event);
	});
	hours.addEventListener("keydown", key);
	find("hour-names").replaceChildren(...[0, 6, 12, 18].map((hour) =>
		make("span", {}, HOUR.format(new Date(2024, 0, 1, hour)))));
}

function scrub(event) {
	const box = find("hours").getBoundingClientRect();
	choose(Math.floor(((event.clientX - box.left) / box.width) * SLOTS));
}

function key(event) {
	const step = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -4, PageUp: 4, Home: -SLOTS, End: SLOTS }[event.key];
	if (!step) return;
	event.preventDefault();
	choose(slot + step);
}

function choose(wanted) {
	slot = Math.max(0, Math.min(SLOTS - 1, wanted));
	mark();
	if (day) go(slot + 1);
}

/** Have the list show what was before a half hour. */
function go(before) {
	jump(Math.min(timeOfSlot(before), Date.now()) - 1);
	jumped = scrollY;
}

function timeOfSlot(number) {
	const at = new Date(day.at);
	return new Date(at.getFullYear(), at.getMonth(), at.getDate(), 0, number * 30).getTime();
}

/** Show the density of these events, the latest first. */
export function show(events) {
	const byDay = new Map();
	for (const event of events) {
		const at = startOfDay(event.start).getTime();
		if (!byDay.has(at)) byDay.set(at, []);
		byDay.get(at).push(event);
	}
	const today = startOfDay(Date.now());
	const oldest = events.length ? startOfDay(events.at(-1).start) : today;
	days = [];
	for (let back = 0; back < MOST_DAYS; back += 1) {
		const at = new Date(today.getFullYear(), today.getMonth(), today.getDate() - back);
		if (at < oldest && back >= 7) break;
		days.unshift({ at: at.getTime(), events: byDay.get(at.getTime()) ?? [] });
	}
	const chosen = day?.at;
	day = days.find((each) => each.at === chosen) ?? days.at(-1);
	drawDays();
	drawHours();
}

/** The list shows this time: mark it. */
export function follow(at) {
	// The first visit of a row is later than the one that was chosen: the choice stays.
	if (jumped !== null && Math.abs(scrollY - jumped) < 2) return;
	jumped = null;
	const wanted = startOfDay(at).getTime();
	slot = Math.floor((at - wanted) / SLOT_MS);
	if (day?.at !== wanted) {
		day = days.find((each) => each.at === wanted) ?? day;
		markDay();
		drawHours();
	}
	mark();
}

function drawDays() {
	const most = Math.max(4, ...days.map((each) => each.events.length));
	const list = find("days");
	const wasAtEnd = list.scrollLeft + list.clientWidth >= list.scrollWidth - 4 || !list.childElementCount;
	const focused = list.contains(document.activeElement) ? document.activeElement.dataset.at : null;
	list.replaceChildren(...days.map((each, at) => {
		const date = new Date(each.at);
		const first = at === 0 || date.getDate() === 1;
		return make("li", {}, make("button", {
			type: "button", "data-at": each.at, "aria-label": `${dayName(each.at)}: ${eventsIn(each.events.length)}`, onclick: () => pick(each),
		}, bars(each.events, most), make("span", { class: "weekday" }, first ? MONTH.format(date) : WEEKDAY.format(date)), make("span", { class: "date" }, DATE.format(date))));
	}));
	markDay();
	if (wasAtEnd) list.scrollLeft = list.scrollWidth;
	if (focused) list.querySelector(`[data-at="${focused}"]`)?.focus();
}

function pick(chosen) {
	day = chosen;
	slot = SLOTS - 1;
	markDay();
	drawHours();
	go(SLOTS);
}

function markDay() {
	for (const button of find("days").querySelectorAll("button")) {
		if (Number(button.dataset.at) === day?.at) {
			button.setAttribute("aria-current", "date");
			const list = find("days");
			const left = button.offsetLeft - list.offsetLeft;
			if (left < list.scrollLeft || left + button.offsetWidth > list.scrollLeft + list.clientWidth) {
				list.scrollLeft = left - list.clientWidth / 2;
			}
		} else button.removeAttribute("aria-current");
	}
}

function drawHours() {
	const slots = Array.from({ length: SLOTS }, () => []);
	for (const event of day?.events ?? []) {
		const at = new Date(event.start);
		slots[at.getHours() * 2 + (at.getMinutes() >= 30 ? 1 : 0)].push(event);
	}
	const most = Math.max(3, ...slots.map((each) => each.length));
	find("hour-bars").replaceChildren(...slots.map((each) => bars(each, most)));
	find("day-name").textContent = day ? capital(dayName(day.at)) : "";
	find("day-count").textContent = day ? eventsIn(day.events.length) : "";
	find("hours").slots = slots;
	mark();
}

function mark() {
	const hours = find("hours");
	find("hour-cursor").style.left = `${((slot + 0.5) / SLOTS) * 100}%`;
	if (!day) return;
	hours.setAttribute("aria-valuenow", slot);
	hours.setAttribute("aria-valuetext", `${clock(timeOfSlot(slot))}: ${eventsIn(hours.slots?.[slot]?.length ?? 0)}`);
}

/** A bar, as high as there are events, with a part for each class. */
function bars(events, most) {
	const counts = new Map();
	for (const { label } of events) counts.set(label, (counts.get(label) ?? 0) + 1);
	const parts = [...counts].sort(([one], [other]) => one.localeCompare(other)).map(([label, n]) => {
		const part = make("span");
		part.style.flexGrow = n;
		part.style.background = colourOf(label);
		return part;
	});
	const bar = make("span", { class: "stack" }, ...parts);
	bar.style.height = events.length ? `${Math.max(8, Math.sqrt(events.length / most) * 100)}%` : "0";
	return make("span", { class: "bar-room", "aria-hidden": "true" }, bar);
}
