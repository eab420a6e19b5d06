// Boxes and names over a frame: sharp at any size, and no name over another.

import { colourOf } from "./dom.js";
import { capital, t } from "./words.js";

const FONT_PX = 13;
const PAD_PX = 6;
const HIGH_PX = FONT_PX + PAD_PX + 3;
const GAP_PX = 3;

/** Draw detections on a canvas that lies over the frame. `mode` is `names`, `scores` or `off`. */
export function drawBoxes(canvas, found, mode) {
	const ratio = devicePixelRatio || 1;
	const [width, height] = [canvas.clientWidth, canvas.clientHeight];
	if (canvas.width !== Math.round(width * ratio)) canvas.width = Math.round(width * ratio);
	if (canvas.height !== Math.round(height * ratio)) canvas.height = Math.round(height * ratio);
	const context = canvas.getContext("2d");
	context.setTransform(ratio, 0, 0, ratio, 0, 0);
	context.clearRect(0, 0, width, height);
	if (mode === "off") return;
	const boxes = found.map(([label, score, number, x1, y1, x2, y2]) => ({
		label, score, number, x: x1 * width, y: y1 * height, right: x2 * width, bottom: y2 * height,
	})).sort((a, b) => area(b) - area(a));
	for (const box of boxes) drawBox(context, box);
	context.font = `600 ${FONT_PX}px system-ui, "Segoe UI", Roboto, sans-serif`;
	context.textBaseline = "middle";
	const taken = [];
	for (const box of boxes.reverse()) drawName(context, box, mode, [width, height], taken);
}

const area = ({ x, y, right, bottom }) => (right - x) * (bottom - y);

function drawBox(context, { label, x, y, right, bottom }) {
	const around = () => {
		context.beginPath();
		context.roundRect(x, y, right - x, bottom - y, 6);
		context.stroke();
	};
	context.lineWidth = 4.5;
	context.strokeStyle = "rgb(0 0 0 / 45%)";
	around();
	context.lineWidth = 2.25;
	context.strokeStyle = colourOf(label);
	around();
}

function drawName(context, box, mode, frame, taken) {
	const score = mode === "scores" ? ` ${Math.round(box.score * 100)}\u2009%${box.number ? ` · ${box.number}` : ""}` : "";
	const text = capital(t(box.label)) + score;
	const width = Math.ceil(context.measureText(text).width) + 2 * PAD_PX;
	const spot = free(box, width, frame, taken);
	if (!spot) return; // rather no name than one over another
	taken.push(spot);
	context.fillStyle = colourOf(box.label);
	context.beginPath();
	context.roundRect(spot.x, spot.y, width, HIGH_PX, 5);
	context.fill();
	context.fillStyle = isLight(context, colourOf(box.label)) ? "#14161a" : "#fff";
	context.fillText(text, spot.x + PAD_PX, spot.y + HIGH_PX / 2 + 1);
}

/** Where a name fits: above the box, in it, below it, from either corner, or further down inside. */
function free(box, width, [frameWidth, frameHeight], taken) {
	const lefts = [box.x, box.right - width];
	const tops = [box.y - HIGH_PX - GAP_PX, box.y + GAP_PX, box.bottom + GAP_PX, box.bottom - HIGH_PX - GAP_PX];
	for (let down = 1; down < 6; down += 1) tops.push(box.y + GAP_PX + down * (HIGH_PX + GAP_PX));
	for (const top of tops) {
		for (const left of lefts) {
			const spot = {
				x: Math.max(0, Math.min(left, frameWidth - width)), y: Math.max(0, Math.min(top, frameHeight - HIGH_PX)),
			};
			const fits = !taken.some((other) => spot.x < other.right && other.x < spot.x + width
				&& spot.y < other.bottom && other.y < spot.y + HIGH_PX);
			if (fits) return { ...spot, right: spot.x + width + GAP_PX, bottom: spot.y + HIGH_PX + GAP_PX };
		}
	}
	return null;
}

const lightness = new Map();

/** Whether dark text reads better on a colour (WCAG relative luminance above 0.179 or so). */
function isLight(context, colour) {
	if (!lightness.has(colour)) {
		const probe = new OffscreenCanvas(1, 1).getContext("2d");
		probe.fillStyle = colour;
		probe.fillRect(0, 0, 1, 1);
		const [red, green, blue] = [...probe.getImageData(0, 0, 1, 1).data].map((channel) =>
			channel <= 10 ? channel / 3294 : ((channel / 255 + 0.055) / 1.055) ** 2.4);
		lightness.set(colour, 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.22);
	}
	return lightness.get(colour);
}
