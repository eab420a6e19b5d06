"use strict";

if (new URLSearchParams(location.search).has("wrong")) {
	const wrong = document.getElementById("wrong");
	wrong.textContent = "Wrong token.";
	wrong.hidden = false;
	document.getElementById("token").setAttribute("aria-invalid", "true");
}
