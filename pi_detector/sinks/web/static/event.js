// One event: its clip from where it begins, its best frame with the way it went, and what to do.

import { ask, clockWithSeconds, colourOf, dayName, dot, duration, find, fullTime, icon, make, makeSvg, timeOf } from "./dom.js";
import * as review from "./review.js";
import * as store from "./store.js";
import { offerUndo, say } from "./toast.js";
import { capital, t } from "./words.js";

const LEAD_S = 1; // a clip is shown from so long before its event
const AGAIN_MS = 3000;
const LINKS = [["event-back", "back"], ["event-newer", "back"], ["event-older", "next"]];
const ACTIONS = [["event-keep", "keep"], ["event-download", "download"], ["event-share", "share"], ["event-delete", "bin"]];

let id = null;
let event = null;
let view = "clip"; // or "frame"
let again = 0;
let navigate = () => null;
let clipAt = 0;

export function begin(go) {
	navigate = go;
	for (const [name, drawing] of [...LINKS, ...ACTIONS]) find(name).prepend(icon(drawing));
	find("event-keep").addEventListener("click", keep);
	find("event-share").addEventListener("click", share);
	find("event-delete").addEventListener("click", remove);
	for (const button of document.querySelectorAll("[data-shows]")) {
		button.addEventListener("click", () => { view = button.dataset.shows; draw(); });
	}
	addEventListener("keydown", key);
	store.subscribe(() => { if (id) drawBeside(); });
}

/** Show an event. */
export async function show(wanted) {
	if (wanted === id && event) return;
	hide();
	id = wanted;
	event = null;
	view = "clip";
	clipAt = 0;
	find("event-media").replaceChildren(make("div", { class: "blank" }));
	find("event-facts").replaceChildren();
	find("event-title").textContent = "";
	find("event-when").textContent = "";
	find("event-missing").hidden = true;
	find("event-body").hidden = false;
	find("event-keep").disabled = find("event-delete").disabled = true;
	scrollTo({ top: 0 });
	store.load();
	await fetchEvent();
}

export function hide() {
	clearTimeout(again);
	id = null;
	find("event-media").replaceChildren(); // ends playing
}

async function fetchEvent() {
	const wanted = id;
	let found;
	try {
		found = await ask(`/api/v1/events/${encodeURIComponent(wanted)}`);
	} catch (error) {
		if (id !== wanted) return;
		if (event) again = setTimeout(fetchEvent, AGAIN_MS); // it was here a moment ago
		else missing(error.message);
		return;
	}
	if (id !== wanted) return;
	const before = event;
	event = found;
	const changed = !before || ["recording", "going_on", "kept"].some((name) => before[name] !== found[name])
		|| before.clips.filter((clip) => clip.duration_s).length !== found.clips.filter((clip) => clip.duration_s).length
		|| before.duration_s !== found.duration_s;
	if (!before || changed) draw(before === null);
	drawBeside();
	if (found.going_on || found.recording) again = setTimeout(fetchEvent, AGAIN_MS);
	else if (!found.reviewed && store.recorded) store.review([id], true).catch(() => null);
}

function missing(message) {
	find("event-body").hidden = true;
	find("event-missing").hidden = false;
	find("event-missing-text").textContent = /no such event/.test(message)
		? t("This event is not here any more. It was deleted, or made room for newer ones.") : message;
}

function draw(first = true) {
	const name = capital(t(event.label));
	find("event-title").textContent = name;
	document.title = `${name} – pi-detector`;
	find("event-when").replaceChildren(`${capital(dayName(event.started))}, ${clockWithSeconds(event.started)}`);
	find("event-dot").replaceChildren(dot(colourOf(event.label), event.going_on));
	const playable = event.clips.some((clip) => clip.duration_s !== null);
	const framed = Boolean(event.clean ?? event.picture);
	find("views").hidden = !(playable && framed);
	const wanted = playable && (view === "clip" || !framed) ? "clip" : framed ? "frame" : "none";
	for (const button of document.querySelectorAll("[data-shows]")) button.setAttribute("aria-pressed", String(button.dataset.shows === wanted));
	const media = find("event-media");
	if (first || media.dataset.shown !== `${id} ${wanted}`) {
		media.dataset.shown = `${id} ${wanted}`;
		media.replaceChildren(wanted === "clip" ? player() : wanted === "frame" ? bestFrame() : stillImage());
	}
	find("event-state").textContent = stateOf(playable || framed);
	find("event-state").hidden = !find("event-state").textContent;
	facts();
	find("event-keep").setAttribute("aria-pressed", String(event.kept));
	find("event-keep").querySelector("span").textContent = t(event.kept ? "Kept" : "Keep");
	const done = store.recorded && !event.going_on && !event.recording;
	find("event-keep").disabled = find("event-delete").disabled = !done;
	download();
}

// --- what is shown

function player() {
	const clips = event.clips.filter((clip) => clip.duration_s !== null);
	const clip = clips[Math.min(clipAt, clips.length - 1)];
	const start = Math.max(0, clip.offset_s - LEAD_S);
	const video = make("video", {
		src: start ? `${clip.url}#t=${start.toFixed(1)}` : clip.url, controls: true, playsinline: true, preload: "auto",
		poster: event.clean ?? event.picture, "aria-label": t("Clip of the event"),
	});
	video.muted = true;
	video.autoplay = !matchMedia("(prefers-reduced-motion: reduce)").matches;
	if (clips.length > clipAt + 1) {
		video.addEventListener("ended", () => {
			clipAt += 1;
			video.replaceWith(player());
		});
	}
	return video;
}

function bestFrame() {
	const { width, height } = event.frame;
	const figure = make("figure", { class: "best" },
		make("img", { src: event.clean ?? event.picture, alt: t("Best frame of the event: {what}", { what: t(event.label) }) }));
	figure.style.setProperty("--aspect", width / height);
	if (!event.clean) return figure; // boxes are drawn into it already
	const [x1, y1, x2, y2] = event.best_box;
	const svg = makeSvg("svg", { viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true", class: "way" });
	svg.style.setProperty("--colour", colourOf(event.label));
	const box = { x: x1 * width, y: y1 * height, width: (x2 - x1) * width, height: (y2 - y1) * height, rx: width / 120 };
	svg.append(makeSvg("rect", { ...box, class: "rim" }), makeSvg("rect", { ...box, class: "line" }), ...way(width, height));
	figure.append(svg);
	return figure;
}

/** The way of the object: a line from a ring, where it appeared, to a point, where it was last. */
function way(width, height) {
	const points = event.track.map(([, x, y]) => [x * width, y * height]);
	if (points.length < 3) return [];
	const text = points.map((point) => point.map((each) => each.toFixed(1)).join(",")).join(" ");
	const at = (point, radius, kind) => makeSvg("circle", { cx: point[0], cy: point[1], r: (radius * width) / 1000, class: kind });
	return [makeSvg("polyline", { points: text, class: "rim" }), makeSvg("polyline", { points: text, class: "line" }),
		at(points[0], 8, "from"), at(points.at(-1), 9, "to")];
}

function stillImage() {
	const image = make("img", { src: store.thumbnailOf({ id, flags: event.going_on ? store.OPEN : 0, end: Date.now() }), alt: t("Best frame of the event: {what}", { what: t(event.label) }) });
	image.addEventListener("error", () => image.replaceWith(make("div", { class: "blank" })));
	return make("figure", { class: "best small" }, image);
}

/** What of an event is still to come, in words. */
function stateOf(visible) {
	if (event.recording && event.going_on) return t("Ongoing. The clip appears here once it is written.");
	if (event.going_on) return t("Ongoing.");
	if (event.recording) return t("The clip is being written and appears here within half a minute.");
	if (!store.recorded) return t("Events are not recorded: set recording.enabled = true for clips and images.");
	return visible ? "" : t("This event has no clip and no image.");
}

function facts() {
	const rows = [
		[t("Began"), timeOf(event.started)],
		[t("Lasted"), event.going_on ? t("ongoing") : duration(event.duration_s) + (event.interrupted ? ` (${t("interrupted")})` : "")],
		[t("Zones"), event.zones.join(", ") || t("none")],
		[t("Certainty"), `${Math.round(event.score * 100)} %`],
		[t("Id"), make("code", {}, event.id)],
	];
	find("event-facts").replaceChildren(...rows.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]));
	const words = { entered: "entered {name}", left: "left {name}", loitering: "loitering in {name}", in: "crossed {name} inwards", out: "crossed {name} outwards" };
	const steps = event.transitions.map(({ kind, name, time, dwell_s: dwell }) => {
		const more = dwell && kind !== "entered" ? ` · ${duration(dwell)}` : "";
		return make("li", {}, make("time", { datetime: time, title: fullTime(time) }, clockWithSeconds(time)), capital(t(words[kind], { name })) + more);
	});
	find("event-steps").replaceChildren(...steps);
	find("event-steps-card").hidden = steps.length === 0;
}

/** The events before and after it, and those of the same visit. */
function drawBeside() {
	const beside = review.neighbours(id) ?? { newer: event?.newer ?? null, older: event?.older ?? null, query: "" };
	for (const [name, other] of [["event-newer", beside.newer], ["event-older", beside.older]]) {
		if (other) find(name).setAttribute("href", `/events/${encodeURIComponent(other)}`);
		else find(name).removeAttribute("href");
		find(name).setAttribute("aria-disabled", String(!other));
	}
	find("event-back").setAttribute("href", `/review${beside.query}`);
	const others = (review.visitOf(id)?.events ?? []).filter((each) => each.id !== id).slice(0, 12);
	const list = find("event-visit");
	const text = others.map((each) => each.id + each.flags).join();
	if (list.dataset.shown === text) return;
	list.dataset.shown = text;
	find("event-visit-card").hidden = others.length === 0;
	list.replaceChildren(...others.map((each) => {
		const image = make("img", { src: store.thumbnailOf(each), alt: "", loading: "lazy" });
		image.addEventListener("error", () => image.classList.add("missing"));
		return make("li", {}, make("a", { href: `/events/${encodeURIComponent(each.id)}` }, image,
			make("span", {}, dot(colourOf(each.label), each.ongoing), " ", capital(t(each.label)))));
	}));
}

// --- what is done

async function keep() {
	if (!event) return;
	try {
		await store.keep(id, !event.kept);
		event.kept = !event.kept;
		draw(false);
		say(t(event.kept ? "Kept: it is not deleted by itself." : "No longer kept."));
	} catch (error) {
		say(error.message);
	}
}

function download() {
	const link = find("event-download");
	const url = event.clips.find((clip) => clip.duration_s !== null)?.url ?? event.clean ?? event.picture;
	link.setAttribute("aria-disabled", String(!url));
	if (!url) {
		link.removeAttribute("href");
		return;
	}
	link.href = url;
	const at = new Date(event.started);
	const two = (value) => String(value).padStart(2, "0");
	link.download = `${event.label}-${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}-${two(at.getHours())}${two(at.getMinutes())}${two(at.getSeconds())}${url.slice(url.lastIndexOf("."))}`;
}

async function share() {
	const url = `${location.origin}/events/${encodeURIComponent(id)}`;
	if (navigator.share) {
		await navigator.share({ title: `${capital(t(event.label))}, ${find("event-when").textContent}`, url }).catch(() => null);
		return;
	}
	if (navigator.clipboard) await navigator.clipboard.writeText(url).catch(() => copied(url));
	else copied(url);
	say(t("Link copied"));
}

/** Copy a text where the page has no access to the clipboard: without encryption. */
function copied(text) {
	const field = make("textarea", { class: "unseen", "aria-hidden": "true" });
	field.value = text;
	document.body.append(field);
	field.select();
	document.execCommand("copy");
	field.remove();
}

function remove() {
	if (!event) return;
	const gone = id;
	const beside = review.neighbours(gone) ?? { newer: event.newer, older: event.older, query: "" };
	const next = beside.older ?? beside.newer;
	store.hide(gone, true);
	navigate(next ? `/events/${encodeURIComponent(next)}` : `/review${beside.query}`, { replace: true });
	offerUndo(t("Event deleted"), (leaving) => store.remove(gone, leaving).catch((error) => {
		store.hide(gone, false);
		say(error.message);
	}), () => {
		store.hide(gone, false);
		navigate(`/events/${encodeURIComponent(gone)}`, { replace: true });
	});
}

function key(pressed) {
	if (!id || pressed.ctrlKey || pressed.metaKey || pressed.altKey) return;
	if (pressed.target.closest("input, textarea, select, video")) return;
	const name = { ArrowLeft: "event-newer", ArrowRight: "event-older", k: "event-keep" }[pressed.key];
	if (name && !find("page-event").hidden) find(name).click();
}
