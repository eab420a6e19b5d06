// What all views share: elements, requests, times, colours.

import { count, LOCALE, number, t } from "./words.js";

export const find = (id) => document.getElementById(id);

/** An element with attributes and children; `on…` attributes are listeners. */
export function make(tag, attributes = {}, ...children) {
	return fill(document.createElement(tag), attributes, children);
}

/** The same of SVG. */
export function makeSvg(tag, attributes = {}, ...children) {
	return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function fill(element, attributes, children) {
	for (const [name, value] of Object.entries(attributes)) {
		if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
		else if (value === true) element.setAttribute(name, "");
		else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value);
	}
	element.append(...children.filter((child) => child !== null));
	return element;
}

/** The answer of the server, from JSON. Throws an Error whose message is meant to be shown. */
export async function ask(path, options = {}) {
	let response;
	try {
		response = await fetch(path, options);
	} catch {
		throw new Error(t("pi-detector does not answer"));
	}
	const answer = await response.json().catch(() => ({}));
	if (response.status === 401) location.assign(`/login?next=${encodeURIComponent(location.pathname)}`);
	if (!response.ok) throw new Error(answer.error ?? `${response.status} ${response.statusText}`);
	return answer;
}

/** Send JSON. Throws as `ask` does. */
export function send(path, method, body, options = {}) {
	return ask(path, {
		method, headers: { "Content-Type": "application/json" }, body: JSON.stringify(body), ...options,
	});
}

const CLOCK = new Intl.DateTimeFormat(LOCALE, { hour: "2-digit", minute: "2-digit" });
const CLOCK_S = new Intl.DateTimeFormat(LOCALE, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const DAY = new Intl.DateTimeFormat(LOCALE, { weekday: "long", day: "numeric", month: "long" });
const FULL = new Intl.DateTimeFormat(LOCALE, { dateStyle: "full", timeStyle: "medium" });

export const clock = (at) => CLOCK.format(new Date(at));
export const clockWithSeconds = (at) => CLOCK_S.format(new Date(at));
export const fullTime = (at) => FULL.format(new Date(at));

export function startOfDay(at) {
	const day = new Date(at);
	return new Date(day.getFullYear(), day.getMonth(), day.getDate());
}

/** The name of a day: "Today", "Yesterday", else weekday and date. */
export function dayName(at) {
	const days = Math.round((startOfDay(Date.now()) - startOfDay(at)) / 86_400_000);
	if (days === 0) return t("Today");
	return days === 1 ? t("Yesterday") : DAY.format(new Date(at));
}

/** A `time` element: of today the time, else the day too. */
export function timeOf(at) {
	const today = startOfDay(at).getTime() === startOfDay(Date.now()).getTime();
	return make("time", { datetime: new Date(at).toISOString(), title: fullTime(at) },
		today ? clock(at) : `${dayName(at)}, ${clock(at)}`);
}

export function duration(seconds) {
	const whole = Math.round(seconds);
	if (whole < 60) return t("{s} s", { s: number(Math.max(1, whole)) });
	if (whole < 3600) return t(whole % 60 && whole < 600 ? "{m} min {s} s" : "{m} min", { m: Math.floor(whole / 60), s: whole % 60 });
	const minutes = Math.floor((whole % 3600) / 60);
	return t(minutes ? "{h} h {m} min" : "{h} h", { h: Math.floor(whole / 3600), m: minutes });
}

export function eventsIn(n) {
	return count(n, "1 event", "{n} events");
}

// Far apart in hue and lightness; each readable as a dot on white and on black.
const COLOURS = {
	person: "#f2417b", bicycle: "#14a98b", car: "#3f8ef5", motorcycle: "#9a6bf2", bus: "#e09a00",
	truck: "#ee6c2c", bird: "#12a8c4", cat: "#d457bd", dog: "#7f9f12", horse: "#ab7a48",
};

/** The colour of a class, everywhere on the page. */
export function colourOf(text) {
	if (Object.hasOwn(COLOURS, text)) return COLOURS[text];
	let sum = 7;
	for (const letter of text) sum = (sum * 31 + letter.codePointAt(0)) % 9973;
	return `hsl(${(sum * 137) % 360} 65% 52%)`;
}

export function dot(colour, ongoing = false) {
	const element = make("span", { class: ongoing ? "dot ongoing" : "dot", "aria-hidden": "true" });
	element.style.background = colour;
	return element;
}

const ICONS = {
	camera: "M4 8h3l1.5-2.5h7L17 8h3v11H4zM12 16.5a3.2 3.2 0 1 0 0-6.4 3.2 3.2 0 0 0 0 6.4z",
	boxes: "M4 8V4h4M16 4h4v4M20 16v4h-4M8 20H4v-4M9 9h6v6H9z",
	full: "M4 9V4h5M15 4h5v5M20 15v5h-5M9 20H4v-5",
	back: "M14 6l-6 6 6 6", next: "M10 6l6 6-6 6",
	keep: "M12 4l2.5 5.2 5.5.8-4 4 1 5.7-5-2.7-5 2.7 1-5.7-4-4 5.5-.8z",
	download: "M12 4v11M7.5 11l4.5 4.5 4.5-4.5M5 20h14",
	share: "M12 15V4M8 7.5L12 3.5l4 4M6 12v8h12v-8",
	bin: "M5 7h14M10 7V4.5h4V7M7 7l.8 13h8.4L17 7M10.5 11v5.5M13.5 11v5.5",
	search: "M11 17a6 6 0 1 0 0-12 6 6 0 0 0 0 12zM15.5 15.5L20 20",
	check: "M5 12.5l4.5 4.5L19 7.5", up: "M12 19V6M6.5 11.5L12 6l5.5 5.5",
	live: "M4 7h11v10H4zM15 11l5-3v8l-5-3z",
	review: "M5 5h6v6H5zM13 5h6v6h-6zM5 13h6v6H5zM13 13h6v6h-6z",
	zones: "M5 8l8-3 6 6-4 8-9-2z",
	settings: "M5 7h8M17 7h2M5 12h2M11 12h8M5 17h6M15 17h4M15 5v4M9 10v4M13 15v4",
	pause: "M9 6v12M15 6v12", play: "M8 5.5l10 6.5-10 6.5z",
};

/** A drawing for a button that has a name in words. */
export function icon(name) {
	return makeSvg("svg", { viewBox: "0 0 24 24", class: "icon", "aria-hidden": "true", focusable: "false" },
		makeSvg("path", { d: ICONS[name] }));
}
