// The language of the page: English text is the key; another language has a dictionary of it.

import { SPANISH } from "./es.js";

const wanted = navigator.languages.find((tag) => /^(en|es)\b/i.test(tag)) ?? "en";
const dictionary = /^es\b/i.test(wanted) ? SPANISH : {};

/** The locale of dates and numbers, such as `en-GB`. */
export const LOCALE = wanted;

/** A text in the browser's language; `{name}` is replaced by `values.name`. */
export function t(text, values = {}) {
	const found = dictionary[text] ?? text;
	return found.replace(/\{(\w+)\}/g, (all, name) => values[name] ?? all);
}

/** A count with its noun: `one` for 1, else `many`, in which `{n}` is the number. */
export function count(n, one, many) {
	return t(n === 1 ? one : many, { n: number(n) });
}

const NUMBER = new Intl.NumberFormat(LOCALE, { maximumFractionDigits: 1 });

export function number(value) {
	return NUMBER.format(value);
}

/** The first letter as a capital. */
export function capital(text) {
	return text.charAt(0).toLocaleUpperCase(LOCALE) + text.slice(1);
}

/** Several names as a phrase: "a, b and c". */
export function phrase(names) {
	return new Intl.ListFormat(LOCALE, { type: "conjunction" }).format(names);
}

/** Put the words of a document into the browser's language: text of `data-t`, and attributes. */
export function translate(root) {
	document.documentElement.lang = LOCALE.slice(0, 2);
	for (const element of root.querySelectorAll("[data-t]")) element.textContent = t(element.textContent.trim());
	for (const name of ["aria-label", "title", "placeholder"]) {
		for (const element of root.querySelectorAll(`[${name}]`)) element.setAttribute(name, t(element.getAttribute(name)));
	}
}
