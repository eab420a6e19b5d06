// Short messages at the edge of the page, with something to take back.

import { find, make } from "./dom.js";
import { t } from "./words.js";

const SHOWN_MS = 4000;
const UNDO_MS = 8000;
let pending = null;

/** Show a message for a while. */
export function say(text) {
	show(make("span", {}, text), SHOWN_MS);
}

/**
 * Show a message of what will be done soon, unless it is taken back.
 *
 * `commit` does it: after a while, with the next message, or when the page is left.
 */
export function offerUndo(text, commit, undo) {
	settle();
	const timer = setTimeout(settle, UNDO_MS);
	pending = { commit, timer };
	show(make("span", {}, text), UNDO_MS, make("button", { type: "button", onclick: () => {
		clearTimeout(timer);
		pending = null;
		find("toast").replaceChildren();
		undo();
	} }, t("Undo")));
}

function settle(leaving = false) {
	if (!pending) return;
	clearTimeout(pending.timer);
	const { commit } = pending;
	pending = null;
	commit(leaving);
}

let hiding = 0;

function show(text, shown_ms, button = null) {
	clearTimeout(hiding);
	const inside = make("div", { class: "toast" }, text, button);
	find("toast").replaceChildren(inside);
	hiding = setTimeout(() => inside.remove(), shown_ms);
}

addEventListener("pagehide", () => settle(true));
