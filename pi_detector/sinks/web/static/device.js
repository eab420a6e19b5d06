// The figures of the machine, for those who want them.

import { duration, find, icon, make } from "./dom.js";
import { number, t } from "./words.js";

const FLAGS = {
	under_voltage: "under-voltage", frequency_capped: "frequency capped", throttled: "throttled",
	soft_temperature_limit: "temperature limit",
};
const HOT_CELSIUS = 80;

export function begin(command) {
	find("reload").addEventListener("click", () => command("reload"));
	find("device-summary").prepend(icon("settings"));
}

/** Show the state of the machine. */
export function show(now) {
	const { host, process, latency_ms: latency } = now;
	const hot = host?.temperature_celsius ?? null;
	const [slowed, warn] = throttling(host);
	const short = [now.fps === null ? null : `${number(now.fps)} ${t("frames/s")}`, hot === null ? null : `${number(hot)} °C`]
		.filter(Boolean).join(" · ");
	find("device-short").textContent = warn ? slowed : short;
	if (!find("device").open) return;
	const rows = [
		[t("Speed"), now.fps === null ? null : `${number(now.fps)} ${t("frames/s")}`],
		[t("Latency, median"), latency && `${number(latency.p50)} ms`],
		[t("Latency, 99 %"), latency && `${number(latency.p99)} ms`],
		[t("Dropped frames"), now.dropped],
		[t("Model"), now.model],
		...(now.looks ? [[t("Looks per frame"), `${number(now.looks.per_frame)}: ${shares(now.looks.reasons)}`]] : []),
		[t("Source"), now.source],
		[t("Temperature"), hot === null ? null : `${number(hot)} °C`, hot !== null && hot >= HOT_CELSIUS],
		[t("Throttling"), slowed, warn],
		[t("Processor"), percent(process?.cpu_percent)],
		[t("Memory"), size(process?.rss_mb)],
		[t("Memory free"), size(host?.memory_available_mb)],
		[t("Disk free"), size(host?.disk_free_mb)],
		[t("Watching"), `${now.viewers} / ${now.max_viewers}`],
		[t("Version"), now.version],
	];
	find("figures").replaceChildren(...rows.flatMap(([name, value, bad]) =>
		[make("dt", {}, name), make("dd", { class: bad ? "warn" : null }, String(value ?? t("unknown")))]));
	find("measured").textContent = now.measured_ago_s === null
		? t("No measurements yet (telemetry.interval_s).") : t("Measured {time} ago.", { time: duration(now.measured_ago_s) });
}

function percent(value) {
	return value === null || value === undefined ? null : t("{n} % of one core", { n: Math.round(value) });
}

function size(mb) {
	if (mb === null || mb === undefined) return null;
	return mb >= 1000 ? `${number(mb / 1000)} GB` : `${Math.round(mb)} MB`;
}

/** How often each reason asked for a look, in percent. */
function shares(reasons) {
	const total = Object.values(reasons).reduce((sum, each) => sum + each, 0);
	return Object.entries(reasons).sort(([, one], [, other]) => other - one)
		.map(([reason, each]) => `${reason} ${Math.round(100 * each / total)} %`).join(", ");
}

function throttling(host) {
	const known = Object.entries(host?.throttling ?? {}).filter(([, flag]) => flag !== null);
	if (!known.length) return [null, false];
	const on = known.filter(([, flag]) => flag).map(([name]) => t(FLAGS[name]));
	if (on.length) return [on.join(", "), true];
	const ever = Object.entries(host.throttling_ever).filter(([, flag]) => flag).map(([name]) => t(FLAGS[name]));
	return [ever.length ? t("not now; earlier: {what}", { what: ever.join(", ") }) : t("none"), false];
}
