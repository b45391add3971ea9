"use strict";
for (const figure of document.querySelectorAll("figure")) {
  const data = JSON.parse(figure.querySelector("script").textContent);
  const svg = figure.querySelector("svg"), tip = figure.querySelector(".tip"), cross = figure.querySelector(".cross");
  const left = +svg.dataset.left, right = +svg.dataset.right, last = data.times.length - 1;
  const end = data.times[last] || 1;
  let shown = last;
  const clock = s => Math.floor(s / 3600) + ":" + String(Math.floor(s % 3600 / 60)).padStart(2, "0") + " h";
  const amount = v => (data.money ? "$" : "") + v.toLocaleString("en", data.money ? {minimumFractionDigits: 2} : {});
  function show(index) {
    shown = Math.max(0, Math.min(last, index));
    const x = left + (right - left) * data.times[shown] / end;
    cross.setAttribute("x1", x); cross.setAttribute("x2", x); cross.classList.add("on");
    tip.replaceChildren();
    const head = document.createElement("b"), table = document.createElement("table");
    head.textContent = clock(data.times[shown]);
    for (const series of data.series) {
      const row = table.insertRow(), name = row.insertCell(), key = document.createElement("i");
      key.className = "key " + series.class;
      name.append(key, series.name);
      row.insertCell().textContent = amount(series.values[shown]);
    }
    tip.append(head, table);
    tip.hidden = false;
    const width = svg.clientWidth, at = x / svg.viewBox.baseVal.width * width;
    tip.style.left = (at + 14 + tip.offsetWidth > width ? at - 14 - tip.offsetWidth : at + 14) + "px";
  }
  function hide() { tip.hidden = true; cross.classList.remove("on"); }
  svg.addEventListener("pointermove", event => {
    const box = svg.getBoundingClientRect();
    const x = (event.clientX - box.left) / box.width * svg.viewBox.baseVal.width;
    show(Math.round((x - left) / (right - left) * last));
  });
  svg.addEventListener("pointerleave", hide);
  svg.addEventListener("blur", hide);
  svg.addEventListener("focus", () => { if (svg.matches(":focus-visible")) show(shown); });
  svg.addEventListener("keydown", event => {
    const step = {ArrowLeft: -1, ArrowRight: 1, PageUp: -30, PageDown: 30}[event.key];
    if (step) { event.preventDefault(); show(shown + step); }
  });
}
