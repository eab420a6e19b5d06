// A list of any length in the page: only the rows near the screen exist.

import { make } from "./dom.js";

const HEADING_PX = 52;
const BEYOND_PX = 500; // above and below the screen

/**
 * Rows of cards under headings, in `root`.
 *
 * `cardOf(item)` makes a card, `headingOf(group)` a heading; `onMove(item)` is called with the first
 * item on the screen, `onEnd()` near the end of the list.
 */
export class Grid {
	constructor(root, { cardOf, headingOf, onMove, onEnd }) {
		Object.assign(this, { root, cardOf, headingOf, onMove, onEnd });
		this.groups = [];
		this.rows = [];
		this.made = new Map();
		this.active = false;
		addEventListener("scroll", () => this.draw(), { passive: true });
		new ResizeObserver(() => this.layOut()).observe(root);
	}

	/** Show groups `{key, items}`; items need a `key` that changes with what their card shows. */
	show(groups) {
		this.groups = groups;
		this.layOut();
	}

	measure() {
		const width = this.root.clientWidth;
		const style = getComputedStyle(this.root);
		this.gap = Number.parseFloat(style.getPropertyValue("--gap")) || 16;
		const least = Number.parseFloat(style.getPropertyValue("--least")) || 220;
		const caption = Number.parseFloat(style.getPropertyValue("--caption")) || 64;
		this.columns = Math.max(1, Math.floor((width + this.gap) / (least + this.gap)));
		this.card = (width - this.gap * (this.columns - 1)) / this.columns;
		this.rowHeight = Math.round(this.card * 0.75) + caption + this.gap;
	}

	layOut() {
		if (!this.root.clientWidth) return;
		this.measure();
		this.rows = [];
		let top = 0;
		for (const group of this.groups) {
			this.rows.push({ top, height: HEADING_PX, group, key: `# ${group.key} ${group.items.length}` });
			top += HEADING_PX;
			for (let at = 0; at < group.items.length; at += this.columns) {
				const items = group.items.slice(at, at + this.columns);
				this.rows.push({ top, height: this.rowHeight, items, key: items.map((item) => item.key).join("|") });
				top += this.rowHeight;
			}
		}
		this.root.style.height = `${top}px`;
		this.draw();
	}

	/** The number of the last row that begins at or above a position. */
	rowAt(top) {
		let [low, high] = [0, this.rows.length - 1];
		while (low < high) {
			const middle = Math.ceil((low + high) / 2);
			if (this.rows[middle].top <= top) low = middle;
			else high = middle - 1;
		}
		return low;
	}

	draw() {
		if (!this.active || !this.root.clientWidth) return;
		const above = -this.root.getBoundingClientRect().top;
		const wanted = new Map();
		if (this.rows.length) {
			const last = this.rowAt(above + innerHeight + BEYOND_PX);
			for (let at = this.rowAt(above - BEYOND_PX); at <= last; at += 1) wanted.set(this.rows[at].key, this.rows[at]);
		}
		for (const [key, element] of this.made) {
			if (wanted.has(key)) continue;
			if (element.contains(document.activeElement) && document.activeElement.dataset.id) this.refocus = document.activeElement.dataset.id;
			element.remove();
			this.made.delete(key);
		}
		let before = null;
		for (const [key, row] of wanted) {
			const element = this.made.get(key) ?? this.make(row);
			element.style.transform = `translateY(${row.top}px)`;
			this.made.set(key, element);
			// In the order of the list, for the tabulator key.
			if (element.parentElement !== this.root || element.previousElementSibling !== before) {
				if (before) before.after(element);
				else this.root.prepend(element);
			}
			before = element;
		}
		if (this.refocus) {
			this.root.querySelector(`[data-id="${CSS.escape(this.refocus)}"]`)?.focus({ preventScroll: true });
			this.refocus = null;
		}
		this.report(above);
	}

	make(row) {
		if (row.group) return make("div", { class: "heading" }, this.headingOf(row.group));
		const element = make("div", { class: "row" }, ...row.items.map((item) => this.cardOf(item)));
		element.style.gridTemplateColumns = `repeat(${this.columns}, minmax(0, 1fr))`;
		element.style.height = `${row.height - this.gap}px`;
		return element;
	}

	report(above) {
		if (!this.rows.length) return;
		const at = this.rowAt(Math.max(0, above + this.covered() + 8));
		const row = this.rows[at].items ? this.rows[at] : this.rows[at + 1] ?? this.rows[at];
		if (row.items) this.onMove(row.items[0]);
		if (above + 3 * innerHeight > this.root.clientHeight) this.onEnd();
	}

	/** The height at the top of the screen that something else covers. */
	covered() {
		return Number.parseFloat(getComputedStyle(this.root).getPropertyValue("--covered")) || 0;
	}

	/** Scroll to the first row of which `test(item)` holds for an item. */
	scrollTo(test) {
		const at = this.rows.findIndex((row) => row.items?.some(test));
		const row = at < 0 ? this.rows.at(-1) : this.rows[at > 0 && this.rows[at - 1].group ? at - 1 : at];
		if (row) scrollTo({ top: scrollY + this.root.getBoundingClientRect().top + row.top - this.covered() });
	}
}
