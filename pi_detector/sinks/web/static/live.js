// The live view: the frame, what is in it, and one line about it.

import * as device from "./device.js";
import { ask, clock, dayName, dot, colourOf, duration, find, icon, make, startOfDay, timeOf } from "./dom.js";
import { drawBoxes } from "./overlay.js";
import * as store from "./store.js";
import { watch } from "./stream.js";
import { say } from "./toast.js";
import { capital, count, phrase, t } from "./words.js";

const MOST_LATEST = 8;
const RETRY_MS = 2000;
const MODES = ["names", "scores", "off"];
const MODE_NAMES = { names: "Boxes", scores: "Boxes with scores", off: "No boxes" };
const ACCESSIBLE_EVERY_MS = 3000;

const picture = find("picture");
const narrow = matchMedia("(max-width: 44rem)");
let overview = null;
let shown = false; // the stage is on the screen
let watching = null;
let found = [];
let mode = "names";
let connected = true;
let described_ms = 0;

export function begin() {
	mode = MODES.includes(localStorage.getItem("boxes")) ? localStorage.getItem("boxes") : "names";
	for (const [id, drawing] of [["snapshot", "camera"], ["boxes", "boxes"], ["full", "full"], ["pause", "pause"]]) {
		find(id).prepend(icon(drawing));
	}
	find("boxes").addEventListener("click", cycle);
	find("snapshot").addEventListener("click", snapshot);
	find("full").addEventListener("click", fullScreen);
	find("full").hidden = !document.fullscreenEnabled;
	find("pause").addEventListener("click", () => command("pause"));
	find("resume").addEventListener("click", () => command("resume"));
	new ResizeObserver(() => drawBoxes(find("found"), found, mode)).observe(find("found"));
	setInterval(state, 1000);
	store.subscribe(summary);
	showMode();
	device.begin(command);
}

/** Show the live picture, or end it. */
export function look(wanted) {
	shown = wanted && !document.hidden;
	if (!shown) {
		watching?.abort();
		watching = null;
	} else if (!watching) follow();
}

async function follow() {
	const mine = watching = new AbortController();
	while (watching === mine) {
		try {
			await watch(mine.signal, paint);
		} catch (error) {
			if (watching !== mine) return;
			if (error.status === 503) notice(error.message);
		}
		if (watching !== mine) return;
		await new Promise((done) => { setTimeout(done, RETRY_MS); });
	}
}

async function paint(jpeg, now) {
	const image = await createImageBitmap(new Blob([jpeg], { type: "image/jpeg" }));
	if (picture.width !== image.width) picture.width = image.width;
	if (picture.height !== image.height) picture.height = image.height;
	picture.getContext("2d").drawImage(image, 0, 0);
	image.close();
	if (now) {
		if (now.frame) find("stage").style.setProperty("--aspect", now.frame[0] / now.frame[1]);
		found = now.found;
		drawBoxes(find("found"), found, mode);
	}
	find("stage").classList.add("painted");
	notice("");
	performance.mark("first-frame");
}

function notice(text) {
	if (find("no-picture").textContent !== text) find("no-picture").textContent = text;
	find("no-picture").hidden = !text;
}

// --- the controls of the frame

function cycle() {
	mode = MODES[(MODES.indexOf(mode) + 1) % MODES.length];
	localStorage.setItem("boxes", mode);
	showMode();
	say(t(MODE_NAMES[mode]));
}

function showMode() {
	find("boxes").title = t(MODE_NAMES[mode]);
	find("boxes").setAttribute("aria-label", `${t("Boxes over the frame")}: ${t(MODE_NAMES[mode])}`);
	find("stage").classList.toggle("bare", mode === "off");
	drawBoxes(find("found"), found, mode);
}

function snapshot() {
	picture.toBlob((blob) => {
		if (!blob) return;
		const link = make("a", {
			href: URL.createObjectURL(blob),
			download: `${(overview?.name || "snapshot").replace(/[^\p{L}\p{N}]+/gu, "-")}-${new Date().toISOString().slice(0, 19).replaceAll(":", "")}.jpg`,
		});
		link.click();
		setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
		say(t("Snapshot saved"));
	}, "image/jpeg", 0.92);
}

function fullScreen() {
	if (document.fullscreenElement) document.exitFullscreen();
	else find("stage").requestFullscreen();
}

async function command(name) {
	try {
		await ask("/api/v1/command", { method: "POST", body: name });
		if (name === "reload") say(t("Reloading the settings."));
	} catch (error) {
		say(error.message);
	}
}

// --- the state

export function offline() {
	connected = false;
	state();
}

/** The state of the detector, every second. */
export function take(now) {
	connected = true;
	overview = { ...now, received_ms: Date.now() };
	state();
	device.show(now);
}

function state() {
	if (!overview && connected) return;
	const now = overview ?? {};
	const name = now.name || sourceName(now.source);
	if (find("camera-name").textContent !== name) find("camera-name").textContent = name;
	const paused = now.detection === "paused";
	const down = connected && now.source_state !== null && now.source_state !== "live";
	const [text, kind] = !connected ? [t("No connection"), "bad"]
		: down ? [t(now.source_state === "starting" ? "Starting" : "Camera offline"), "bad"]
			: paused ? [t(now.off ? "Off" : "Paused"), "idle"] : [t("Live"), "good"];
	const pill = find("state");
	if (pill.textContent !== text) pill.textContent = text;
	pill.className = `state ${kind}`;
	find("stage").classList.toggle("stale", down || !connected);
	find("paused").hidden = !paused || down || !connected;
	find("paused-text").textContent = t(now.off ? "Detection is off: outside its hours" : "Detection is paused");
	find("resume").hidden = Boolean(now.off);
	find("pause").hidden = now.detection === null || now.detection === undefined || paused;
	showDown(down, now);
	find("logout").hidden = !now.login;
	troubles(now.troubles ?? []);
	summary();
	describe(name);
}

/** The name of a source without what only a machine reads. */
function sourceName(source) {
	if (!source) return t("Camera");
	if (source.startsWith("demo")) return t("Demonstration");
	const numbered = /^(?:picamera:|v4l2:\/dev\/video)(\d+)$/.exec(source);
	if (numbered) return t("Camera {n}", { n: numbered[1] });
	try {
		return new URL(source).host || source;
	} catch {
		return source;
	}
}

function showDown(down, now) {
	find("down").hidden = connected && !down;
	if (find("down").hidden) return;
	const lines = [];
	if (!connected) lines.push(t("The page has lost its connection; it retries by itself."));
	else {
		if (now.source_since) {
			const since = Date.parse(now.source_since);
			const day = startOfDay(since) < startOfDay(Date.now()) ? `${dayName(since)}, ` : "";
			lines.push(t("Since {time}", { time: day + clock(since) }));
		}
		if (now.source_retry_s !== null) {
			const left = Math.max(0, now.source_retry_s - (Date.now() - now.received_ms) / 1000);
			lines.push(left >= 1 ? t("next try in {time}", { time: duration(left) }) : t("trying now"));
		}
	}
	const text = lines.join(" · ");
	if (find("down-when").textContent !== text) find("down-when").textContent = text;
	find("down-title").textContent = connected ? t("Camera offline") : t("No connection");
	find("down-why").textContent = connected ? now.source_reason ?? "" : "";
}

function troubles(all) {
	const texts = all.filter(({ part }) => part !== "source").map(({ part, name, state: how, reason }) =>
		`${part} ${name}: ${how}${reason ? ` – ${reason}` : ""}`);
	const area = find("troubles");
	if (texts.join("\n") === [...area.children].map((child) => child.textContent).join("\n")) return;
	area.replaceChildren(...texts.map((text) => make("p", { class: "alert" }, text)));
}

function describe(name) {
	if (Date.now() - described_ms < ACCESSIBLE_EVERY_MS) return;
	described_ms = Date.now();
	const counts = Object.entries(overview?.found ?? {}).map(([label, n]) => `${n} ${t(label)}`);
	picture.setAttribute("aria-label", `${t("Live view of {name}", { name })}: ${counts.length ? phrase(counts) : t("nothing detected")}`);
}

// --- what happened

function summary() {
	if (find("page-live").hidden) return;
	const events = store.all();
	const parts = [];
	const now = Object.keys(overview?.found ?? {}).sort((a, b) => (b === "person") - (a === "person")).map((label) => t(label));
	if (connected && now.length && overview?.source_state === "live") {
		const what = now.length > (narrow.matches ? 1 : 3) ? `${now[0]} +${now.length - 1}` : phrase(now);
		parts.push(make("span", { class: "now" }, t("{what} now", { what })));
	}
	const visitor = events.find((event) => event.label === "person" && !event.ongoing);
	if (visitor) parts.push(make("a", { href: `/events/${encodeURIComponent(visitor.id)}` }, t("last visitor {time}", { time: when(visitor.end) })));
	if (store.isLoaded()) {
		const today = startOfDay(Date.now()).getTime();
		const before = events.findIndex((event) => event.start < today); // the latest come first
		parts.push(make("a", { href: "/review" }, count(before < 0 ? events.length : before, "1 today", "{n} today")));
	}
	const line = find("summary");
	const text = parts.map((part) => part.outerHTML).join("");
	if (line.dataset.shown !== text) {
		line.dataset.shown = text;
		line.replaceChildren(...parts);
	}
	latest(events);
}

function when(at) {
	return startOfDay(at) < startOfDay(Date.now()) ? `${dayName(at)}, ${clock(at)}` : clock(at);
}

function latest(events) {
	const wanted = events.slice(0, MOST_LATEST);
	find("no-latest").hidden = wanted.length > 0 || !store.isLoaded();
	const list = find("latest");
	const old = new Map([...list.children].map((item) => [item.dataset.id, item]));
	const items = wanted.map((event) => {
		const key = `${event.ongoing}${event.flags}${event.zones}${Math.round(event.end / 5000)}`;
		const item = old.get(event.id);
		if (item?.dataset.key === key) return item;
		const made = itemOf(event, key);
		if (item) keepImage(item.querySelector("img"), made.querySelector("img"));
		return made;
	});
	if (items.some((item, at) => list.children[at] !== item)) list.replaceChildren(...items);
}

/** Have a new entry show the image of the old one until its own is there. */
function keepImage(old, fresh) {
	if (old.getAttribute("src") !== fresh.getAttribute("src")) old.src = fresh.getAttribute("src");
	fresh.replaceWith(old);
}

function itemOf(event, key) {
	const image = make("img", { src: store.thumbnailOf(event), alt: "", loading: "lazy", width: 76, height: 57 });
	image.addEventListener("error", () => image.classList.add("missing"));
	const zones = event.zones.length ? ` · ${event.zones.join(", ")}` : "";
	const how = event.ongoing ? t(event.stationary ? "here, standing" : "here now") : duration((event.end - event.start) / 1000);
	return make("li", { "data-id": event.id, "data-key": key },
		make("a", { href: `/events/${encodeURIComponent(event.id)}` }, image,
			make("span", { class: "what" }, dot(colourOf(event.label), event.ongoing), make("strong", {}, capital(t(event.label)))),
			timeOf(event.start), make("span", { class: "about" }, how + zones)));
}
