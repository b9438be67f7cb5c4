// The playground's answers as they come: JSON, an object a line. Text is set as text, never as
// markup. Without this script the form works too, and the answer comes whole.
"use strict";
(() => {
  const form = document.getElementById("ask");
  const turns = document.getElementById("turns");
  const facts = document.getElementById("facts");
  const failure = document.getElementById("failure");
  const prompt = document.getElementById("prompt");
  const send = document.getElementById("send");
  const stop = document.getElementById("stop");
  let request = "";
  let leave = null;

  const turn = (who, words) => {
    const article = document.createElement("article");
    article.className = `turn ${who}`;
    const head = document.createElement("h2");
    head.textContent = who === "user" ? "You" : "Model";
    const text = document.createElement("div");
    text.className = "text";
    text.textContent = words;
    article.append(head, text);
    turns.append(article);
    return text;
  };
  const said = (words) => {
    const field = document.createElement("input");
    field.type = "hidden";
    field.name = "said";
    field.value = words;
    form.prepend(field);
    return field;
  };
  const fail = (words) => {
    const line = document.createElement("p");
    line.className = "problem";
    line.setAttribute("role", "alert");
    line.textContent = words;
    failure.replaceChildren(line);
  };
  const busy = (is) => {
    turns.setAttribute("aria-busy", String(is));
    send.disabled = is;
    stop.disabled = !is;
    if (is) stop.focus(); else prompt.focus();
  };

  async function* lines(body) {
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const parts = (rest + value).split("\n");
      rest = parts.pop();
      for (const part of parts) if (part) yield JSON.parse(part);
    }
  }

  const answer = async (asked) => {
    let text = null;
    let ended = false;
    leave = new AbortController();
    const response = await fetch(form.dataset.stream, { method: "POST", body: asked, signal: leave.signal });
    if (response.redirected || !response.body) throw new Error("Your log-in is over: load the page again.");
    for await (const line of lines(response.body)) {
      if (line.request) request = line.request;
      if (line.queued !== undefined) facts.textContent = line.reason || `Waiting: ${line.queued} before you`;
      if (line.started) facts.textContent = `${line.started} is reading`;
      if (line.text) {
        if (!text) { text = turn("assistant", ""); facts.textContent = "Writing"; }
        text.append(line.text);
      }
      if (line.finished) { facts.textContent = line.finished; ended = true; }
      if (line.failed) { fail(line.failed); facts.textContent = ""; ended = true; }
    }
    if (!ended) throw new Error("The connection broke before the answer was whole.");
    return text ? text.textContent : "";
  };

  const ask = async () => {
    const words = prompt.value;
    const asked = new URLSearchParams(new FormData(form));
    failure.replaceChildren();
    facts.textContent = "Asking";
    request = "";
    const shown = turn("user", words).parentElement;
    busy(true);
    let told = "";
    try {
      told = await answer(asked);
    } catch (error) {
      facts.textContent = "";
      if (error.name === "AbortError") facts.textContent = "Stopped by you.";
      else fail(error instanceof TypeError ? "The node cannot be reached." : error.message);
    }
    const last = turns.lastElementChild;
    if (last !== shown) {
      // In the order that they were said: the newest behind those before.
      const csrf = form.querySelector("[name=csrf]");
      for (const one of [words, told || last.querySelector(".text").textContent]) csrf.before(said(one));
      prompt.value = "";
    } else {
      shown.remove();
    }
    busy(false);
  };

  stop.hidden = false;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (!send.disabled) ask();
  });
  prompt.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });
  stop.addEventListener("click", async () => {
    // The end comes with what was used; where nothing is heard of it, the connection is closed.
    const asked = new URLSearchParams({ csrf: form.querySelector("[name=csrf]").value, request });
    const going = leave;
    setTimeout(() => { if (send.disabled && leave === going) going.abort(); }, 3000);
    try {
      if (request) await fetch(form.dataset.stop, { method: "POST", body: asked });
      else going.abort();
    } catch { going.abort(); }
  });
})();
