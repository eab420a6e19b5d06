// The page that is shown without a connection: it comes back by itself.

import { translate } from "./words.js";

const RETRY_MS = 5000;

translate(document);
document.getElementById("retry").addEventListener("click", () => location.reload());
setInterval(() => fetch("/healthz").then(() => location.reload(), () => null), RETRY_MS);
