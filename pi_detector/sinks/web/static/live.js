// The live picture and the state of the machine.

import { about, ask, colourOf, dot, find, make, timeOf } from "./dom.js";

const MOST_LATEST = 8;
const RETRY_MS = 3000;
const FLAGS = {
	under_voltage: "under-voltage",
	frequency_capped: "frequency capped",
	throttled: "throttled",
	soft_temperature_limit: "temperature limit",
};
let overview = null;
let looking = false;
const latest = new Map();

/** Show the live picture, or end it. */
export function look(wanted) {
	looking = wanted && !document.hidden;
	const picture = find("picture");
	if (!looking) picture.removeAttribute("src");
	else if (!picture.hasAttribute("src")) picture.src = `/view.mjpeg?${Date.now()}`;
}

find("picture").addEventListener("error", () => {
	if (!looking) return;
	const full = overview && overview.viewers >= overview.max_viewers;
	say(full ? `the live view already has ${overview.max_viewers} viewers; waiting` : "no image");
	find("picture").removeAttribute("src");
	setTimeout(() => look(looking), RETRY_MS);
});
find("picture").addEventListener("load", () => stale());

function say(text) {
	find("no-picture").textContent = text;
	find("no-picture").hidden = !text;
	find("stage").classList.toggle("stale", Boolean(text));
}

function stale() {
	const state = overview?.source_state;
	say(!state || state === "live" ? "" : `camera: ${state}`);
}

export function offline() {
	pill("no connection", "bad");
	overview = null;
	say("pi-detector does not respond; retrying");
}

/** The state, every second. */
export function tell(now) {
	overview = now;
	const paused = now.detection === "paused";
	if (paused) pill(now.off ? "off: outside its hours" : "paused", "");
	else pill(now.source_state ? `${now.source}: ${now.source_state}` : "camera state unknown",
		now.source_state === "live" ? "good" : now.source_state ? "bad" : "");
	if (now.source_state && now.source_state !== "live") stale();
	else if (find("picture").hasAttribute("src")) say("");
	const found = Object.entries(now.found).map(([label, count]) => `${count} ${label}`);
	find("picture").alt = `Live view of ${now.source ?? "the camera"}; detected: ${found.join(", ") || "nothing"}`;
	if (now.frame) find("stage").style.aspectRatio = `${now.frame[0]} / ${now.frame[1]}`;
	showTroubles(now.troubles);
	showFigures(now);
	showMachine(now);
	const pause = find("pause");
	pause.hidden = now.detection === null || now.off !== null;
	pause.textContent = paused ? "Resume detection" : "Pause detection";
	find("logout").hidden = !now.login;
}

function pill(text, kind) {
	const state = find("state");
	if (state.textContent !== text) state.textContent = text;
	state.className = `pill ${kind}`;
}

function showTroubles(troubles) {
	const texts = troubles.map(({ part, name, state, reason }) =>
		`${part} ${name}: ${state}${reason ? ` – ${reason}` : ""}`);
	const place = find("troubles");
	if (texts.join("\n") === [...place.children].map((child) => child.textContent).join("\n")) return;
	place.replaceChildren(...texts.map((text) => make("p", { class: "alert" }, text)));
}

function figure(name, value, unit, beside = null, warn = false) {
	const text = value === null
		? [make("span", { "aria-hidden": "true" }, "–"), make("span", { class: "unseen" }, "unknown")]
		: [String(value), " ", make("small", {}, unit)];
	const more = beside === null ? null : make("small", { class: "beside" }, beside);
	return make("div", {}, make("dt", {}, name), make("dd", { class: warn ? "warn" : null }, ...text, more));
}

function showFigures(now) {
	const latency = now.latency_ms;
	const hot = now.host?.temperature_celsius ?? null;
	find("figures").replaceChildren(
		figure("Speed", now.fps, "frames/s"),
		figure("Latency, median", latency && latency.p50, "ms",
			latency && `90 %: ${latency.p90} · 99 %: ${latency.p99}`),
		figure("Dropped frames", now.dropped, ""),
		figure("Temperature", hot, "°C", null, hot !== null && hot >= 80),
	);
}

function showMachine(now) {
	const { host, process } = now;
	const size = (mb) => mb === null ? null : mb >= 1000 ? `${(mb / 1000).toFixed(1)} GB` : `${Math.round(mb)} MB`;
	const unknown = (value) => value ?? "unknown";
	const [slowed, warn] = throttling(host);
	const cpu = process?.cpu_percent ?? null;
	const rows = [
		["Model", unknown(now.model)],
		...(now.looks ? [["Looks", `${now.looks.per_frame} per frame: ${shares(now.looks.reasons)}`]] : []),
		["Throttling", slowed, warn],
		["Processor", cpu === null ? "unknown" : `${Math.round(cpu)} % of one core`],
		["Memory", unknown(size(process?.rss_mb ?? null))],
		["Memory free", unknown(size(host?.memory_available_mb ?? null))],
		["Disk free", unknown(size(host?.disk_free_mb ?? null))],
		["Watching", `${now.viewers} of ${now.max_viewers}`],
		["Version", now.version],
	];
	find("machine").replaceChildren(...rows.flatMap(([name, value, bad]) =>
		[make("dt", {}, name), make("dd", { class: bad ? "warn" : null }, value)]));
	const ago = now.measured_ago_s;
	find("measured").textContent = ago === null
		? "No measurements yet (telemetry.interval_s)." : `Measured ${Math.round(ago)} s ago.`;
}

/** How often each reason asked for a look, in percent. */
function shares(reasons) {
	const total = Object.values(reasons).reduce((sum, count) => sum + count, 0);
	return Object.entries(reasons).sort(([, one], [, other]) => other - one)
		.map(([reason, count]) => `${reason} ${Math.round(100 * count / total)} %`).join(", ");
}

function throttling(host) {
	const told = Object.entries(host?.throttling ?? {}).filter(([, flag]) => flag !== null);
	if (!told.length) return ["unknown", false];
	const on = told.filter(([, flag]) => flag).map(([name]) => FLAGS[name]);
	if (on.length) return [on.join(", "), true];
	const ever = Object.entries(host.throttling_ever).filter(([, flag]) => flag);
	return [ever.length ? `not now; earlier: ${ever.map(([name]) => FLAGS[name]).join(", ")}` : "none", false];
}

/** An event began, changed or ended. */
export function add(event, fresh) {
	const isNew = fresh && !latest.has(event.id);
	latest.set(event.id, event);
	while (latest.size > MOST_LATEST) latest.delete(latest.keys().next().value);
	showLatest(isNew ? event.id : null);
}

function showLatest(newId = null) {
	find("no-latest").hidden = latest.size > 0;
	find("latest").replaceChildren(...[...latest.values()].reverse().map((event) =>
		make("li", { class: event.id === newId ? "new" : null, "data-id": event.id },
			dot(colourOf(event.label), event.going_on), make("strong", {}, event.label), timeOf(event.started),
			make("span", { class: "about" }, about(event)))));
}

async function command(name, done) {
	find("done").textContent = "";
	try {
		await ask("/api/command", { method: "POST", body: name });
		find("done").textContent = done;
	} catch (error) {
		find("done").textContent = error.message;
	}
}

find("reload").addEventListener("click", () => command("reload", "Reloading the settings."));
find("pause").addEventListener("click", () =>
	overview?.detection === "paused" ? command("resume", "Detection resumed.") : command("pause", "Detection paused."));
