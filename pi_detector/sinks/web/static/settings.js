// The view of settings: forms made from what the server says of each setting.

import { controlFor, same } from "./controls.js";
import { ask, find, icon, make } from "./dom.js";
import { count, t, translate } from "./words.js";

const ADDRESS = "/api/v1/settings";
const TITLES = {
	detection: "Detection", motion: "Motion", recording: "Recordings", notify: "Messages",
	schedule: "Schedules", location: "Location", source: "Camera", web: "Page",
	min_score: "Lowest score", min_scores: "Lowest score by class", labels: "Classes", max_fps: "Highest rate",
	schedules: "On in the hours of", enabled: "On", clips: "Video clips", snapshots: "Best view of each event",
	pre_s: "Seconds before", post_s: "Seconds after", max_age_days: "Days to keep", keep_days: "Days to keep by class",
	max_gb: "Most space (GB)", min_free_mb: "Space to leave free (MB)", urls: "Send to", zones: "Only in zones",
	lines: "Only at lines", when: "About", hours: "Hours", days: "Days", cooldown_s: "Pause after a message (s)",
	group_s: "Wait for more (s)", image: "Picture", start: "From", end: "Until", latitude: "Latitude",
	longitude: "Longitude", rotate: "Rotation", hflip: "Mirror left to right", vflip: "Mirror top to bottom",
	crop: "Part of the frame", controls: "Controls", name: "Name",
};
const GROWING = ["notify", "schedule"];

let shown = null;
let labels = [];
let fields = []; // { field, control, row }
let added = []; // tables that are not saved yet
let removed = []; // paths of tables to remove

const titleOf = (name) => (name in TITLES ? t(TITLES[name]) : name.replaceAll("_", " "));
const keyOf = (path) => path.join("\u0000");

async function load() {
	[shown, { labels }] = await Promise.all([ask(ADDRESS), ask("/api/v1/places")]);
	added = [];
	removed = [];
	show();
}

function show() {
	fields = [];
	const sections = new Map();
	for (const table of [...shown.tables, ...shown.blank.filter(({ section }) => !shown.tables.some((each) => each.section === section))]) {
		if (!sections.has(table.section)) sections.set(table.section, []);
		sections.get(table.section).push(table);
	}
	find("form").replaceChildren(...[...sections].map(([section, tables]) => card(section, tables)));
	note("locked", shown.locked);
	note("waiting", shown.waiting.length ? t("At the next restart of pi-detector: {names}.", { names: shown.waiting.map(words).join(", ") }) : null);
	find("whole").hidden = Boolean(shown.locked);
	tally();
}

const words = (dotted) => titleOf(dotted.split(".").at(-1));

function note(id, text) {
	find(id).hidden = !text;
	find(id).textContent = text ?? "";
}

function card(section, tables) {
	const id = `section-${section}`;
	const element = make("section", { class: "card", "aria-labelledby": id },
		make("h3", { id }, titleOf(section)), make("p", { class: "hint" }, plain(tables[0].about)));
	if (section === "source") element.append(preview());
	if (!GROWING.includes(section)) {
		element.append(...tables[0].fields.map(row));
		return element;
	}
	const all = [...tables.filter(({ name }) => name !== null), ...added.filter((table) => table.section === section)];
	element.append(...all.filter((table) => !removed.some((path) => path[0] === section && path[1] === table.name)).map(named), adding(section));
	return element;
}

/** A frame as it is now, so that orientation and controls can be judged. */
function preview() {
	const image = make("img", { class: "preview", alt: t("The newest frame"), src: "/view.jpg" });
	const timer = setInterval(() => {
		if (!image.isConnected) clearInterval(timer);
		else if (!document.hidden) image.src = `/view.jpg?${Date.now()}`;
	}, 2000);
	image.addEventListener("error", () => { image.hidden = true; });
	image.addEventListener("load", () => { image.hidden = false; });
	return image;
}

function named(table) {
	const outcome = make("p", { class: "outcome", role: "status" });
	const buttons = make("div", { class: "choices" });
	if (table.section === "notify" && !table.fresh) {
		buttons.append(make("button", { type: "button", onclick: () => test(table.name, outcome) }, t("Send a test message")));
	}
	if (table.own) {
		buttons.append(make("button", { type: "button", onclick: () => remove(table) }, t("Remove {name}", { name: table.name })));
	} else {
		buttons.append(make("span", { class: "hint" }, t("From the settings file; switch it off rather than remove it.")));
	}
	return make("div", { class: "table", role: "group", "aria-label": table.name },
		make("h4", {}, table.name), ...table.fields.map(row), buttons, outcome);
}

function adding(section) {
	const name = make("input", { type: "text", id: `new-${section}`, maxlength: 100 });
	const add = () => {
		const text = name.value.trim();
		const taken = [...shown.tables, ...added].some((table) => table.section === section && table.name === text);
		if (!text || taken) {
			name.setAttribute("aria-invalid", "true");
			name.focus();
			return;
		}
		const blank = shown.blank.find((table) => table.section === section);
		const first = blank.fields.map((field) => ({ ...field, path: [section, text, field.path.at(-1)] }));
		keep();
		added.push({ ...blank, name: text, own: true, fresh: true, fields: first });
		show();
		restoreKept();
		find(`field-${section}-${text}-${first[0].path.at(-1)}`)?.focus();
	};
	name.addEventListener("keydown", (event) => {
		if (event.key === "Enter") {
			event.preventDefault();
			add();
		}
	});
	return make("div", { class: "add" },
		make("label", { for: name.id }, t("Name of a new one"), name),
		make("button", { type: "button", onclick: add }, section === "notify" ? t("Add a rule") : t("Add a schedule")));
}

function remove(table) {
	keep();
	if (table.fresh) added = added.filter((each) => each !== table);
	else removed.push([table.section, table.name]);
	show();
	restoreKept();
	find(`new-${table.section}`)?.focus();
}

// What was typed survives that the form is made again.
let kept = new Map();
function keep() {
	kept = new Map(fields.filter(({ control }) => control.touched()).map(({ field, control }) => [keyOf(field.path), control.raw()]));
}
function restoreKept() {
	for (const { field, control } of fields) {
		if (kept.has(keyOf(field.path))) control.restore(kept.get(keyOf(field.path)));
	}
	tally();
}

function row(field) {
	const name = field.path.at(-1);
	const id = `field-${field.path.join("-")}`;
	const control = controlFor(field, { id, title: titleOf(name), labels });
	const meta = make("div", { class: "meta" });
	if (field.restart) meta.append(make("span", { class: "tag" }, name === "controls" ? t("At once where the camera can") : t("Takes effect at a restart")));
	if (field.changed) {
		meta.append(make("span", { class: "hint" }, t("Changed here")),
			make("button", { type: "button", onclick: () => reset(field) }, make("span", {}, t("Reset")), make("span", { class: "unseen" }, ` ${titleOf(name)}`)));
	}
	const label = control.labelled
		? make("label", { class: "name", for: id }, titleOf(name))
		: make("span", { class: "name", id: `${id}-name` }, titleOf(name));
	const help = make("p", { class: "hint", id: `${id}-help` }, plain(field.help));
	const element = make("div", { class: "field" }, label, make("div", { class: "value" }, control.element, help, meta));
	control.element.addEventListener("input", tally);
	fields.push({ field, control, element });
	return element;
}

async function reset(field) {
	await guarded(async () => {
		await patch({ set: [], reset: [field.path] });
		await load();
		say(t("It is as in the settings file again."));
	});
}

function edits() {
	const set = [];
	const back = [...removed];
	for (const { field, control } of fields) {
		if (!control.touched()) continue;
		const { value, gone } = control.read();
		const path = field.path;
		if (value === null) back.push(path);
		else if (value !== undefined && !same(value, field.value)) set.push(...split(path, value, field, gone, back));
	}
	return { set, reset: back };
}

/** Tables of values are changed value by value: those of the settings file stay below them. */
function split(path, value, field, gone, back) {
	if (!gone) return [{ path, value }];
	back.push(...gone.map((name) => [...path, name]));
	return Object.entries(value).filter(([name, each]) => !same(each, field.value[name])).map(([name, each]) => ({ path: [...path, name], value: each }));
}

function tally() {
	let found;
	try {
		found = edits();
	} catch (wrong) {
		find("save").hidden = false;
		find("summary").textContent = wrong.message;
		return;
	}
	const paths = [...found.set.map(({ path }) => path), ...found.reset];
	const later = new Set(fields.filter(({ field }) => field.restart && paths.some((path) => keyOf(path).startsWith(keyOf(field.path)))).map(({ field }) => titleOf(field.path.at(-1))));
	find("save").hidden = paths.length === 0 || Boolean(shown.locked);
	const changes = count(paths.length, "1 change", "{n} changes");
	find("summary").textContent = later.size ? t("{changes}; at the next restart: {names}", { changes, names: [...later].join(", ") }) : changes;
}

function patch({ set, reset }) {
	return ask(ADDRESS, {
		method: "PATCH", headers: { "Content-Type": "application/json" },
		body: JSON.stringify({ version: shown.version, set, reset }),
	});
}

async function save(event) {
	event.preventDefault();
	await guarded(async () => {
		const wanted = edits();
		if (!wanted.set.length && !wanted.reset.length) return;
		const { restart } = await patch(wanted);
		await load();
		say(restart.length ? t("Saved. At the next restart: {names}.", { names: restart.map(words).join(", ") }) : t("Saved."));
	});
}

async function test(name, outcome) {
	outcome.className = "outcome";
	outcome.textContent = t("Sending …");
	try {
		const tried = await ask(`/api/v1/notify/${encodeURIComponent(name)}/test`, { method: "POST" });
		const failed = tried.filter(({ problem }) => problem !== null);
		outcome.className = failed.length ? "outcome bad" : "outcome good";
		outcome.textContent = failed.length ? failed.map(({ service, problem }) => `${service}: ${problem}`).join("; ") : t("Sent.");
	} catch (error) {
		outcome.className = "outcome bad";
		outcome.textContent = error.message;
	}
}

async function restore() {
	const [file] = find("backup").files;
	if (!file) return;
	find("backup").value = "";
	await guarded(async () => {
		await ask(`${ADDRESS}/backup`, { method: "PUT", headers: { "Content-Type": "application/toml" }, body: await file.text() });
		await load();
		say(t("Restored."));
	});
}

async function guarded(work) {
	note("problem", null);
	try {
		await work();
	} catch (error) {
		note("problem", error.message);
		find("problem").scrollIntoView({ block: "center" });
	}
}

function say(text) {
	find("done").textContent = text;
}

// Explanations are those of the settings file, where names stand in backquotes.
function plain(text) {
	const clean = text.replaceAll("`", "");
	return clean && clean[0].toUpperCase() + clean.slice(1);
}

find("form").addEventListener("submit", save);
find("discard").addEventListener("click", () => { added = []; removed = []; show(); });
find("backup").addEventListener("change", restore);
addEventListener("beforeunload", (event) => { if (!find("save").hidden) event.preventDefault(); });
translate(document);
for (const link of document.querySelectorAll("[data-icon]")) link.prepend(icon(link.dataset.icon));
guarded(load);
