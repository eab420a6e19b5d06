// The login: what was wrong, where it leads, and a session that is there already.

import { t, translate } from "./words.js";

const query = new URLSearchParams(location.search);
const next = query.get("next") ?? "/";

translate(document);
document.getElementById("next").value = next;
if (query.has("wrong")) {
	const wrong = document.getElementById("wrong");
	wrong.textContent = t("Wrong token.");
	wrong.hidden = false;
	document.getElementById("token").setAttribute("aria-invalid", "true");
} else if (/^\/(?!\/)/.test(next)) {
	// A link from another site comes without the cookie; a request of this page has it.
	fetch("/api/v1/overview").then((answer) => { if (answer.ok) location.replace(new URL(next, location.origin).pathname); }, () => null);
}
