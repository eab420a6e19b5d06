// What all parts of the page share: elements, requests, words.

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
		throw new Error("pi-detector does not answer");
	}
	const answer = await response.json().catch(() => ({}));
	if (response.status === 401) location.assign("/login");
	if (!response.ok) throw new Error(answer.error ?? `${response.status} ${response.statusText}`);
	return answer;
}

const CLOCK = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
const MOMENT = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

/** A `time` element: of today the time, else the day too. */
export function timeOf(text) {
	const at = new Date(text);
	const today = at.toDateString() === new Date().toDateString();
	return make("time", { datetime: text, title: MOMENT.format(at) }, (today ? CLOCK : MOMENT).format(at));
}

export function duration(seconds) {
	if (seconds < 60) return `${Math.round(seconds)}\u00a0s`;
	if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
	return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
}

/** A colour of a text, the same each time. */
export function colourOf(text) {
	let sum = 7;
	for (const letter of text) sum = (sum * 31 + letter.codePointAt(0)) % 9973;
	return `hsl(${(sum * 137) % 360} 75% 60%)`;
}

export function dot(colour, goingOn = false) {
	const element = make("span", { class: goingOn ? "dot going-on" : "dot", "aria-hidden": "true" });
	element.style.background = colour;
	return element;
}

/** What is said about an event, beside its label and time. */
export function about(event) {
	const after = `after ${duration(event.duration_s)}`;
	const words = [event.going_on ? "here" : event.interrupted ? `interrupted ${after}` : `gone ${after}`];
	if (event.stationary && event.going_on) words.push("stationary");
	if (event.zones.length) words.push(event.zones.join(", "));
	words.push(`${Math.round(event.score * 100)}\u00a0%`);
	return words.join(" · ");
}
