// Says so while what is live cannot be renewed.
"use strict";
const stale = document.getElementById("stale");
const show = (is) => () => { stale.hidden = !is; };
for (const name of ["htmx:sendError", "htmx:responseError", "htmx:timeout"]) {
  document.body.addEventListener(name, show(true));
}
document.body.addEventListener("htmx:afterSwap", show(false));
