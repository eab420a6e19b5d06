// The editor of zones, lines and masks: with a pointer, and with the keyboard alone.

import { ask, dot, find, icon, make, makeSvg, send } from "./dom.js";
import { drawn, heightOf, shapeColour, unitOf, WIDTH } from "./shapes.js";
import { say } from "./toast.js";
import { count, t } from "./words.js";

const KINDS = {
	zones: { word: "zone", stem: "zone", points: "polygon", fewest: 3 },
	lines: { word: "line", stem: "line", points: "points", fewest: 2 },
	masks: { word: "motion mask", stem: "mask", points: null, fewest: 3 },
	privacy: { word: "privacy mask", stem: "private", points: "polygon", fewest: 3 },
};
const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const STEP = 0.01;
const LARGE_STEP = 0.05;
const NEAR_PX = 14;
const APPLIED_MS = 8000;
const MOST_STEPS = 100; // that can be undone
const SAME_STEP_MS = 700; // changes of one kind this close are one step
const HELP = {
	still: "Add a shape, or select one. Move corners with the pointer or the arrow keys (Shift: larger steps); Delete removes a corner; + adds one between two.",
	drawing: "Click the corners in order, and the first one again to finish. Or use the keyboard: arrow keys move the cross (Shift: larger steps), Enter sets a corner, Backspace removes it, F finishes, Escape cancels.",
};

const svg = find("drawing");
let editing = false;
let shapes = [];
let selected = null;
let unfinished = null;
let cross = null;
let dragged = null;
let version = null;
let labels = [];
let motion = false;
let locked = null;
let dirty = false;
let saving = false;
let saved = "[]"; // the shapes as the detector has them
let held = "[]"; // the shapes before the next change
let steps = []; // earlier shapes, the latest last
let step = { what: "", at_ms: 0 };

export function begin() {
	for (const button of document.querySelectorAll("[data-add]")) {
		button.addEventListener("click", () => start(button.dataset.add));
	}
	find("finish").addEventListener("click", finish);
	find("undo").addEventListener("click", undoPoint);
	find("undo-change").addEventListener("click", undoChange);
	find("undo-change").prepend(icon("back"));
	find("cancel").addEventListener("click", cancel);
	find("save").addEventListener("click", save);
	find("discard").addEventListener("click", discard);
	find("delete").addEventListener("click", remove);
	find("turn").addEventListener("click", turn);
	find("shape").addEventListener("input", change);
	find("shape").addEventListener("submit", (event) => event.preventDefault());
	svg.addEventListener("pointerdown", press);
	svg.addEventListener("pointermove", move);
	svg.addEventListener("pointerup", release);
	svg.addEventListener("pointercancel", release);
	svg.addEventListener("keydown", key);
	addEventListener("keydown", (event) => {
		if (!editing || unfinished || !(event.ctrlKey || event.metaKey) || event.key.toLowerCase() !== "z") return;
		if (event.target.closest("input[type=text], input:not([type])")) return;
		event.preventDefault();
		undoChange();
	});
	svg.addEventListener("focusin", () => { if (unfinished) draw(); });
	new ResizeObserver(draw).observe(svg);
	addEventListener("beforeunload", (event) => { if (dirty) event.preventDefault(); });
	load();
}

/** Whether the editor is what is shown. */
export function show(wanted) {
	editing = wanted;
	if (!wanted) cancel();
	draw();
}

/** The state of the machine: the places may have been changed elsewhere. */
export function take(overview) {
	if (version !== null && overview.places !== version && !dirty && !saving) load();
}

async function load() {
	try {
		hold(await ask("/api/v1/places"));
		warn("");
	} catch (error) {
		warn(error.message);
	}
}

function hold(places) {
	({ version, labels, motion, locked } = places);
	const name = selected?.name;
	shapes = [];
	for (const [kind, { points }] of Object.entries(KINDS)) {
		for (const [shapeName, value] of Object.entries(places[kind])) {
			const settings = points ? { ...value } : {};
			shapes.push({ kind, name: shapeName, settings, points: (points ? value[points] : value).map((p) => [...p]) });
		}
	}
	saved = held = JSON.stringify(shapes);
	steps = [];
	dirty = false;
	if (locked !== null) find("saved").textContent = locked;
	select(shapes.find((shape) => shape.name === name) ?? null);
}

/** The shapes changed. `what` names the kind of change: several of one kind in a row are one step. */
function touch(what = "") {
	const now_ms = Date.now();
	if (!what || what !== step.what || now_ms - step.at_ms > SAME_STEP_MS) {
		steps.push(held);
		if (steps.length > MOST_STEPS) steps.shift();
	}
	step = { what, at_ms: now_ms };
	held = JSON.stringify(shapes);
	dirty = held !== saved;
	find("saved").textContent = "";
	warn("");
	render();
}

function undoChange() {
	if (!steps.length || saving) return;
	const at = shapes.indexOf(selected);
	held = steps.pop();
	step = { what: "", at_ms: 0 };
	shapes = JSON.parse(held);
	dirty = held !== saved;
	warn("");
	select(shapes[at] ?? null);
	speak(t("Undone"));
}

function discard() {
	const before = held;
	const earlier = [...steps];
	shapes = JSON.parse(saved);
	steps = [...earlier, before];
	held = saved;
	dirty = false;
	warn("");
	select(null);
	speak(t("Changes discarded"));
}

/** Whether a shape is not as the detector has it. */
function isChanged(shape) {
	return !JSON.parse(saved).some((old) => JSON.stringify(old) === JSON.stringify(shape));
}

function warn(text) {
	find("unsaved").textContent = text;
	find("unsaved").hidden = !text;
}

function speak(text) {
	find("spoken").textContent = text;
}

// --- what is drawn

function draw() {
	const height = heightOf(svg);
	if (!height) return;
	const focused = document.activeElement?.closest?.("#drawing .handle")?.dataset.key;
	svg.setAttribute("viewBox", `0 0 ${WIDTH} ${height}`);
	svg.classList.toggle("editing", editing);
	svg.classList.toggle("drawing", unfinished !== null);
	if (editing) {
		svg.removeAttribute("aria-hidden");
		svg.setAttribute("role", unfinished ? "application" : "group");
		svg.setAttribute("aria-label", unfinished ? t("Draw on the frame") : t("Zones, lines and masks on the frame"));
	} else {
		svg.setAttribute("aria-hidden", "true");
		svg.removeAttribute("role");
	}
	if (unfinished) svg.setAttribute("tabindex", "0");
	else svg.removeAttribute("tabindex");
	svg.replaceChildren(...shapes.map((shape, number) => drawn(svg, shape, { "data-shape": number })));
	if (!editing) return;
	if (unfinished) drawUnfinished(height);
	else if (selected) svg.append(...handles(selected, height));
	if (focused) svg.querySelector(`[data-key="${focused}"]`)?.focus();
}

function handles(shape, height) {
	const unit = unitOf(svg);
	const group = svg.querySelector(`[data-shape="${shapes.indexOf(shape)}"]`);
	const colour = group.style.getPropertyValue("--shape");
	const handle = (key, [x, y], radius, name) => {
		const at = { cx: x * WIDTH, cy: y * height };
		const element = makeSvg("g", { class: "handle", "data-key": key, tabindex: 0, role: "button", "aria-label": name },
			makeSvg("circle", { ...at, r: 18 * unit, class: "reach" }),
			makeSvg("circle", { ...at, r: radius * unit, class: "knob" }));
		element.style.setProperty("--shape", colour);
		return element;
	};
	const middles = sides(shape).map(([a, b], index) => {
		const element = handle(`middle-${index}`, [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2], 5,
			t("Add a corner after corner {n}", { n: index + 1 }));
		element.classList.add("middle");
		return element;
	});
	return [...middles, ...shape.points.map((point, index) =>
		handle(`point-${index}`, point, 7, `${t("Corner {n} of {name}", { n: index + 1, name: shape.name })}, ${words(point)}`))];
}

function sides({ kind, points }) {
	const ends = points.map((point, index) => [point, points[(index + 1) % points.length]]);
	return kind === "lines" ? ends.slice(0, -1) : ends;
}

function drawUnfinished(height) {
	const unit = unitOf(svg);
	svg.append(drawn(svg, { ...unfinished, unfinished: true }));
	svg.append(...unfinished.points.map(([x, y]) => makeSvg("g", { class: "handle" },
		makeSvg("circle", { cx: x * WIDTH, cy: y * height, r: 6 * unit, class: "knob" }))));
	if (document.activeElement !== svg) return;
	const [x, y] = [cross[0] * WIDTH, cross[1] * height];
	const arm = 14 * unit;
	const path = `M ${x - arm} ${y} H ${x + arm} M ${x} ${y - arm} V ${y + arm}`;
	svg.append(makeSvg("path", { d: path, class: "cross-rim" }), makeSvg("path", { d: path, class: "cross" }));
}

function words([x, y]) {
	return t("{x} % from the left, {y} % from the top", { x: Math.round(x * 100), y: Math.round(y * 100) });
}

// --- the list and the form

function select(shape) {
	selected = shape;
	const form = find("shape");
	form.hidden = shape === null;
	if (shape) {
		form.elements.name.value = shape.name;
		find("labels").hidden = shape.kind === "masks" || shape.kind === "privacy";
		const wanted = shape.settings.labels ?? [];
		const choices = [...new Set([...labels, ...wanted])];
		find("labels").replaceChildren(make("legend", {}, t("Labels that count (none selected = all)")), ...choices.map((label) =>
			make("label", {}, make("input", { type: "checkbox", name: "labels", value: label, checked: wanted.includes(label) }), t(label))));
		find("loiter").hidden = shape.kind !== "zones";
		form.elements.loiter_s.value = shape.settings.loiter_s ?? 0;
		find("mask-hint").hidden = shape.kind !== "masks" || motion;
		find("privacy-hint").hidden = shape.kind !== "privacy";
		find("turn").hidden = shape.kind !== "lines";
	}
	render();
}

function render() {
	find("no-shapes").hidden = shapes.length > 0;
	const focused = find("shapes").contains(document.activeElement);
	find("shapes").replaceChildren(...shapes.map((shape) => make("li", {},
		make("button", { type: "button", "aria-pressed": String(shape === selected), onclick: () => select(shape) },
			dot(shapeColour(shape)), make("span", {}, shape.name || t("(no name)")),
			isChanged(shape) ? make("span", { class: "changed" }, t("not saved")) : null,
			make("span", { class: "kind" }, t(KINDS[shape.kind].word))))));
	if (focused) find("shapes").querySelector('[aria-pressed="true"]')?.focus();
	find("drawing-bar").hidden = unfinished === null;
	find("finish").disabled = !unfinished || unfinished.points.length < KINDS[unfinished.kind].fewest;
	find("help").textContent = t(unfinished ? HELP.drawing : HELP.still);
	find("save-bar").hidden = !(editing && (dirty || saving || steps.length > 0)) || unfinished !== null;
	const changes = changedNumber();
	find("changes").textContent = dirty ? count(changes, "1 unsaved change", "{n} unsaved changes") : t("No unsaved changes");
	find("undo-change").disabled = steps.length === 0 || saving;
	document.querySelector('nav a[href="/zones"]').classList.toggle("unsaved", dirty);
	find("save").disabled = !dirty || saving || unfinished !== null || locked !== null;
	find("discard").disabled = !dirty || saving;
	draw();
}

/** The number of shapes that differ from the saved ones, those deleted included. */
function changedNumber() {
	const now = shapes.map((shape) => JSON.stringify(shape));
	const before = JSON.parse(saved).map((shape) => JSON.stringify(shape));
	const [added, gone] = [now.filter((each) => !before.includes(each)), before.filter((each) => !now.includes(each))];
	return Math.max(added.length, gone.length);
}

function change(event) {
	const form = find("shape").elements;
	if (event.target.name === "name") {
		const taken = shapes.some((other) => other !== selected && other.kind === selected.kind && other.name === form.name.value.trim());
		form.name.setCustomValidity(taken ? t("Another one has this name.") : "");
		selected.name = form.name.value.trim();
	} else if (event.target.name === "loiter_s") {
		selected.settings.loiter_s = Number(form.loiter_s.value);
	} else {
		selected.settings.labels = [...find("labels").querySelectorAll(":checked")].map((box) => box.value);
	}
	touch(event.target.name === "labels" ? "" : event.target.name);
}

function remove() {
	speak(t("{name} deleted", { name: selected.name }));
	shapes.splice(shapes.indexOf(selected), 1);
	select(null);
	touch();
	document.querySelector("[data-add]").focus();
}

function turn() {
	selected.points.reverse();
	touch();
}

// --- drawing something new

function start(kind) {
	const taken = new Set(shapes.filter((shape) => shape.kind === kind).map((shape) => shape.name));
	let number = 1;
	while (taken.has(`${KINDS[kind].stem}-${number}`)) number += 1;
	select(null);
	unfinished = { kind, name: `${KINDS[kind].stem}-${number}`, settings: {}, points: [] };
	cross = [0.5, 0.5];
	render();
	svg.focus({ preventScroll: true });
	svg.scrollIntoView({ block: "nearest" });
	draw();
	speak(t(HELP.drawing));
}

function place(point) {
	const { points, kind } = unfinished;
	if (points.length >= KINDS[kind].fewest && kind !== "lines" && near(point, points[0])) return finish();
	if (points.length && near(point, points.at(-1), 2)) return undefined;
	points.push(point);
	speak(`${t("Corner {n}", { n: points.length })}: ${words(point)}`);
	return render();
}

function undoPoint() {
	if (unfinished.points.pop()) speak(t("{n} corners left", { n: unfinished.points.length }));
	render();
}

function finish() {
	if (unfinished.points.length < KINDS[unfinished.kind].fewest) {
		speak(t("It needs {n} corners.", { n: KINDS[unfinished.kind].fewest }));
		return;
	}
	const shape = unfinished;
	unfinished = null;
	shapes.push(shape);
	select(shape);
	touch();
	speak(t("{name} finished", { name: shape.name }));
	find("shape").elements.name.focus();
	find("shape").elements.name.select();
}

function cancel() {
	if (!unfinished) return;
	unfinished = null;
	render();
	document.querySelector("[data-add]").focus();
}

// --- pointer and keys

function near(one, other, within = NEAR_PX) {
	return Math.hypot((one[0] - other[0]) * svg.clientWidth, (one[1] - other[1]) * svg.clientHeight) <= within;
}

function clamp(value) {
	return Math.round(Math.min(1, Math.max(0, value)) * 1e4) / 1e4;
}

function pointOf(event) {
	const box = svg.getBoundingClientRect();
	return [clamp((event.clientX - box.left) / box.width), clamp((event.clientY - box.top) / box.height)];
}

function press(event) {
	if (!editing || event.button !== 0) return;
	if (unfinished) {
		event.preventDefault();
		place(pointOf(event));
		return;
	}
	const handle = event.target.closest(".handle");
	const group = event.target.closest("[data-shape]");
	if (handle) {
		event.preventDefault();
		dragged = grasp(handle.dataset.key);
		svg.setPointerCapture(event.pointerId);
		svg.querySelector(`[data-key="point-${dragged}"]`)?.focus();
	} else {
		select(group ? shapes[Number(group.dataset.shape)] : null);
	}
}

/** The corner behind a handle; one between two corners becomes a new one. */
function grasp(key) {
	const [what, index] = key.split("-");
	if (what === "point") return Number(index);
	const [a, b] = sides(selected)[Number(index)];
	selected.points.splice(Number(index) + 1, 0, [clamp((a[0] + b[0]) / 2), clamp((a[1] + b[1]) / 2)]);
	touch();
	return Number(index) + 1;
}

function move(event) {
	if (dragged === null) return;
	selected.points[dragged] = pointOf(event);
	touch(`drag ${dragged}`);
}

function release() {
	dragged = null;
}

function key(event) {
	if (!editing) return;
	const step = event.shiftKey ? LARGE_STEP : STEP;
	const [dx, dy] = (STEPS[event.key] ?? [0, 0]).map((direction) => direction * step);
	const handled = unfinished ? keyWhileDrawing(event.key, dx, dy) : keyAtHandle(event.key, event.target.closest(".handle"), dx, dy);
	if (handled) event.preventDefault();
}

function keyWhileDrawing(name, dx, dy) {
	if (dx || dy) {
		cross = [clamp(cross[0] + dx), clamp(cross[1] + dy)];
		speak(words(cross));
		draw();
	} else if (name === "Enter" || name === " ") place([...cross]);
	else if (name === "Backspace" || name === "Delete") undoPoint();
	else if (name.toLowerCase() === "f") finish();
	else if (name === "Escape") cancel();
	else return false;
	return true;
}

function keyAtHandle(name, handle, dx, dy) {
	if (!handle || !selected) return false;
	const [what, text] = handle.dataset.key.split("-");
	const index = Number(text);
	if (what === "middle") {
		if (name !== "Enter" && name !== " " && name !== "+") return false;
		const corner = grasp(handle.dataset.key);
		svg.querySelector(`[data-key="point-${corner}"]`).focus();
	} else if (dx || dy) {
		const [x, y] = selected.points[index];
		selected.points[index] = [clamp(x + dx), clamp(y + dy)];
		touch(`move ${index}`);
		speak(words(selected.points[index]));
	} else if (name === "Delete" || name === "Backspace") {
		if (selected.points.length <= KINDS[selected.kind].fewest) {
			speak(t("It needs {n} corners.", { n: KINDS[selected.kind].fewest }));
			return true;
		}
		selected.points.splice(index, 1);
		touch();
		svg.querySelector(`[data-key="point-${Math.max(0, index - 1)}"]`).focus();
	} else return false;
	return true;
}

// --- saving

function written() {
	const places = { version, zones: {}, lines: {}, masks: {}, privacy: {} };
	for (const { kind, name, settings, points } of shapes) {
		if (!name) throw new Error(t("A shape has no name; enter one."));
		if (name in places[kind]) throw new Error(t("Two shapes are named {name}; rename one.", { name }));
		const key_ = KINDS[kind].points;
		places[kind][name] = key_ ? { ...settings, [key_]: points } : points;
	}
	return places;
}

async function save() {
	saving = true;
	render();
	find("saved").textContent = t("Saving …");
	warn("");
	try {
		const answer = await send("/api/v1/places", "PUT", written());
		dirty = false;
		const applied = await isApplied(answer.version);
		find("saved").textContent = t(applied ? "Saved and applied." : "Saved, but not applied yet; see the log.");
		say(find("saved").textContent);
	} catch (error) {
		find("saved").textContent = "";
		warn(error.message);
	}
	saving = false;
	render();
}

/** Wait until the saved shapes are the current ones. */
async function isApplied(wanted) {
	const end = Date.now() + APPLIED_MS;
	while (Date.now() < end) {
		const places = await ask("/api/v1/places");
		if (places.version === wanted) {
			hold(places);
			return true;
		}
		await new Promise((done) => { setTimeout(done, 200); });
	}
	return false;
}
