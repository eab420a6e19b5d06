// Controls of a form, one kind for each kind of value, made from its JSON Schema.

import { make } from "./dom.js";
import { t } from "./words.js";

// In the schema they stand by the alphabet.
const ORDER = ["mon", "tue", "wed", "thu", "fri", "sat", "sun", "new", "loitering", "crossing", "end"];
const TITLES = {
	mon: "Monday", tue: "Tuesday", wed: "Wednesday", thu: "Thursday", fri: "Friday", sat: "Saturday", sun: "Sunday",
	new: "who appears", loitering: "who stays in a zone", crossing: "who crosses a line", end: "who has left",
	frame: "the whole frame", crop: "around the object", none: "no picture",
};

const titleOf = (value) => (value in TITLES ? t(TITLES[value]) : String(value));

/** Whether two values from JSON are the same. */
export function same(a, b) {
	if (a === null || b === null || typeof a !== "object" || typeof b !== "object") return a === b;
	const keys = Object.keys(a);
	return keys.length === Object.keys(b).length && keys.every((key) => Object.hasOwn(b, key) && same(a[key], b[key]));
}

/**
 * The control of a setting: its element, and functions on what it holds. `read` gives `value`:
 * null takes the setting back, undefined leaves it; `gone` are names that were taken out of a table.
 */
export function controlFor(field, { id, title, labels }) {
	const { schema, value } = field;
	const kinds = schema.anyOf ?? [schema];
	const kind = kinds.find((each) => each.type !== "null");
	const help = { "aria-describedby": `${id}-help` };
	if (field.secret) return secret(field, id, help);
	if (kind.type === "boolean") return flag(value, id, title, help);
	if (kind.enum) return choice(kind.enum, value, id, help);
	if (kind.type === "number" || kind.type === "integer") return number(kind, value, id, help);
	if (kind.type === "array" && kind.items?.enum) return choices(kind.items.enum, value, id, help);
	if (kind.type === "array" && kind.prefixItems) return numbers(value, id, help);
	if (kind.type === "array") return list(value, id, help);
	if (kind.type === "object" && kind.additionalProperties?.type === "number") return classes(kind.additionalProperties, value, id, title, labels);
	if (kind.type === "object") return pairs(value, id, help);
	return text(value, id, help);
}

function simple(element, read, write, first) {
	write(first);
	const before = JSON.stringify(raw());
	function raw() {
		return element.type === "checkbox" ? element.checked : element.value;
	}
	return {
		element, labelled: true, read, raw,
		touched: () => JSON.stringify(raw()) !== before,
		restore(held) {
			if (element.type === "checkbox") element.checked = held;
			else element.value = held;
		},
	};
}

function flag(value, id, title, help) {
	const box = make("input", { type: "checkbox", id, ...help });
	const control = simple(box, () => ({ value: box.checked }), (held) => { box.checked = held; }, value);
	return { ...control, element: make("span", { class: "switch" }, box) };
}

function choice(all, value, id, help) {
	const select = make("select", { id, ...help }, ...all.map((each) => make("option", { value: String(each) }, titleOf(each))));
	return simple(select, () => ({ value: all.find((each) => String(each) === select.value) }), (held) => { select.value = String(held); }, value);
}

function number(kind, value, id, help) {
	const input = make("input", {
		type: "number", id, step: kind.type === "integer" ? 1 : "any", min: kind.minimum, max: kind.maximum,
		placeholder: value === null ? t("not set") : null, ...help,
	});
	return simple(input, () => ({ value: input.value === "" ? null : numberIn(input) }), (held) => { input.value = held ?? ""; }, value);
}

function numberIn(input) {
	if (!input.validity.valid) {
		input.setAttribute("aria-invalid", "true");
		throw new Error(input.validationMessage);
	}
	input.removeAttribute("aria-invalid");
	return input.valueAsNumber;
}

function text(value, id, help) {
	const input = make("input", { type: "text", id, ...help });
	return simple(input, () => ({ value: input.value }), (held) => { input.value = held ?? ""; }, value);
}

const split = (held, mark) => held.split(mark).map((each) => each.trim()).filter(Boolean);

function list(value, id, help) {
	const input = make("input", { type: "text", id, placeholder: t("all"), ...help });
	return simple(input, () => ({ value: split(input.value, ",") }), (held) => { input.value = held.join(", "); }, value);
}

function numbers(value, id, help) {
	const input = make("input", { type: "text", id, placeholder: t("all of it, or such as 0, 0.2, 1, 1"), ...help });
	const read = () => {
		if (!input.value.trim()) return { value: null };
		const found = split(input.value, ",").map(Number);
		if (found.some(Number.isNaN)) throw new Error(t("The part of the frame is four numbers: left, top, right, bottom."));
		return { value: found };
	};
	return simple(input, read, (held) => { input.value = (held ?? []).join(", "); }, value);
}

function pairs(value, id, help) {
	const area = make("textarea", { id, rows: 3, spellcheck: "false", placeholder: "AfMode = \"Manual\"", ...help });
	const read = () => {
		const found = Object.fromEntries(split(area.value, "\n").map((line) => {
			const at = line.indexOf("=");
			if (at < 1) throw new Error(t("{line}: not a name, = and a value.", { line }));
			return [line.slice(0, at).trim(), valueIn(line.slice(at + 1).trim())];
		}));
		return { value: found, gone: Object.keys(value).filter((name) => !Object.hasOwn(found, name)) };
	};
	return simple(area, read, (held) => { area.value = Object.entries(held).map(([name, each]) => `${name} = ${JSON.stringify(each)}`).join("\n"); }, value);
}

function valueIn(written) {
	try {
		return JSON.parse(written);
	} catch {
		return written;
	}
}

function secret(field, id, help) {
	const area = make("textarea", { id, rows: 2, spellcheck: "false", placeholder: t("One address per line, such as https://… or ntfy://…"), ...help });
	const now = field.value.length ? t("Now: {names}. What is written here replaces it.", { names: field.value.join(", ") }) : t("None yet.");
	const control = simple(area, () => ({ value: split(area.value, "\n") }), () => {}, field.value);
	const element = make("div", { class: "value" }, make("p", { class: "hint" }, now), area);
	return { ...control, element, read: () => (area.value.trim() ? control.read() : { value: undefined }) };
}

function group(inputs, id, className, children, read) {
	const element = make("div", { class: className, role: "group", "aria-labelledby": `${id}-name`, "aria-describedby": `${id}-help` }, ...children);
	const raw = () => inputs.map((input) => (input.type === "checkbox" ? input.checked : input.value));
	const before = JSON.stringify(raw());
	return {
		element, labelled: false, read, raw,
		touched: () => JSON.stringify(raw()) !== before,
		restore(held) {
			inputs.forEach((input, at) => {
				if (input.type === "checkbox") input.checked = held[at];
				else input.value = held[at];
			});
		},
	};
}

function choices(all, value, id) {
	const boxes = [...all].sort((a, b) => ORDER.indexOf(a) - ORDER.indexOf(b)).map((each) => {
		const box = make("input", { type: "checkbox", value: each });
		box.checked = value.includes(each);
		return box;
	});
	const children = boxes.map((box) => make("label", {}, box, titleOf(box.value)));
	return group(boxes, id, "choices", children, () => ({ value: boxes.filter((box) => box.checked).map((box) => box.value) }));
}

function classes(kind, value, id, title, labels) {
	const names = [...new Set([...labels, ...Object.keys(value)])];
	const inputs = names.map((name) => make("input", {
		type: "number", step: "any", min: kind.minimum ?? kind.exclusiveMinimum, max: kind.maximum,
		value: value[name] ?? null, "aria-label": `${title}, ${name}`,
	}));
	const children = inputs.map((input, at) => make("label", {}, names[at], input));
	const read = () => {
		const filled = names.map((name, at) => [name, inputs[at]]).filter(([, input]) => input.value !== "");
		const found = Object.fromEntries(filled.map(([name, input]) => [name, numberIn(input)]));
		return { value: found, gone: Object.keys(value).filter((name) => !Object.hasOwn(found, name)) };
	};
	return group(inputs, id, "classes", children, read);
}
