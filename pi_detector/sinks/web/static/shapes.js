// How zones, lines and masks look over the picture.

import { colourOf, makeSvg } from "./dom.js";

export const WIDTH = 1000;

/** The height of the drawing, whose width is WIDTH. */
export function heightOf(svg) {
	return (WIDTH * svg.clientHeight) / Math.max(svg.clientWidth, 1);
}

/** A screen pixel in units of the drawing. */
export function unitOf(svg) {
	return WIDTH / Math.max(svg.clientWidth, 1);
}

/** The group of a shape: its outline, its name, and of a line where `in` leads. */
export function drawn(svg, shape, attributes = {}) {
	const height = heightOf(svg);
	const points = shape.points.map(([x, y]) => [x * WIDTH, y * height]);
	const closed = shape.kind !== "lines" && !shape.unfinished;
	const text = points.map((point) => point.join(",")).join(" ");
	const tag = closed ? "polygon" : "polyline";
	const group = makeSvg("g", { class: shape.kind, ...attributes },
		makeSvg(tag, { points: text, class: "rim" }),
		makeSvg(tag, { points: text, class: closed ? "outline" : "outline open" }));
	const colour = shapeColour(shape);
	group.style.setProperty("--shape", colour);
	group.style.setProperty("--shape-fill", shape.kind === "privacy" ? "rgb(0 0 0 / 65%)" : `color-mix(in srgb, ${colour} 22%, transparent)`);
	if (!points.length) return group;
	const unit = unitOf(svg);
	if (shape.kind === "lines" && points.length > 1) group.append(arrow(points, unit));
	const [x, y] = closed ? middle(points) : [points[0][0], points[0][1] - 10 * unit];
	group.append(makeSvg("text", {
		x: Math.min(Math.max(x, 40 * unit), WIDTH - 40 * unit), y: Math.max(16 * unit, y), "text-anchor": "middle",
		"font-size": 14 * unit, "stroke-width": 3 * unit, class: "shape-name",
	}, shape.name));
	return group;
}

/** The colour of a shape, over the picture and in the list. */
export function shapeColour({ kind, name }) {
	return { masks: "hsl(0 0% 75%)", privacy: "hsl(0 0% 45%)" }[kind] ?? colourOf(name);
}

function middle(points) {
	return [0, 1].map((axis) => points.reduce((sum, point) => sum + point[axis], 0) / points.length);
}

function arrow([[x1, y1], [x2, y2]], unit) {
	const length = Math.hypot(x2 - x1, y2 - y1) || 1;
	const along = [(x2 - x1) / length, (y2 - y1) / length];
	const right = [-along[1], along[0]];
	const at = (forth, aside) =>
		[(x1 + x2) / 2 + along[0] * forth * unit + right[0] * aside * unit,
			(y1 + y2) / 2 + along[1] * forth * unit + right[1] * aside * unit].join(" ");
	const path = `M ${at(0, 0)} L ${at(0, 28)} M ${at(-7, 20)} L ${at(0, 28)} L ${at(7, 20)}`;
	return makeSvg("g", {}, makeSvg("path", { d: path, class: "rim" }),
		makeSvg("path", { d: path, class: "outline open" }));
}
