// Draws each chart from the table that it belongs to, so that both say the same.
"use strict";
(() => {
  const colour = (name) => {
    const probe = document.createElement("span");
    probe.style.color = `var(${name})`;
    document.body.append(probe);
    const found = getComputedStyle(probe).color;
    probe.remove();
    return found;
  };
  const short = (text, most) => (text.length > most ? text.slice(0, most - 1) + "…" : text);

  const draw = (box) => {
    const rows = [...document.querySelectorAll(`#${box.dataset.chart} tbody tr`)].slice(0, 400);
    const names = rows.map((row) => row.dataset.name);
    const prompts = rows.map((row) => Number(row.dataset.prompt));
    const answers = rows.map((row, place) => prompts[place] + Number(row.dataset.answer));
    const room = Math.max(1, Math.floor((box.clientWidth - 80) / 90));
    const every = Math.ceil(rows.length / room);
    const bars = uPlot.paths.bars({ size: [0.7, 64], align: 0 });
    const [text, line, first, second] = ["--quiet", "--line", "--accent", "--second"].map(colour);
    const value = (u, at, place) => (place === null ? "" : Number(rows[place].dataset[at]).toLocaleString("en"));
    box.replaceChildren();
    return new uPlot({
      width: box.clientWidth,
      height: box.clientHeight - 52, // the legend's two lines, where it is narrow
      cursor: { drag: { x: false, y: false } },
      scales: {
        x: { time: false, range: [-0.6, rows.length - 0.4] },
        y: { range: (u, low, high) => [0, Math.max(high * 1.05, 1)] },
      },
      series: [
        { label: box.dataset.column, value: (u, raw, s, place) => (place === null ? "" : short(names[place], 40)) },
        { label: "Answers", fill: second, stroke: second, width: 0, paths: bars, points: { show: false },
          value: (u, raw, s, place) => value(u, "answer", place) },
        { label: "Prompts", fill: first, stroke: first, width: 0, paths: bars, points: { show: false },
          value: (u, raw, s, place) => value(u, "prompt", place) },
      ],
      axes: [
        { stroke: text, grid: { show: false }, ticks: { show: false },
          splits: () => rows.map((_, place) => place).filter((place) => place % every === 0),
          values: (u, places) => places.map((place) => short(names[place] ?? "", 12)) },
        { stroke: text, grid: { stroke: line, width: 1 }, ticks: { show: false }, size: 60,
          values: (u, all) => all.map((one) => (one >= 1e6 ? `${one / 1e6}M` : one >= 1e3 ? `${one / 1e3}k` : `${one}`)),
          incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 2e5, 5e5, 1e6, 2e6, 5e6, 1e7, 1e8, 1e9, 1e10, 1e11] },
      ],
    }, [rows.map((_, place) => place), answers, prompts], box);
  };

  const boxes = [...document.querySelectorAll("[data-chart]")];
  let drawn = [];
  const all = () => {
    for (const one of drawn) one.destroy();
    drawn = boxes.map(draw);
  };
  all();
  let width = window.innerWidth;
  let waits = 0;
  window.addEventListener("resize", () => {
    if (window.innerWidth === width) return;
    width = window.innerWidth;
    clearTimeout(waits);
    waits = setTimeout(all, 150);
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", all);
})();
