"use strict";

if (new URLSearchParams(location.search).has("wrong")) {
	const wrong = document.getElementById("wrong");
	wrong.textContent = "That is not the token.";
	wrong.hidden = false;
	document.getElementById("token").setAttribute("aria-invalid", "true");
}
