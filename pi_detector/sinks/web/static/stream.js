// The live stream: JPEG after JPEG, each with what was detected in it.

const HEAD_END = [13, 10, 13, 10];
const decoder = new TextDecoder();

/**
 * Read the stream until it ends or `signal` aborts it.
 *
 * `show(jpeg, found)` is called with the bytes of each image, and waited for: a slow browser gets
 * fewer images, not older ones. Throws an Error with the `status` of a refusal.
 */
export async function watch(signal, show) {
	const response = await fetch("/view.mjpeg?boxes=off", { signal });
	if (!response.ok) {
		const { error } = await response.json().catch(() => ({}));
		throw Object.assign(new Error(error ?? response.statusText), { status: response.status });
	}
	const reader = response.body.getReader();
	let rest = new Uint8Array();
	for (;;) {
		const { value, done } = await reader.read();
		if (done) return;
		rest = joined(rest, value);
		let part = null;
		for (let next = partOf(rest); next; next = partOf(rest)) {
			part = next;
			rest = rest.slice(next.end);
		}
		if (part) await show(part.jpeg, part.found);
	}
}

function joined(one, other) {
	if (!one.length) return other;
	const both = new Uint8Array(one.length + other.length);
	both.set(one);
	both.set(other, one.length);
	return both;
}

/** The first whole part of the bytes; null where it is not there yet. */
function partOf(bytes) {
	const headEnd = indexOf(bytes, HEAD_END);
	if (headEnd < 0) return null;
	const head = decoder.decode(bytes.subarray(0, headEnd));
	const length = Number(/^Content-Length: (\d+)/im.exec(head)?.[1] ?? 0);
	const start = headEnd + HEAD_END.length;
	if (bytes.length < start + length) return null;
	const found = /^X-Detections: (.+)$/im.exec(head);
	return { jpeg: bytes.slice(start, start + length), found: found ? JSON.parse(found[1]) : null, end: start + length };
}

function indexOf(bytes, wanted) {
	const limit = Math.min(bytes.length, 64 * 1024) - wanted.length;
	for (let at = 0; at <= limit; at += 1) {
		if (wanted.every((byte, offset) => bytes[at + offset] === byte)) return at;
	}
	return -1;
}
