// Takes the code from behind the # of the owner's link, which is sent to nobody, out of the
// address and its history, and sends the form.
"use strict";
const code = location.hash.slice(1);
if (code) {
  history.replaceState(null, "", location.pathname);
  document.getElementById("code").value = code;
  document.getElementById("open").submit();
}
