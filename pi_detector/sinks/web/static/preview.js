// A card plays its clip while the pointer rests on it, or a finger is held on it.

import { ask, make } from "./dom.js";

const REST_MS = 350;
const HOLD_MS = 450;
const LEAD_S = 0.5;
const still = matchMedia("(prefers-reduced-motion: reduce)");
let playing = null;

/** Have a link to an event play the event's clip in its `.shot`. */
export function attachPreview(link, event) {
	let timer = 0;
	const begin = (wait) => {
		clearTimeout(timer);
		if (!still.matches) timer = setTimeout(play, wait, link, event);
	};
	const end = () => {
		clearTimeout(timer);
		if (playing?.link === link) stop();
	};
	link.addEventListener("pointerenter", ({ pointerType }) => { if (pointerType === "mouse") begin(REST_MS); });
	link.addEventListener("pointerleave", end);
	link.addEventListener("touchstart", () => begin(HOLD_MS), { passive: true });
	link.addEventListener("touchend", (touch) => {
		if (playing?.link === link) touch.preventDefault(); // it was held to look, not to open
		end();
	});
	link.addEventListener("touchcancel", end);
	link.addEventListener("contextmenu", (menu) => { if (playing?.link === link) menu.preventDefault(); });
}

async function play(link, { id }) {
	stop();
	const mine = playing = { link };
	const event = await ask(`/api/v1/events/${encodeURIComponent(id)}`).catch(() => null);
	const clip = event?.clips.find(({ duration_s: known }) => known !== null);
	if (playing !== mine || !clip) return;
	const start = Math.max(0, clip.offset_s - LEAD_S);
	const video = make("video", { src: `${clip.url}#t=${start.toFixed(1)}`, muted: true, playsinline: true, "aria-hidden": "true", tabindex: -1 });
	video.muted = true;
	video.addEventListener("playing", () => video.classList.add("on"));
	mine.video = video;
	link.querySelector(".shot").append(video);
	video.play().catch(() => null);
}

function stop() {
	playing?.video?.remove();
	playing = null;
}
